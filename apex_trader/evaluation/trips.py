"""Round trips of an account, from its journal: exact, costs and all.

A trip begins with the fill that opens a position and ends with the one that closes or turns it. A
fill that turns a position pays for two trips, in proportion to their quantities.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: A round trip: start, end of its position (µs of the fills), side ±1, profit in quote currency
#: and gain as a share of the equity it began with, both net of costs. closed: False for one that
#: was still open at the end and is valued as if it was left at the last mark.
TRIP = np.dtype([("start", np.int64), ("end", np.int64), ("side", np.int8),
                 ("profit", np.float64), ("gain", np.float64), ("closed", np.bool_)])  # fmt: skip


def round_trips(
    entries: NDArray[Any], rows: NDArray[Any], initial_equity: float, leaving: float
) -> NDArray[Any]:
    """Trips of dtype TRIP, in the order of their ends.

    entries: of dtype ``journal.ENTRY``; rows: of dtype ``path.ROW``; leaving: costs, quote
    currency, of closing the position that is open at the end.
    """
    trips = np.zeros(len(entries) + 1, TRIP)
    return trips[: _round_trips(entries, rows, initial_equity, leaving, trips)]


@njit(cache=True, nogil=True)
def _write(trip: Any, start: int, end: int, quantity: float, profit: float, equity: float,
           closed: bool) -> None:  # fmt: skip
    trip.start, trip.end = start, end
    trip.side = 1 if quantity > 0.0 else -1
    trip.profit, trip.gain, trip.closed = profit, profit / equity, closed


@njit(cache=True, nogil=True)
def _round_trips(entries: NDArray[Any], rows: NDArray[Any], initial_equity: float, leaving: float,
                 trips: NDArray[Any]) -> int:  # fmt: skip
    """Writes the trips; how many there are. The last entry's row is where the account ends."""
    count, start, cost, basis = 0, 0, 0.0, 1.0
    old, realised, equity = 0.0, 0.0, initial_equity
    for n in range(len(entries)):
        entry = entries[n]
        now, later = rows[entry.row], rows[entry.next_row]
        traded, moved = entry.fee + entry.slippage, entry.realised - realised
        new, funding = entry.quantity, entry.funding
        if entry.jump == 1:
            cost += traded + funding
            if old != 0.0 and new == 0.0:  # liquidated behind the gap
                _write(trips[count], start, later.ts, old, moved - cost, basis, True)
                count, cost = count + 1, 0.0
        elif old == new:
            cost += traded + funding
            if old == 0.0 and (moved != 0.0 or traded != 0.0):
                # opened and liquidated within one step: no book shows its quantity
                side = moved * (later.mark - now.fill_price)
                _write(trips[count], now.fill_ts, later.ts, side, moved - cost, equity, True)
                count, cost = count + 1, 0.0
        else:
            filled = not math.isnan(now.fill_price) and now.fill_ts > 0
            at = now.fill_ts if filled else later.ts
            late = at >= later.ts
            share = abs(old) / (abs(old) + abs(new))
            if old != 0.0:
                cost += share * traded + (funding if late or new == 0.0 else 0.0)
                _write(trips[count], start, at, old, moved - cost, basis, True)
                count, cost = count + 1, 0.0
            if new != 0.0:
                start, basis = at, equity
                cost = (1.0 - share) * traded + (0.0 if late and old != 0.0 else funding)
        old, realised, equity = new, entry.realised, entry.equity
    if old != 0.0:
        last = entries[len(entries) - 1]
        end = rows[last.next_row]
        value = old * (math.exp(end.mark) - last.entry_price) - leaving
        _write(trips[count], start, end.ts, old, value - cost, basis, False)
        count += 1
    return count
