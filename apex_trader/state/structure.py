"""Pivots and regime on the minute clock, for any day of a history.

Both are recursions over all minutes. The pivots' state is kept at day boundaries, so that a day
costs its own minutes and not the whole history; days may be asked for in any order. The history
may grow; rows behind the newest ones then cost themselves alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.growing import GrowingArrays, GrowingRows
from apex_trader.market.types import Bars
from apex_trader.state.clock_tables import ClockTables
from apex_trader.state.decisions import Structure
from apex_trader.state.pivots import PivotCarry, Pivots, confirmed_trend, pivot_table
from apex_trader.state.regime import (
    SIGMA_FLOOR,
    RegimeHistory,
    SecondCloses,
    SecondResidual,
    choppiness_index,
)
from apex_trader.state.schema import REGIME_COLUMNS
from apex_trader.state.segment import PivotEvents
from apex_trader.time import DAY

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: The clock of pivots and regime.
MINUTES = "1m"
#: Pivots of this level and above are events of the reward and of the replay.
EVENT_LEVEL = 2
#: A time before any market.
_NEVER = -(2**62)


@dataclass(frozen=True)
class StructureRows:
    """Rows of the blocks "pivots" [m, 250] (with their scales [m, 45]) and "regime" [m, 20].

    ts [m]: open times of their minutes, µs; far in the past in front of the history.
    """

    ts: I64
    pivots: F32
    row_scale: F32
    regime: F32

    def known(self, last: I64) -> Structure:
        """What decisions know whose newest minute is row ``last`` [n] of these."""
        return Structure(
            {"pivots": self.pivots, "regime": self.regime},
            {"pivots": self.row_scale},
            confirmed_trend(self.pivots[last]),
            choppiness_index(self.regime[last]),
        )


class StructureHistory:
    """Pivots and regime of a history, which may grow: what a minute adds costs that minute."""

    def __init__(
        self, minutes: ClockTables, hours: ClockTables, days: ClockTables, tick_size: float
    ) -> None:
        """minutes, hours, days: the clocks so far. tick_size: in price."""
        self._tick_size = tick_size
        self._bars = GrowingRows(log_bars(minutes.bars))
        self._hours, self._days = (GrowingRows(log_bars(c.bars)) for c in (hours, days))
        # One tick at the first price: whatever comes later does not change it.
        self._floor = SIGMA_FLOOR
        self._history: RegimeHistory | None = None
        self._table = GrowingArrays(rows=np.empty((0, len(REGIME_COLUMNS)), np.float32))
        self._pivots = PivotHistory(self._bars, tick_size)
        self._take(minutes)

    def extend(self, minutes: ClockTables, hours: ClockTables, days: ClockTables) -> None:
        """Take the new rows of all three clocks up to one time."""
        self._bars.append(log_bars(minutes.bars))
        self._hours.append(log_bars(hours.bars))
        self._days.append(log_bars(days.bars))
        self._pivots.extend()
        self._take(minutes)

    def rows(
        self, low: int, high: int, base: float, residual: SecondResidual | None = None
    ) -> StructureRows:
        """Rows [low, high) of the minute clock; NaN before the first minute.

        base: log price that anchored columns are relative to, see ``Segment``. residual: that of
        seconds, where there are some: those of the day and of the day before it.
        """
        pivots, row_scale = self._pivots.rows(low, high, base)
        begin, missing = max(0, low), max(0, -low)
        regime = self._regime(max(0, high))[begin:].copy()
        ts = self._bars.rows.ts[begin : max(0, high)]
        if residual is not None:
            residual.put(regime, ts)
        ts = np.concatenate((np.full(missing, _NEVER), ts))
        return StructureRows(ts, pivots, row_scale, _pad(regime, missing, np.nan))

    def residual(self) -> SecondResidual:
        """An empty one, for the seconds of a day and of the day before it."""
        return SecondResidual(self._floor)

    def events(self, ts: I64, interval: int) -> PivotEvents:
        """Pivots of level 2 and above that the decisions at ``ts`` are the first to know."""
        found = self._pivots.known_between(int(ts[0]) - interval, int(ts[-1]))
        kept = found.level >= EVENT_LEVEL
        return PivotEvents(
            np.searchsorted(ts, found.known_ts[kept]).astype(np.int32),
            found.level[kept],
            found.kind[kept],
            found.ts[kept],
        )

    def _take(self, minutes: ClockTables) -> None:
        if self._history is None and len(minutes.bars):
            self._floor = self._tick_size / float(minutes.bars.close[0])
            self._history = RegimeHistory(self._floor)
        if self._history is not None:
            reference = minutes.reference_bars
            its = None if reference is None else log_bars(reference)
            self._history.extend(log_bars(minutes.bars), its)

    def _regime(self, high: int) -> F32:
        """Regime rows [0, high), the residual from minutes; each is computed once."""
        done = len(self._table)
        if high > done and self._history is not None:
            new = self._history.rows(done, len(self._bars), self._hours.rows, self._days.rows)
            self._table.append(rows=new)
            self._history.forget()
        return self._table["rows"][:high]


def second_closes(seconds: ClockTables, first: int = 0) -> SecondCloses:
    """Log closes of both symbols on every second, carried over gaps too: those of the rows from
    ``first`` on and of the gap before them."""
    grid = seconds.grid
    begin = max(0, first - 1)
    ts = np.arange(grid.ts[begin], grid.ts[-1] + 1, grid.step)[first - begin :]
    source = begin + np.searchsorted(grid.ts[begin:], ts, side="right") - 1
    return SecondCloses(
        ts,
        seconds.primary.close[source],
        seconds.follower.last_close[source],
        grid.ts[source] != ts,
    )


class PivotHistory:
    """The pivot state machine over a history, with its state at each day's first bar."""

    def __init__(self, bars: GrowingRows[Bars], tick_size: float) -> None:
        """bars: log prices. tick_size: in price."""
        self._rows, self._tick_size = bars, tick_size
        self._days: I64 = np.empty(0, np.int64)
        self._bounds: I64 = np.empty(0, np.int64)
        self._carries = [PivotCarry.start()]
        #: The newest bar that rows were made of, and the state behind it.
        self._newest: tuple[int, PivotCarry] | None = None
        self.extend()

    def extend(self) -> None:
        """See which days begin in the bars that came."""
        bars = self._rows.rows
        known = int(self._bounds[-1]) if len(self._bounds) else 0
        days = np.unique(bars.ts[known:] // DAY * DAY)
        new = days[~np.isin(days, self._days)]
        self._days = np.concatenate((self._days, new))
        self._bounds = np.concatenate((self._bounds, np.searchsorted(bars.ts, new)))

    def rows(self, low: int, high: int, base: float) -> tuple[F32, F32]:
        """(table [high - low, 250], row_scale [.., 45]) of bars [low, high); NaN before the first.

        base: log price that anchored columns are relative to.
        """
        missing = max(0, -low)
        start, carry = self._before(max(0, low))
        stop = max(high, start)
        result = pivot_table(
            self._rows.rows.slice(start, stop),
            base,
            carry,
            emit_from=max(0, low) - start,
            emit_to=max(high, max(0, low)) - start,
            floor=self._tick_size * float(np.exp(-base)),
        )
        self._newest = stop, result.carry
        return _pad(result.table, missing, np.nan), _pad(result.row_scale, missing, 0.0)

    def known_between(self, after: int, until: int) -> Pivots:
        """Pivots that become known in (after, until], µs."""
        bars = self._rows.rows
        low, high = np.searchsorted(bars.ts + bars.step, [after, until], side="right")
        start, carry = self._before(int(low))
        found = pivot_table(bars.slice(start, int(high)), 0.0, carry, emit_from=0, emit_to=0).pivots
        wanted = (found.known_ts > after) & (found.known_ts <= until)
        return Pivots(**{name: column[wanted] for name, column in vars(found).items()})

    def _before(self, bar: int) -> tuple[int, PivotCarry | None]:
        """The last known state at or before a bar: a day's boundary, or the newest one."""
        if len(self._bounds) == 0:
            return 0, None
        day = int(np.searchsorted(self._bounds, bar, side="right")) - 1
        if self._newest is not None and self._bounds[day] <= self._newest[0] <= bar:
            return self._newest
        while len(self._carries) <= day:
            last = len(self._carries) - 1
            part = self._rows.rows.slice(int(self._bounds[last]), int(self._bounds[last + 1]))
            done = pivot_table(part, 0.0, self._carries[last], emit_from=0, emit_to=0)
            self._carries.append(done.carry)
        return int(self._bounds[day]), self._carries[day]


def log_bars(bars: Bars) -> Bars:
    """The bars with log prices."""
    prices = {name: np.log(getattr(bars, name)) for name in ("open", "high", "low", "close")}
    return replace(bars, **prices)


def _pad(rows: F32, missing: int, value: float) -> F32:
    if not missing:
        return rows
    return np.concatenate((np.full((missing, rows.shape[1]), value, np.float32), rows))
