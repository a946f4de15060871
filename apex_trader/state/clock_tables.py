"""All tables of one clock, and what one day sees of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.growing import join
from apex_trader.market.types import Bars, Seconds
from apex_trader.state.stretch import (
    Grid,
    GridCarry,
    carry_bars,
    dense_grid,
    sparse_grid,
    traded_bars,
)
from apex_trader.state.tables import (
    BarCarry,
    Follower,
    ReferenceCarry,
    ReferenceRows,
    Table,
    TickCarry,
    bar_table,
    follow,
    reference_table,
    tick_table,
)
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


class SideCarry(NamedTuple):
    """What a market's next rows on a clock go on from.

    bar, second: its newest real one (second: where there are ticks). row: its newest row as a
    follower, see ``follow``.
    """

    grid: GridCarry
    bar: Bars
    second: Seconds | None
    table: BarCarry
    ticks: TickCarry | None
    row: ReferenceRows


class ClockCarry(NamedTuple):
    """What the next rows of a clock go on from; None for a market without any row so far."""

    primary: SideCarry | None = None
    reference: SideCarry | None = None
    columns: ReferenceCarry | None = None


def clock_tables(
    clock: str,
    primary: Side,
    reference: Side | None,
    max_gap: int | None,
    carry: ClockCarry | None = None,
) -> tuple[ClockTables, ClockCarry]:
    """Computes a clock's tables, and what rows to come go on from.

    max_gap µs: on the fast clock; None: windows go on across gaps. carry: from an earlier call;
    then the sides hold what is new since its ``end``, and the tables the rows that are new. Any
    division of a history into calls gives the same rows, bit for bit.
    """
    past = carry or ClockCarry()
    own = _SideTables.of(primary, clock, max_gap, past.primary)
    unknown = np.full(len(own.grid), np.nan)
    follower, reference_bars = Follower(unknown, unknown, unknown, unknown), None
    its_carry = past.reference
    if reference is not None:
        alone = replace(reference, seconds=None)
        its = _SideTables.of(alone, clock, max_gap, past.reference)
        reference_bars, its_carry = its.bars, its.carry
        rows = its.rows if past.reference is None else past.reference.row.followed_by(its.rows)
        follower = follow(own.grid, rows)
    columns, columns_carry = reference_table(follower, own.table, own.grid, past.columns)
    tables = ClockTables(
        own.grid, own.bars, own.table, columns, follower, reference_bars, own.ticks
    )
    return tables, ClockCarry(own.carry, its_carry, columns_carry)


@dataclass(frozen=True)
class _SideTables:
    """One market's rows on a clock: those that are new."""

    grid: Grid
    bars: Bars
    table: Table
    ticks: F64 | None
    carry: SideCarry | None

    @classmethod
    def of(cls, side: Side, clock: str, max_gap: int | None, past: SideCarry | None) -> Self:
        bars, seconds = side.bars, side.seconds
        if max_gap is not None and seconds is None:  # those of seconds have trades
            bars = traded_bars(bars)
        if past is not None:
            bars = join(past.bar, bars)
            if past.second is not None and seconds is not None:
                seconds = join(past.second, seconds)
        grid = _grid(bars.ts, clock, max_gap, side.end, past)
        on_grid = carry_bars(bars, grid)
        table, bar_carry = bar_table(on_grid, grid, side.tick_size, past and past.table)
        ticks = tick_carry = None
        if seconds is not None:
            tick, tick_carry = tick_table(seconds, grid, side.tick_size, past and past.ticks)
            ticks = tick.values
        rows = ReferenceRows(grid.ts, grid.step, table.close, table.sigma)
        where = grid.carry(past and past.grid)
        if where is None or len(grid) == 0:
            return cls(grid, on_grid, table, ticks, past)
        last = None if seconds is None else seconds.slice(len(seconds) - 1, len(seconds))
        carry = SideCarry(
            where, bars.slice(len(bars) - 1, len(bars)), last, bar_carry, tick_carry, rows.newest
        )
        return cls(grid, on_grid, table, ticks, carry)

    @property
    def rows(self) -> ReferenceRows:
        """As a follower."""
        return ReferenceRows(self.grid.ts, self.grid.step, self.table.close, self.table.sigma)


def _grid(ts: I64, clock: str, max_gap: int | None, end: int, past: SideCarry | None) -> Grid:
    earlier = None if past is None else past.grid
    if max_gap is None:
        return sparse_grid(ts, CLOCKS[clock], earlier)
    return dense_grid(ts, CLOCKS[clock], max_gap, end, earlier)


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
