"""The feed's own figures, named ``stream/…``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from apex_trader.market.stream.counts import SequenceCounts
from apex_trader.time import SECOND

#: Trades whose lag is remembered.
_LAGS = 4096


@dataclass
class Health:
    """Counts since the feed began.

    stalled: sockets or markets that fell silent while there was something to say. revisions:
    trades that came after their second had closed. incomplete: seconds (of one market) that closed
    although something was missing. closed: seconds closed. rest_failures: REST questions that no
    repetition got answered. save_failures: writes put off because the store was busy.
    late_funding: payments of seconds that had closed. missed_funding: payments that were due and
    not told of. closing_lag: how long (µs) after its end the last second closed.
    """

    stalled: int = 0
    revisions: int = 0
    incomplete: int = 0
    closed: int = 0
    rest_failures: int = 0
    save_failures: int = 0
    late_funding: int = 0
    missed_funding: int = 0
    closing_lag: int = 0
    _lags: deque[int] = field(default_factory=lambda: deque(maxlen=_LAGS))

    def arrived(self, lags: Iterable[int]) -> None:
        """Trades came so long (µs) after they happened."""
        self._lags.extend(lags)

    def metrics(
        self, counts: Iterable[SequenceCounts], disconnects: int, garbage: int,
        skews: Iterable[tuple[int, int]],
    ) -> dict[str, float]:  # fmt: skip
        """Everything as metrics; ``skews``: (offset, error) of each exchange's clock, µs."""
        parts = list(counts)
        lags = np.fromiter(self._lags, np.float64) / SECOND
        p50, p99 = np.percentile(lags, [50, 99]) if len(lags) else (np.nan, np.nan)
        offset, error = max(skews, key=lambda skew: abs(skew[0]), default=(0, 0))
        return {
            "stream/disconnects": float(disconnects),
            "stream/stalled": float(self.stalled),
            "stream/duplicates": float(sum(c.duplicates for c in parts)),
            "stream/reordered": float(sum(c.reordered for c in parts)),
            "stream/backfilled": float(sum(c.backfilled for c in parts)),
            "stream/absent": float(sum(c.absent for c in parts)),
            "stream/garbage": float(garbage + sum(c.garbage for c in parts)),
            "stream/revisions": float(self.revisions),
            "stream/seconds": float(self.closed),
            "stream/incomplete": float(self.incomplete),
            "stream/late_funding": float(self.late_funding),
            "stream/missed_funding": float(self.missed_funding),
            "stream/rest_failures": float(self.rest_failures),
            "stream/save_failures": float(self.save_failures),
            "stream/lag_p50": float(p50),
            "stream/lag_p99": float(p99),
            "stream/closing_lag": self.closing_lag / SECOND,
            "stream/skew": offset / SECOND,
            "stream/skew_error": error / SECOND,
        }
