"""Funding payments of a perpetual: when the next is due, and which second they belong to."""

from __future__ import annotations

from typing import cast

import numpy as np

from apex_trader.market.kinds import concatenate, empty
from apex_trader.market.types import Funding
from apex_trader.time import HOUR, MINUTE

#: µs. No exchange pays less often than this.
LONGEST_INTERVAL = 24 * HOUR
#: µs. A payment is told of within this time, at the latest.
TOLD_WITHIN = 10 * MINUTE
#: Time (µs) of a payment that nobody expects.
NEVER = int(np.iinfo(np.int64).max)


class FundingSchedule:
    """Payments as they become known; a second waits for the one that is due in it.

    Exchanges pay at fixed intervals and tell of a payment some seconds after its time. So the
    second of the next payment closes only once it is known; all others need not wait. The interval
    is that of the last two payments.

    Args:
        start: first second (µs) to close. since: time from which payments are asked for.
    """

    def __init__(self, start: int, since: int) -> None:
        self._start = self._closed = start
        self.since = since
        self._waiting, self._unsaved = _nothing(), _nothing()
        self._saved = self._asked = since
        self._last: int | None = None
        self._next = NEVER
        self._interval = 0

    @property
    def known(self) -> int:
        """No payment before this time (µs) is missing."""
        return self._next

    def learn(self, paid: Funding, asked: int) -> Funding:
        """New payments, by time; those of seconds that are closed already come back.

        asked: the exchange's time (µs) when it was asked for them.
        """
        self._asked = max(self._asked, asked - TOLD_WITHIN)
        paid = paid.take(paid.ts >= self.since)
        if len(paid) == 0:
            return paid
        times = paid.ts if self._last is None else np.r_[self._last, paid.ts]
        if len(times) > 1:
            # Stamps are some milliseconds after the minute.
            interval = int(np.diff(times)[-1] + MINUTE // 2) // MINUTE * MINUTE
            self._interval = interval if 0 < interval <= LONGEST_INTERVAL else 0
        self._last = int(paid.ts[-1])
        self.since = self._last + 1
        self._next = self._last // MINUTE * MINUTE + self._interval if self._interval else NEVER
        self._unsaved = _joined(self._unsaved, paid)
        self._waiting = _joined(self._waiting, paid.take(paid.ts >= self._closed))
        return paid.take((paid.ts >= self._start) & (paid.ts < self._closed))

    def skip(self) -> None:
        """The payment that is due has not come for long: it is not waited for any more."""
        if self._interval:
            self._next += self._interval

    def close(self, until: int) -> Funding:
        """The payments of the seconds up to ``until``, which close now."""
        out = self._waiting.between(0, until)
        self._waiting = self._waiting.between(until, NEVER)
        self._closed = max(self._closed, until)
        return out

    def unsaved(self, until: int) -> tuple[Funding, tuple[int, int]] | None:
        """Payments before ``until`` for the store, with the time [start, end) they speak for."""
        end = min(until, self._next, self._asked)
        if end <= self._saved:
            return None
        span = (self._saved, end)
        ready = self._unsaved.between(0, end)
        self._unsaved, self._saved = self._unsaved.between(end, NEVER), end
        return ready, span

    def not_saved(self, paid: Funding, span: tuple[int, int]) -> None:
        """Saving failed: keep them for the next time."""
        self._unsaved, self._saved = _joined(paid, self._unsaved), span[0]


def _nothing() -> Funding:
    return cast(Funding, empty("funding"))


def _joined(first: Funding, second: Funding) -> Funding:
    return cast(Funding, concatenate("funding", [first, second]))
