"""The tables of one clock while a market goes on: new rows behind those that there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.growing import GrowingArrays, GrowingRows
from apex_trader.market.types import Bars
from apex_trader.state.clock_tables import ClockTables, Side, clock_tables
from apex_trader.state.stretch import Grid
from apex_trader.state.tables import Follower, Table
from apex_trader.time import CLOCKS

I64 = NDArray[np.int64]


class GrowingClock:
    """``ClockTables`` that grow: each ``extend`` costs its new rows alone.

    Args:
        clock: key of ``CLOCKS``.
        max_gap: µs, on the fast clock; None on others.
        primary, reference: the sides up to now, reference None without one.
    """

    def __init__(self, clock: str, max_gap: int | None, primary: Side, reference: Side | None):
        self.clock, self._max_gap = clock, max_gap
        tables, self._carry = clock_tables(clock, primary, reference, max_gap)
        self._arrays = GrowingArrays(**_arrays(tables, 0))
        self._bars = GrowingRows(tables.bars)
        its = tables.reference_bars
        self._reference_bars: GrowingRows[Bars] | None = None if its is None else GrowingRows(its)

    def __len__(self) -> int:
        return len(self._arrays)

    def extend(self, primary: Side, reference: Side | None) -> ClockTables:
        """Take what is new since the sides' last ``end``; returns the new rows alone."""
        newest_real = int(self._arrays["source"][-1]) if len(self) else 0
        new, self._carry = clock_tables(self.clock, primary, reference, self._max_gap, self._carry)
        self._arrays.append(**_arrays(new, newest_real))
        self._bars.append(new.bars)
        if self._reference_bars is not None and new.reference_bars is not None:
            self._reference_bars.append(new.reference_bars)
        return new

    @property
    def tables(self) -> ClockTables:
        """All rows, as views."""
        a = self._arrays
        grid = Grid(a["ts"], a["source"], a["opened"], a["carried"], a["first"], CLOCKS[self.clock])
        names = ("follower_close", "follower_sigma", "last_close", "last_sigma")
        its = self._reference_bars
        return ClockTables(
            grid, self._bars.rows, Table(a["values"], a["close"], a["sigma"]), a["columns"],
            Follower(*(a[name] for name in names)), None if its is None else its.rows,
            a["ticks"] if "ticks" in a.names else None,
        )  # fmt: skip


def _arrays(tables: ClockTables, real: int) -> dict[str, NDArray[np.generic]]:
    """The tables' columns by name. real: number of the real row that these rows begin with."""
    grid, primary, follower = tables.grid, tables.primary, tables.follower
    ticks = {} if tables.ticks is None else {"ticks": tables.ticks}
    return {
        "ts": grid.ts, "source": grid.source + real, "opened": grid.opened,
        "carried": grid.carried, "first": grid.first, "values": primary.values,
        "close": primary.close, "sigma": primary.sigma, "columns": tables.reference,
        "follower_close": follower.close, "follower_sigma": follower.sigma,
        "last_close": follower.last_close, "last_sigma": follower.last_sigma, **ticks,
    }  # fmt: skip
