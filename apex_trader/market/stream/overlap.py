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
REMEMBERED = 5 * MINUTE
#: REST is asked from so long (µs) before the last trade on.
OVERLAP = 5 * SECOND


class Overlap:
    """Releases trades that are known by time, price, amount and side alone.

    Identical trades in one millisecond are real fills. A source reports each of them once; so of
    one kind (equal in all four) there are as many as the source that has most of them says, and a
    second source adds only what it has more. An unbroken socket is one source, a REST answer is
    another; a socket that was lost is a new source afterwards, since many exchanges begin by
    repeating the last trades. Until REST has told what happened meanwhile, its trades are held.

    Args:
        time: time (µs) from which on trades are wanted.
    """

    def __init__(self, time: int) -> None:
        self._time = time
        self._known, self._held = _nothing(), _nothing()
        self._waiting = True
        self.counts = SequenceCounts()

    @property
    def hole(self) -> None:
        """Without consecutive ids no hole can be seen in an unbroken socket."""
        return

    @property
    def owed_since(self) -> int | None:
        """Nothing is missing before this time (µs); None: nothing is owed at all."""
        return self._time if self._waiting else None

    @property
    def wanted_time(self) -> int:
        """Time (µs) from which on REST is to be asked."""
        return max(0, self._time - OVERLAP)

    def prime(self, trades: Trades) -> None:
        """Trades (ordered by time) that are known already, such as those of a store."""
        self._learn(_bare(trades))

    def lost(self) -> None:
        """The socket is gone: what the next one says is held until REST was asked."""
        self._waiting = True

    def offer(self, trades: Trades, latest: int) -> Trades:
        """Take trades of the socket; release them, ordered by time.

        latest: time (µs) after which no trade can have happened yet.
        """
        fine = np.isfinite(trades.price) & (trades.price > 0) & (trades.ts <= latest)
        fine &= np.isfinite(trades.amount) & (trades.amount > 0)
        self.counts.garbage += int((~fine).sum())
        fresh = _bare(trades.take(np.asarray(fine)))
        if self._waiting:
            self._held = _joined(self._held, fresh)
            return _nothing()
        before = np.maximum.accumulate(np.r_[self._time, fresh.ts])[:-1]
        self.counts.reordered += int((fresh.ts < before).sum())
        return self._learn(fresh)

    def backfill(self, page: Trades) -> Trades:
        """Take a REST answer; release what is new in it."""
        new = self._unknown(_bare(page))
        self.counts.backfilled += len(new)
        return self._learn(new)

    def caught_up(self) -> Trades:
        """REST has told what happened before: release what was held and is new."""
        held, self._held, self._waiting = self._held, _nothing(), False
        new = self._unknown(held)
        self.counts.duplicates += len(held) - len(new)
        return self._learn(new)

    def give_up(self) -> Trades:
        """Go on without having asked REST."""
        return self.caught_up()

    def _unknown(self, rows: Trades) -> Trades:
        """The rows that this source has more of than is known."""
        oldest = int(self._known.ts[0]) if len(self._known) else self._time
        rows = rows.take(rows.ts >= oldest)
        return rows.take(occurs_more(self._known, rows))

    def _learn(self, new: Trades) -> Trades:
        new = new.take(np.argsort(new.ts, kind="stable"))
        if len(new) == 0:
            return new
        known = _joined(self._known, new)
        known = known.take(np.argsort(known.ts, kind="stable"))
        self._time = max(self._time, int(known.ts[-1]))
        self._known = known.between(self._time - REMEMBERED, self._time + 1)
        return new


def occurs_more(known: Trades, rows: Trades) -> NDArray[np.bool_]:
    """[rows] the k-th of identical rows is new when fewer than k of that kind are known."""
    both = _joined(known, rows)
    table = np.empty(len(both), [("ts", "i8"), ("price", "f8"), ("amount", "f8"), ("side", "i1")])
    for name in ("ts", "price", "amount", "side"):
        table[name] = getattr(both, name)
    _, kind = np.unique(table, return_inverse=True)
    kinds = int(kind.max()) + 1 if len(kind) else 0
    held = np.bincount(kind[: len(known)], minlength=kinds)
    mine: I64 = kind[len(known) :].astype(np.int64)
    order = np.argsort(mine, kind="stable")
    place = np.empty(len(mine), np.int64)
    place[order] = np.arange(len(mine)) - np.searchsorted(mine[order], mine[order])
    return np.asarray(place >= held[mine])


def _nothing() -> Trades:
    return cast(Trades, empty("trades"))


def _bare(trades: Trades) -> Trades:
    """Without ids: where some have none, they mean nothing."""
    return Trades(trades.ts, trades.price, trades.amount, trades.side)


def _joined(first: Trades, second: Trades) -> Trades:
    return cast(Trades, concatenate("trades", [first, second]))
