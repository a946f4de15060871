"""Trades with consecutive ids: exactly once, in the exchange's order, holes seen at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.exchange.convert import no_trades
from apex_trader.market.kinds import concatenate
from apex_trader.market.stream.counts import SequenceCounts
from apex_trader.market.types import I64, Trades

Bool = NDArray[np.bool_]
#: µs. Some of an exchange's answers give times no finer.
MILLISECOND = 1000


@dataclass
class Owed:
    """Ids [first, last] that were given up for now; since: time (µs) of the trade before them."""

    first: int
    last: int
    since: int


class Sequencer:
    """Releases trades in unbroken order of their ids, and holds what lies beyond a hole.

    Aggregate trade ids of one symbol are consecutive and rise with time. So id n+1 after n proves
    that nothing is missing; any other id beyond n says exactly what is.

    Args:
        last: id after which the sequence goes on.
        time: time (µs) of that trade: later ids cannot be earlier.
    """

    def __init__(self, last: int, time: int = 0) -> None:
        self._last, self._time = last, time
        self._highest = last
        self._held, self._trusted = no_trades(), np.empty(0, np.bool_)
        self._owed: list[Owed] = []
        self.counts = SequenceCounts()

    @property
    def time(self) -> int:
        """Time (µs) of the last released trade: before it nothing is missing but what is owed."""
        return self._time

    @property
    def hole(self) -> tuple[int, int] | None:
        """First and last missing id before what is held; None when nothing is held."""
        ids = _ids(self._held)
        return (self._last + 1, int(ids[0]) - 1) if len(ids) else None

    @property
    def owed_since(self) -> int | None:
        """Nothing is missing before this time (µs); None: nothing is owed at all."""
        return self._owed[0].since if self._owed else None

    @property
    def wanted(self) -> int:
        """The id from which on REST is to be asked."""
        return self._owed[0].first if self._owed else self._last + 1

    def offer(self, trades: Trades, latest: int) -> Trades:
        """Take trades of the socket, in any order; release those that are next.

        latest: time (µs) after which no trade can have happened yet.
        """
        possible = self._possible(trades, latest)
        if self._is_next(trades, possible):
            # Nearly always: no hole, no double, nothing overtaken.
            self._last, self._time = int(_ids(trades)[-1]), int(trades.ts[-1])
            self._highest = max(self._highest, self._last)
            return trades
        kept = trades.take(possible)
        ids = _ids(kept)
        _, firsts = np.unique(ids, return_index=True)
        new = np.zeros(len(ids), np.bool_)
        new[firsts] = True
        new &= (ids > self._last) & ~np.isin(ids, _ids(self._held)) | self._is_owed(ids)
        fresh = kept.take(new)
        self.counts.duplicates += len(kept) - len(fresh)
        self.counts.reordered += self._count_overtaken(_ids(fresh))
        return self._take(fresh, trusted=False)

    def backfill(self, page: Trades, start: int) -> Trades:
        """Take a REST answer: every trade from id ``start`` to the page's last; release.

        ``start`` must be what ``wanted`` was, or less. An id that the page passes over does not
        exist.
        """
        page = page.take(np.argsort(_ids(page), kind="stable"))
        ids = _ids(page)
        if len(ids) == 0 or start > self.wanted:
            return no_trades()
        end = int(ids[-1])
        self._forget_ids_not_in(ids, end)
        unknown = (ids > self._last) & ~np.isin(ids, _ids(self._held)) | self._is_owed(ids)
        self.counts.backfilled += int(unknown.sum())
        # The exchange's own answer takes the place of what a frame said.
        kept = ~np.isin(_ids(self._held), ids)
        self._held, self._trusted = self._held.take(kept), self._trusted[kept]
        beyond = (ids > self._last) | self._is_owed(ids)
        return self._take(page.take(beyond), trusted=True, whole_until=end)

    def give_up(self) -> Trades:
        """Go on beyond the hole; its trades are owed, and released late if they ever come."""
        hole = self.hole
        if hole is None:
            return no_trades()
        self._owed.append(Owed(*hole, since=self._time))
        self._last = hole[1]
        return self._release(None)

    # -- inside -------------------------------------------------------------------------------

    def _possible(self, trades: Trades, latest: int) -> Bool:
        """Rows that can be trades; the rest is counted as garbage."""
        ids = _ids(trades)
        fine = np.isfinite(trades.price) & (trades.price > 0)
        fine &= np.isfinite(trades.amount) & (trades.amount > 0)
        earliest = self._time // MILLISECOND * MILLISECOND
        fine &= (trades.ts <= latest) & ((ids <= self._last) | (trades.ts >= earliest))
        self.counts.garbage += int((~fine).sum())
        return np.asarray(fine)

    def _is_next(self, trades: Trades, possible: Bool) -> bool:
        """Whether these very trades are next, and nothing else is waited for."""
        ids = _ids(trades)
        return (
            len(ids) > 0
            and len(self._held) == 0
            and not self._owed
            and bool(ids[0] == self._last + 1)
            and bool(possible.all())
            and bool((ids[1:] - ids[:-1] == 1).all())
            and bool(trades.ts[0] >= self._time)
            and bool((trades.ts[1:] >= trades.ts[:-1]).all())
        )

    def _is_owed(self, ids: I64) -> Bool:
        owed = np.zeros(len(ids), np.bool_)
        for part in self._owed:
            owed |= (ids >= part.first) & (ids <= part.last)
        return owed

    def _count_overtaken(self, ids: I64) -> int:
        if len(ids) == 0:
            return 0
        before = np.maximum.accumulate(np.r_[self._highest, ids])
        self._highest = int(before[-1])
        return int((ids < before[:-1]).sum())

    def _forget_ids_not_in(self, page: I64, end: int) -> None:
        """Held rows that the exchange does not know were garbage."""
        ids = _ids(self._held)
        kept = (ids > end) | np.isin(ids, page)
        self.counts.garbage += int((~kept).sum())
        self._held, self._trusted = self._held.take(kept), self._trusted[kept]

    def _take(self, fresh: Trades, *, trusted: bool, whole_until: int | None = None) -> Trades:
        """Put new trades where they belong: late ones are released, the rest is held in order."""
        late = _ids(fresh) <= self._last
        repaid = self._repay(fresh.take(late), whole_until)
        held = _joined([self._held, fresh.take(~late)])
        order = np.argsort(_ids(held), kind="stable")
        self._held = held.take(order)
        flags = np.r_[self._trusted, np.full(int((~late).sum()), trusted)]
        self._trusted = flags[order].astype(np.bool_)
        return _joined([repaid, self._release(whole_until)])

    def _repay(self, late: Trades, whole_until: int | None) -> Trades:
        """Owed trades have come: what is still owed shrinks."""
        late = late.take(np.argsort(_ids(late), kind="stable"))
        if whole_until is not None:
            for part in self._owed:
                part.first = max(part.first, whole_until + 1)
        elif len(late):
            self._owed = [
                Owed(*edges, since=part.since)
                for part in self._owed
                for edges in _without(part, _ids(late))
            ]
        self._owed = [part for part in self._owed if part.first <= part.last]
        return late

    def _release(self, whole_until: int | None) -> Trades:
        """The held trades that are next; all ids up to ``whole_until`` are known to be there."""
        ids = _ids(self._held)
        count = int((ids == self._last + 1 + np.arange(len(ids))).sum())
        if whole_until is not None and whole_until > self._last:
            passed = int(np.searchsorted(ids, whole_until, side="right"))
            rest = ids[passed:]
            count = passed + int((rest == whole_until + 1 + np.arange(len(rest))).sum())
        run = self._in_time(self._held.slice(0, count), self._trusted[:count])
        if run is None:
            return self._release(whole_until)
        last = max(self._last, whole_until or 0, *(_ids(run)[-1:].tolist()))
        self.counts.absent += last - self._last - count
        self._last = last
        self._held, self._trusted = self._held.slice(count, len(ids)), self._trusted[count:]
        if len(run):
            self._time = int(run.ts[-1])
            self._drop_held(self._held.ts < self._time // MILLISECOND * MILLISECOND)
        return run

    def _in_time(self, run: Trades, trusted: Bool) -> Trades | None:
        """The run with times that never fall, or None when frames had to be thrown away for it.

        Where a frame's time contradicts its id, REST is asked what is true. Should REST itself
        say that time fell, the trade is put at the time of the one before it. So it is, too, where
        sources write one millisecond with and without its microseconds.
        """
        floor = np.maximum.accumulate(np.maximum(run.ts, self._time))
        if np.array_equal(floor, run.ts):
            return run
        fell = floor // MILLISECOND != run.ts // MILLISECOND
        if fell.any() and not trusted.all():
            self._drop_held(np.arange(len(self._held)) < len(run), only_untrusted=True)
            return None
        return Trades(floor, run.price, run.amount, run.side, run.id)

    def _drop_held(self, wrong: Bool, *, only_untrusted: bool = False) -> None:
        if only_untrusted:
            wrong = wrong & ~self._trusted
        if wrong.any():
            self.counts.garbage += int(wrong.sum())
            self._held, self._trusted = self._held.take(~wrong), self._trusted[~wrong]


def _ids(trades: Trades) -> I64:
    if trades.id is None:
        raise ValueError("trades without ids cannot be put in sequence")
    return trades.id


def _joined(parts: list[Trades]) -> Trades:
    kept = [part for part in parts if len(part)]
    return cast(Trades, concatenate("trades", [*kept])) if kept else no_trades()


def _without(part: Owed, ids: I64) -> list[tuple[int, int]]:
    """What is left of an owed range without these ids (ascending)."""
    inside = ids[(ids >= part.first) & (ids <= part.last)].tolist()
    edges = [part.first - 1, *inside, part.last + 1]
    return [(low + 1, high - 1) for low, high in pairwise(edges) if low + 1 <= high - 1]
