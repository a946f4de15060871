"""Stretches: unbroken runs of rows of the fast clock, and the rows that carry a quiet price.

Whether a quiet second lies in a short pause or in a gap is known only later, and a state must not
depend on what comes later. So after each real row up to ``max_gap`` carried rows follow in either
case; a pause longer than that has no further rows, and the next real row begins a new stretch.

Some sources fill a pause with bars without volume. Nobody traded in them, so they are no real rows:
an exchange that stands still for an hour is a gap, however its minutes are recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.types import Bars

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]


class GridCarry(NamedTuple):
    """Where the rows of a clock stand, for those that follow.

    rows: how many there are. first: the row with which the newest stretch begins. carried: how
    many of the newest rows only carry the price of the newest real one.
    """

    rows: int
    first: int
    carried: int


@dataclass(frozen=True)
class Grid:
    """The rows of a table on one clock; n = rows.

    ts [n]: open time, µs. source [n]: index of the real row that it shows; opened [n]: that row's
    open time, µs. carried [n]: the row only carries the price of ``source``. first [n]: the row
    with which its stretch begins. step: µs between rows of a stretch. before: number of the first
    row here, where these follow others; ``first`` counts those too.
    """

    ts: I64
    source: I64
    opened: I64
    carried: Bool
    first: I64
    step: int
    before: int = 0

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def begins(self) -> Bool:
        """[n] the rows that begin a stretch: nothing is known of the move that led to them."""
        return np.asarray(self.first == self.before + np.arange(len(self.first)))

    def carry(self, earlier: GridCarry | None) -> GridCarry | None:
        """What the rows that follow these need; earlier: what these rows needed."""
        if len(self) == 0:
            return earlier
        real = np.flatnonzero(~self.carried)
        carried = len(self) - 1 - int(real[-1]) if len(real) else len(self)
        if len(real) == 0 and earlier is not None:
            carried += earlier.carried
        return GridCarry(self.before + len(self), int(self.first[-1]), carried)

    def last_closed(self, times: I64) -> I64:
        """Index of the last row closed by each time (ts + step <= time), -1 when none is."""
        return np.searchsorted(self.ts, times - self.step, side="right") - 1


def dense_grid(
    ts: I64, step: int, max_gap: int, end: int, earlier: GridCarry | None = None
) -> Grid:
    """The fast clock's rows: each real row (``ts``, ascending) and those that carry its price.

    A row is carried for at most ``max_gap`` µs after its source and only when it is closed by
    ``end``. earlier: where other rows left off; then ``ts`` begins with the newest real one of
    those, which is not repeated but goes on being carried.
    """
    if len(ts) == 0:
        return sparse_grid(ts, step)
    following = np.append(np.diff(ts), end - ts[-1]) // step - 1
    carried_rows = np.clip(following, 0, max_gap // step)
    starts = np.concatenate(([0], np.cumsum(carried_rows + 1)))
    source = np.repeat(np.arange(len(ts)), carried_rows + 1)
    offset = np.arange(starts[-1]) - starts[source]
    grid_ts = ts[source] + offset * step
    breaks = np.concatenate(([True], np.diff(grid_ts) > step))
    first = np.maximum.accumulate(np.where(breaks, np.arange(len(grid_ts)), 0))
    grid = Grid(grid_ts, source, ts[source], offset > 0, first, step)
    return grid if earlier is None else _following(grid, earlier)


def sparse_grid(ts: I64, step: int, earlier: GridCarry | None = None) -> Grid:
    """A coarse clock's rows: the real ones alone. Absent bars are skipped, windows go on.

    earlier: as in ``dense_grid``.
    """
    rows = np.arange(len(ts))
    nothing = np.zeros(len(ts), np.int64)
    grid = Grid(ts, rows, ts, np.zeros(len(ts), np.bool_), nothing, step)
    return grid if earlier is None else _following(grid, earlier)


def _following(grid: Grid, earlier: GridCarry) -> Grid:
    """The rows of a grid behind those that there were; both hold the newest real row of these."""
    done = 1 + earlier.carried
    number = earlier.rows - done
    first = np.where(grid.first == 0, earlier.first, grid.first + number)
    return Grid(
        grid.ts[done:], grid.source[done:], grid.opened[done:], grid.carried[done:], first[done:],
        grid.step, earlier.rows,
    )  # fmt: skip


def traded_bars(bars: Bars) -> Bars:
    """The bars in which somebody traded. One without volume carries a price, as an absent one."""
    traded = bars.volume > 0
    return bars if traded.all() else bars.take(traded)


def carry_bars(bars: Bars, grid: Grid) -> Bars:
    """The bars on a grid: carried rows are flat at the last close, without volume.

    What the source does not know of a bar (NaN) stays unknown in the rows that carry it.
    """
    if not grid.carried.any():
        same = len(bars) == len(grid)
        return replace(bars.slice(0, len(bars)) if same else bars.take(grid.source), ts=grid.ts)
    close = bars.close[grid.source]

    def price(column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(grid.carried, close, column[grid.source])

    def flow(column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(grid.carried, 0.0 * column[grid.source], column[grid.source])

    return Bars(
        grid.ts, price(bars.open), price(bars.high), price(bars.low), close, flow(bars.volume),
        flow(bars.taker_buy_volume), flow(bars.count), bars.clock,
    )  # fmt: skip
