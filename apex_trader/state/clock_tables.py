"""All tables of one clock, and what one day sees of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.types import Bars, Seconds
from apex_trader.state.stretch import Grid, carry_bars, dense_grid, sparse_grid
from apex_trader.state.tables import Follower, Table, bar_table, follow, reference_table, tick_table
from apex_trader.time import CLOCKS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One market's input to a clock: its bars (and seconds, where the clock has ticks).

    end: µs; rows that carry a price are closed by it.
    """

    bars: Bars
    tick_size: float
    end: int
    seconds: Seconds | None = None


@dataclass(frozen=True)
class ClockTables:
    """The tables of one clock on the primary's rows; n = rows.

    grid: the rows. bars: the primary's bars on them. primary: its 8 columns, close and σ.
    reference [n, 2], follower: the reference's columns, closes and σ (NaN without a reference).
    reference_bars: on the reference's own rows, None without one.
    ticks [n, 10]: where the clock has them.
    """

    grid: Grid
    bars: Bars
    primary: Table
    reference: F64
    follower: Follower
    reference_bars: Bars | None
    ticks: F64 | None

    def block(self, name: str) -> F64:
        """The columns [n, width] of a block of this clock, by the block's name."""
        if name == "ticks":
            if self.ticks is None:
                raise LookupError("ticks exist on the 1 s clock alone")
            return self.ticks
        return self.primary.values if name.startswith("primary") else self.reference


def clock_tables(
    clock: str, primary: Side, reference: Side | None, max_gap: int | None
) -> ClockTables:
    """Computes a clock's tables. max_gap µs: on the fast clock; None: windows go on across gaps."""
    grid, bars = _on_grid(primary, clock, max_gap)
    table = bar_table(bars, grid, primary.tick_size)
    ticks = None
    if primary.seconds is not None:
        ticks = tick_table(primary.seconds, grid, primary.tick_size).values
    unknown = np.full(len(grid), np.nan)
    follower, reference_bars = Follower(unknown, unknown, unknown, unknown), None
    if reference is not None:
        its_grid, reference_bars = _on_grid(reference, clock, max_gap)
        its_table = bar_table(reference_bars, its_grid, reference.tick_size)
        follower = follow(grid, its_grid, its_table.close, its_table.sigma)
    columns = reference_table(follower, table, grid)
    return ClockTables(grid, bars, table, columns, follower, reference_bars, ticks)


def _on_grid(side: Side, clock: str, max_gap: int | None) -> tuple[Grid, Bars]:
    step = CLOCKS[clock]
    if max_gap is None:
        grid = sparse_grid(side.bars.ts, step)
    else:
        grid = dense_grid(side.bars.ts, step, max_gap, side.end)
    return grid, carry_bars(side.bars, grid)


@dataclass(frozen=True)
class DayView:
    """What one day's decisions see of a clock; n = decisions.

    last [n]: index of the last row closed by each decision, -1 where there is none.
    low, high: the segment's tables hold rows [low, high); low may be negative, where the history
    is shorter than a window: such rows are missing.
    """

    last: I64
    low: int
    high: int

    @classmethod
    def of(cls, grid: Grid, ts: I64, window: int) -> DayView:
        """The view of decisions at ``ts`` [n] with windows of that many rows."""
        last = grid.last_closed(ts)
        if len(last) == 0:
            return cls(last, 0, 0)
        return cls(last, int(last[0]) - window + 1, int(last[-1]) + 1)

    @property
    def row(self) -> I64:
        """``last`` as a row of the segment's table."""
        return self.last - self.low

    def cut(self, values: F64) -> F64:
        """The view's rows of a column or table, NaN where the history does not reach."""
        missing = max(0, -self.low)
        rows = values[max(0, self.low) : self.high]
        if not missing:
            return rows
        shape = (self.high - self.low, *values.shape[1:])
        padded = np.full(shape, np.nan)
        padded[missing:] = rows
        return padded

    def at_last(self, column: F64) -> F64:
        """A column's value [n] at each decision's last row, NaN where there is none."""
        if len(column) == 0:
            return np.full(len(self.last), np.nan)
        return np.where(self.last >= 0, column[np.maximum(self.last, 0)], np.nan)
