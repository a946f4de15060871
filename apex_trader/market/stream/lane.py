"""One market's trades on their way from the exchange into closed seconds and into the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from apex_trader.market.kinds import concatenate, empty
from apex_trader.market.stream.overlap import Overlap
from apex_trader.market.stream.second_rows import SecondRows
from apex_trader.market.stream.sequencer import Sequencer
from apex_trader.market.types import I64, Seconds, Trades
from apex_trader.time import SECOND


@dataclass(frozen=True)
class Revisions:
    """Trades that came after their seconds had closed.

    closed: the time (µs) up to which seconds were closed when they came.
    """

    market: str
    trades: Trades
    closed: int


@dataclass(frozen=True)
class Unsaved:
    """Trades for the store: [start, end) µs is known whole, and these are all of its trades."""

    market: str
    trades: Trades
    start: int
    end: int


class Lane:
    """Trades of one market: released by ``sequence``, waiting for their second to close, saved.

    Args:
        market: "exchange:SYMBOL". sequence: gives each trade once, in order.
        start: first second (µs) to close. previous: time of the trade before it, for its first
        inter-arrival time. saved: everything before this time is in the store, whose recording
        goes on; None: a recording begins at ``start``, and what was before is none of it.
    """

    def __init__(
        self, market: str, sequence: Sequencer | Overlap, start: int,
        previous: int | None = None, saved: int | None = None,
    ) -> None:  # fmt: skip
        self.market, self.sequence = market, sequence
        self._start = self._closed = start
        self._begins = start if saved is None else 0
        self._saved = start if saved is None else saved
        self._rows = SecondRows(previous)
        self._waiting: list[Trades] = []
        self._unsaved: list[Trades] = []
        self._doubts: list[tuple[int, int]] = []

    @property
    def start(self) -> int:
        """The first second (µs) to close."""
        return self._start

    @property
    def saved(self) -> int:
        """Everything before this time (µs) was handed out to be saved."""
        return self._saved

    def prime(self, trades: Trades) -> None:
        """Trades of the store from ``start`` on: they wait for closing, and need no saving."""
        self._waiting.append(trades)

    def take(self, released: Trades) -> Revisions | None:
        """Let released trades wait for their second; those whose second has closed come back."""
        if len(released) == 0:
            return None
        if released.ts.min() >= max(self._begins, self._saved, self._closed):
            self._unsaved.append(released)
            self._waiting.append(released)
            return None
        released = released.take(released.ts >= self._begins)
        # With ids the store can still take in what came after it was thought to be whole.
        numbered = np.full(len(released), released.id is not None)
        self._unsaved.append(released.take(numbered | (released.ts >= self._saved)))
        late = released.ts < self._closed
        self._waiting.append(released.take(~late))
        if not late.any():
            return None
        # The next gap is measured to the trade that was really before.
        self._rows.passed(released.take(late))
        revised = released.take(late & (released.ts >= self._start))
        return Revisions(self.market, revised, self._closed) if len(revised) else None

    def doubt(self, start: int, end: int) -> None:
        """Trades of [start, end) µs may be missing: what closes there is incomplete."""
        self._doubts.append((start, end))

    def close(self, until: int, known: int) -> tuple[Seconds, Trades, I64]:
        """Close the seconds up to ``until``: their rows, their trades, the incomplete ones.

        known: no trade before this time (µs) is missing, but those in doubt.
        """
        waiting = _in_order(self._waiting)
        count = int(np.searchsorted(waiting.ts, until))
        trades, self._waiting = waiting.slice(0, count), [waiting.slice(count, len(waiting))]
        incomplete = self._incomplete(self._closed, until, known)
        self._closed = until
        self._doubts = [doubt for doubt in self._doubts if doubt[1] > until]
        return self._rows.close(trades), trades, incomplete

    def unsaved(self, known: int) -> Unsaved | None:
        """What is ready for the store, and then counts as saved. ``known``: whole up to there."""
        owed = self.sequence.owed_since
        end = min(known, known if owed is None else owed) // SECOND * SECOND
        if end <= self._saved:
            return None
        pending = _in_order(self._unsaved)
        count = int(np.searchsorted(pending.ts, end))
        ready, self._unsaved = pending.slice(0, count), [pending.slice(count, len(pending))]
        start, self._saved = self._saved, end
        first = int(ready.ts[0]) if len(ready) else start
        return Unsaved(self.market, ready, min(start, first), end)

    def not_saved(self, unsaved: Unsaved) -> None:
        """Saving failed: keep it for the next time."""
        self._unsaved.insert(0, unsaved.trades)
        self._saved = unsaved.start

    def _incomplete(self, start: int, until: int, known: int) -> I64:
        seconds = np.arange(start, until, SECOND, dtype=np.int64)
        doubtful = seconds + SECOND > known
        for low, high in self._doubts:
            doubtful |= (seconds + SECOND > low) & (seconds < high)
        return seconds[doubtful]


def _in_order(parts: list[Trades]) -> Trades:
    """All trades in the exchange's order: by id, or by time where there are none."""
    trades = cast(Trades, concatenate("trades", [part for part in parts if len(part)]))
    if len(trades) == 0:
        return cast(Trades, empty("trades"))
    key = trades.ts if trades.id is None else trades.id
    if (np.diff(key) >= 0).all():
        return replace(trades)
    return trades.take(np.argsort(key, kind="stable"))
