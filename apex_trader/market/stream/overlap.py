"""Trades without consecutive ids: what two sources both have is told apart by counting."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.kinds import concatenate, empty
from apex_trader.market.stream.counts import SequenceCounts
from apex_trader.market.types import I64, Trades
from apex_trader.time import MINUTE, SECOND

#: Trades are remembered for so long (µs of trade time) to be matched with another source's.
REMEMBERED = MINUTE
#: REST is asked from so long (µs) before the time up to which all is known.
OVERLAP = 5 * SECOND


class Overlap:
    """Releases trades that are known by time, price, amount and side alone.

    Identical trades in one millisecond are real fills. A source tells each of them once; so of one
    kind (equal in all four) there are as many as the source that tells most of them. Sources are
    each socket, from its subscription to its end, and each REST answer: the k-th trade of a kind
    that a source tells is new when fewer than k are known. So neither what a new socket repeats of
    the past, nor what REST told before the socket did, comes twice.

    Args:
        time: time (µs) from which on trades are wanted.
    """

    #: Without consecutive ids no hole can be seen in an unbroken socket, and none is owed.
    hole = None
    owed_since = None

    def __init__(self, time: int) -> None:
        self._whole_to = self._newest = time
        self._joined = False
        self._known, self._socket = _nothing(), _nothing()
        self.counts = SequenceCounts()

    @property
    def wanted_time(self) -> int:
        """Time (µs) from which on REST is to be asked."""
        return max(0, (self._newest if self._joined else self._whole_to) - OVERLAP)

    def prime(self, trades: Trades) -> None:
        """Trades (ordered by time) that are known already, such as those of a store."""
        self._known = _bare(trades)

    def lost(self) -> None:
        """The socket is gone; the next one is another source."""
        if self._joined:
            self._whole_to = self._newest
        self._joined, self._socket = False, _nothing()

    def caught_up(self) -> None:
        """REST and the socket join: what is old need not be remembered any more."""
        self._joined = True
        self._forget()

    def offer(self, trades: Trades, latest: int) -> Trades:
        """Take trades of the socket; release the new ones, ordered by time.

        latest: time (µs) after which no trade can have happened yet.
        """
        fine = np.isfinite(trades.price) & (trades.price > 0) & (trades.ts <= latest)
        fine &= np.isfinite(trades.amount) & (trades.amount > 0)
        self.counts.garbage += int((~fine).sum())
        told = _bare(trades.take(np.asarray(fine)))
        before = np.maximum.accumulate(np.r_[self._newest, told.ts])[:-1]
        new = told.take(occurs_more(self._known, told, self._socket))
        self._socket = _insert(self._socket, told)
        self.counts.duplicates += len(told) - len(new)
        self.counts.reordered += int((told.ts < before).sum()) if self._joined else 0
        self._learn(new)
        return _by_time(new)

    def backfill(self, page: Trades) -> Trades:
        """Take a REST answer, which tells all of its time; release what is new in it."""
        page = _bare(page)
        if not self._joined and len(self._known):
            page = page.take(page.ts >= min(int(self._known.ts[0]), self._whole_to))
        new = page.take(occurs_more(self._known, page))
        self.counts.backfilled += len(new)
        self._learn(new)
        if len(page) and not self._joined:
            self._whole_to = max(self._whole_to, int(page.ts[-1]))
        return _by_time(new)

    def give_up(self) -> Trades:
        """Nothing is held back that could be let go."""
        return _nothing()

    def _learn(self, new: Trades) -> None:
        if len(new):
            self._known = _insert(self._known, new)
            self._newest = max(self._newest, int(self._known.ts[-1]))
        if self._joined:
            self._forget()

    def _forget(self) -> None:
        """Drop what is old, now and then."""
        oldest = self._newest - REMEMBERED
        if len(self._known) and self._known.ts[0] < oldest - REMEMBERED:
            self._known = self._known.between(oldest, self._newest + 1)
            self._socket = self._socket.between(oldest, self._newest + 1)


def occurs_more(known: Trades, rows: Trades, told: Trades | None = None) -> NDArray[np.bool_]:
    """[rows] the k-th trade of a kind that a source tells is new when fewer than k are known.

    told: what the same source told before. ``known`` and ``told`` are ordered by time.
    """
    if len(rows) == 0:
        return np.zeros(0, np.bool_)
    span = int(rows.ts.min()), int(rows.ts.max()) + 1
    known = known.between(*span)
    before = _nothing() if told is None else told.between(*span)
    kind = _kinds([known, before, rows])
    kinds = int(kind.max()) + 1
    first, second = len(known), len(known) + len(before)
    held = np.bincount(kind[:first], minlength=kinds)
    already = np.bincount(kind[first:second], minlength=kinds)
    mine = kind[second:]
    order = np.argsort(mine, kind="stable")
    place = np.empty(len(mine), np.int64)
    place[order] = np.arange(len(mine)) - np.searchsorted(mine[order], mine[order])
    return np.asarray(already[mine] + place >= held[mine])


def _kinds(parts: list[Trades]) -> I64:
    """The same number for trades that are equal in everything."""
    rows = cast(Trades, concatenate("trades", [*parts]))
    table = np.empty(len(rows), [("ts", "i8"), ("price", "f8"), ("amount", "f8"), ("side", "i1")])
    for name in ("ts", "price", "amount", "side"):
        table[name] = getattr(rows, name)
    _, kind = np.unique(table, return_inverse=True)
    return kind.astype(np.int64)


def _insert(rows: Trades, more: Trades) -> Trades:
    """Both, ordered by time."""
    joined = cast(Trades, concatenate("trades", [rows, more]))
    in_order = len(rows) == 0 or len(more) == 0 or more.ts.min() >= rows.ts[-1]
    return joined if in_order and (more.ts[1:] >= more.ts[:-1]).all() else _by_time(joined)


def _by_time(trades: Trades) -> Trades:
    if (trades.ts[1:] >= trades.ts[:-1]).all():
        return trades
    return trades.take(np.argsort(trades.ts, kind="stable"))


def _nothing() -> Trades:
    return cast(Trades, empty("trades"))


def _bare(trades: Trades) -> Trades:
    """Without ids: where some have none, they mean nothing."""
    return Trades(trades.ts, trades.price, trades.amount, trades.side)
