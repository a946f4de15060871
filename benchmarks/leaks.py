"""A planted look-ahead: one row of one clock is seen before it has closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from apex_trader.state.clock_tables import DayView
from apex_trader.state.stretch import Grid
from apex_trader.time import CLOCKS


@contextmanager
def leak_of_one_row(clock: str) -> Iterator[None]:
    """While it lasts, states hold the bar of ``clock`` ("1s", "1m", "1h", "1d") that is open at the
    decision, with the high, low and close that it comes to."""
    honest = DayView.of

    def leaking(grid: Grid, ts: NDArray[np.int64], window: int) -> DayView:
        ahead = grid.step if grid.step == CLOCKS[clock] else 0
        return honest(grid, ts + ahead, window)

    DayView.of = leaking  # type: ignore[method-assign]
    try:
        yield
    finally:
        DayView.of = honest  # type: ignore[method-assign]
