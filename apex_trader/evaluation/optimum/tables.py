"""Tables of values by row: between the points of a grid, and of long paths, a stretch at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Rows of a path that are worked out together: what they take on the way is some 40 MB.
_ROWS = 1 << 14


Table = TypeVar("Table", bound=np.generic)


def by_stretch(rows: int, of: Callable[[slice], NDArray[Table]]) -> NDArray[Table]:
    """``of`` all rows, asked for stretches of them: for tables each of whose rows stands alone."""
    starts = range(0, max(rows, 1), _ROWS)
    return np.concatenate([of(slice(start, min(start + _ROWS, rows))) for start in starts])


def interpolated(grid: F64, table: F64, at: F64) -> F64:
    """[n, c] ``table`` [g, c] between the points of an ascending grid [g]; held at its ends."""
    place = np.clip(np.searchsorted(grid, at) - 1, 0, len(grid) - 2)
    share = np.clip((at - grid[place]) / (grid[place + 1] - grid[place]), 0.0, 1.0)[:, None]
    values: F64 = (1.0 - share) * table[place] + share * table[place + 1]
    return values
