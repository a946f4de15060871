"""A planted look-ahead: one row of one clock is seen before it has closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from apex_trader.state.clock_tables import DayView
from apex_trader.state.stretch import Grid
from apex_trader.time import CLOCKS


class _Leaking(DayView):
    """A day's view whose windows end one row later than they may; prices and stretches, which
    decide what can be traded, stay those of the honest one."""

    @property
    def row(self) -> NDArray[np.int64]:
        """The row that is open at each decision, the day's last one where there is none."""
        return np.minimum(self.last + 1, self.high - 1) - self.low


@contextmanager
def leak_of_one_row(clock: str) -> Iterator[None]:
    """While it lasts, states hold the bar of ``clock`` ("1s", "1m", "1h", "1d") that is open at the
    decision, with the high, low and close that it comes to."""
    honest = DayView.of

    def leaking(grid: Grid, ts: NDArray[np.int64], window: int) -> DayView:
        view = honest(grid, ts, window)
        if grid.step != CLOCKS[clock]:
            return view
        return _Leaking(view.last, view.low, min(view.high + 1, len(grid)))

    DayView.of = leaking  # type: ignore[method-assign]
    try:
        yield
    finally:
        DayView.of = honest  # type: ignore[method-assign]
