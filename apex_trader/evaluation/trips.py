"""Round trips of an account, from its books before and after every step: exact, costs and all.

A trip begins with the fill that opens a position and ends with the one that closes or turns it. A
fill that turns a position pays for two trips, in proportion to their quantities.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Fields of an account that a log reads; the totals of costs are ``fee``, ``slippage``, ``paid``.
BOOKS = ("equity", "quantity", "entry_price", "realised", "fee", "slippage", "paid")
EQUITY, QUANTITY, ENTRY, REALISED, FEE, SLIPPAGE, PAID = range(len(BOOKS))
COST_BOOKS = slice(FEE, PAID + 1)

#: A round trip: start, end of its position (µs of the fills), side ±1, profit in quote currency
#: and gain as a share of the equity it began with, both net of costs. closed: False for one that
#: was still open at the end and is valued as if it was left at the last mark.
TRIP = np.dtype([("start", np.int64), ("end", np.int64), ("side", np.int8),
                 ("profit", np.float64), ("gain", np.float64), ("closed", np.bool_)])  # fmt: skip


class TripLog:
    """Follows one account. ``before`` and ``after`` are its BOOKS [7] around what happened."""

    def __init__(self) -> None:
        self._done: list[tuple[int, int, int, float, float, bool]] = []
        self._start, self._cost, self._equity = 0, 0.0, 1.0

    def step(self, before: F64, after: F64, now: Any, later: Any, equity: float) -> None:
        """One decision; ``now`` and ``later`` are its rows of the path, ``equity`` before it."""
        old, new = float(before[QUANTITY]), float(after[QUANTITY])
        traded = float((after - before)[[FEE, SLIPPAGE]].sum())
        funding = float(after[PAID] - before[PAID])
        moved = float(after[REALISED] - before[REALISED])
        if old == new:
            self._cost += traded + funding
            if old == 0.0 and (moved != 0.0 or traded != 0.0):
                self._ruined_at_once(moved, now, later, equity)
            return
        filled = not math.isnan(now.fill_price) and now.fill_ts > 0
        at = int(now.fill_ts) if filled else int(later.ts)
        late = at >= later.ts
        share = abs(old) / (abs(old) + abs(new))
        if old != 0.0:
            paid = share * traded + (funding if late or new == 0.0 else 0.0)
            self._close(before[QUANTITY], moved - paid, at, closed=True)
        if new != 0.0:
            self._start, self._equity = at, equity
            self._cost = (1.0 - share) * traded + (0.0 if late and old != 0.0 else funding)

    def jump(self, before: F64, after: F64, ts: int) -> None:
        """The account was carried over a gap to ``ts``, and perhaps liquidated there."""
        self._cost += float((after - before)[COST_BOOKS].sum())
        if before[QUANTITY] != 0.0 and after[QUANTITY] == 0.0:
            moved = float(after[REALISED] - before[REALISED])
            self._close(before[QUANTITY], moved, ts, closed=True)

    def end(self, books: F64, row: Any, costs: float) -> None:
        """Value the position that is left at a row's mark, less the ``costs`` of leaving it."""
        if books[QUANTITY] != 0.0:
            price = math.exp(row.mark)
            value = float(books[QUANTITY] * (price - books[ENTRY]))
            self._close(books[QUANTITY], value - costs, int(row.ts), closed=False)

    def table(self) -> NDArray[Any]:
        """The trips so far, records of dtype TRIP."""
        return np.array(self._done, TRIP)

    def _ruined_at_once(self, moved: float, now: Any, later: Any, equity: float) -> None:
        """A position that was opened and liquidated within one step: no book shows its quantity."""
        self._start, self._equity = int(now.fill_ts), equity
        quantity = moved * float(later.mark - now.fill_price)
        self._close(quantity, moved, int(later.ts), closed=True)

    def _close(self, quantity: float, moved: float, ts: int, closed: bool) -> None:
        side = 1 if quantity > 0.0 else -1
        profit = moved - self._cost
        self._done.append((self._start, ts, side, profit, profit / self._equity, closed))
        self._cost = 0.0
