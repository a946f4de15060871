"""Pivots and regime on the minute clock, for any day of a history.

Both are recursions over all minutes. The pivots' state is kept at day boundaries, so that a day
costs its own minutes and not the whole history; days may be asked for in any order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.types import Bars
from apex_trader.state.clock_tables import ClockTables, DayView
from apex_trader.state.decisions import Structure
from apex_trader.state.pivots import PivotCarry, Pivots, confirmed_trend, pivot_table
from apex_trader.state.regime import (
    SIGMA_FLOOR,
    SecondCloses,
    choppiness_index,
    regime_table,
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

_RESIDUAL = [column.name for column in REGIME_COLUMNS].index("reference_residual")


class StructureHistory:
    """Pivots and regime of a history; see ``Structure`` for what a day gets of it."""

    def __init__(
        self, minutes: ClockTables, hours: ClockTables, days: ClockTables, tick_size: float
    ) -> None:
        self._bars = log_bars(minutes.bars)
        self._hours, self._days = log_bars(hours.bars), log_bars(days.bars)
        reference = minutes.reference_bars
        self._reference = None if reference is None else log_bars(reference)
        # One tick at the first price: whatever comes later does not change it.
        self._floor = tick_size / float(minutes.bars.close[0]) if len(self._bars) else SIGMA_FLOOR
        self._pivots = PivotHistory(self._bars, tick_size)

    def day(self, view: DayView, base: float, seconds: ClockTables | None) -> Structure:
        """What the decisions of a minute view know.

        base: the primary's, see ``Segment``. seconds: the 1 s clock of the day and the day before,
        where there is one.
        """
        pivots, row_scale = self._pivots.rows(view.low, view.high, base)
        regime = self._regime_rows(view, seconds)
        return Structure(
            {"pivots": pivots, "regime": regime},
            {"pivots": row_scale},
            confirmed_trend(pivots)[view.row],
            choppiness_index(regime)[view.row],
        )

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

    @cached_property
    def _regime(self) -> F32:
        """[minutes, 20] of the whole history, the residual from minutes."""
        return regime_table(self._bars, self._hours, self._days, self._reference, floor=self._floor)

    def _regime_rows(self, view: DayView, seconds: ClockTables | None) -> F32:
        low, high = max(0, view.low), max(0, view.high)
        rows = self._regime[low:high]
        if seconds is not None and self._reference is not None and len(seconds.grid):
            rows = rows.copy()
            fine = regime_table(
                self._bars.slice(low, high), self._hours, self._days, None,
                second_closes(seconds), floor=self._floor,
            )[:, _RESIDUAL]  # fmt: skip
            rows[:, _RESIDUAL] = np.where(np.isnan(fine), rows[:, _RESIDUAL], fine)
        return _pad(rows, max(0, -view.low), np.nan)


def second_closes(seconds: ClockTables) -> SecondCloses:
    """Log closes of both symbols on every second, carried over gaps too."""
    grid = seconds.grid
    ts = np.arange(grid.ts[0], grid.ts[-1] + 1, grid.step)
    source = np.searchsorted(grid.ts, ts, side="right") - 1
    return SecondCloses(ts, seconds.primary.close[source], seconds.follower.last_close[source])


class PivotHistory:
    """The pivot state machine over a history, with its state at each day's first bar."""

    def __init__(self, bars: Bars, tick_size: float) -> None:
        """bars: log prices. tick_size: in price."""
        self._bars, self._tick_size = bars, tick_size
        days = np.unique(bars.ts // DAY * DAY)
        self._bounds = np.searchsorted(bars.ts, days)
        self._carries = [PivotCarry.start()]

    def rows(self, low: int, high: int, base: float) -> tuple[F32, F32]:
        """(table [high - low, 250], row_scale [.., 45]) of bars [low, high); NaN before the first.

        base: log price that anchored columns are relative to.
        """
        missing = max(0, -low)
        start, carry = self._before(max(0, low))
        result = pivot_table(
            self._bars.slice(start, max(high, start)),
            base,
            carry,
            emit_from=max(0, low) - start,
            emit_to=max(high, max(0, low)) - start,
            floor=self._tick_size * float(np.exp(-base)),
        )
        return _pad(result.table, missing, np.nan), _pad(result.row_scale, missing, 0.0)

    def known_between(self, after: int, until: int) -> Pivots:
        """Pivots that become known in (after, until], µs."""
        step = self._bars.step
        low, high = np.searchsorted(self._bars.ts + step, [after, until], side="right")
        start, carry = self._before(int(low))
        found = pivot_table(
            self._bars.slice(start, int(high)), 0.0, carry, emit_from=0, emit_to=0
        ).pivots
        wanted = (found.known_ts > after) & (found.known_ts <= until)
        return Pivots(**{name: column[wanted] for name, column in vars(found).items()})

    def _before(self, bar: int) -> tuple[int, PivotCarry | None]:
        """The last day boundary at or before a bar, and the state there."""
        if len(self._bounds) == 0:
            return 0, None
        day = int(np.searchsorted(self._bounds, bar, side="right")) - 1
        while len(self._carries) <= day:
            last = len(self._carries) - 1
            part = self._bars.slice(int(self._bounds[last]), int(self._bounds[last + 1]))
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
