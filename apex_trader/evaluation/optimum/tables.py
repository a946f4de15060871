"""Values between the points of a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def interpolated(grid: F64, table: F64, at: F64) -> F64:
    """[n, c] ``table`` [g, c] between the points of an ascending grid [g]; held at its ends."""
    place = np.clip(np.searchsorted(grid, at) - 1, 0, len(grid) - 2)
    share = np.clip((at - grid[place]) / (grid[place + 1] - grid[place]), 0.0, 1.0)[:, None]
    values: F64 = (1.0 - share) * table[place] + share * table[place + 1]
    return values
