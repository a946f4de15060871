"""Fewer points that show the same: no peak of a line and no extreme of a price is lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.time import SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: A line of the charts has at most this many points.
MAX_POINTS = 2_000


def thin(values: NDArray[np.float64], limit: int = MAX_POINTS) -> I64:
    """Rows of a line [n] to draw, in order: all, or of each of limit/4 stretches the first, the
    lowest, the highest and the last one."""
    size = len(values)
    if size <= limit:
        return np.arange(size)
    edges = np.linspace(0, size, limit // 4 + 1).astype(np.int64)
    first, last = edges[:-1], edges[1:] - 1
    stretch = np.repeat(np.arange(len(first)), np.diff(edges))
    order = np.lexsort((values, stretch))
    return np.unique(np.concatenate([first, order[first], order[last], last]))


def times(ts: I64) -> F64:
    """Times in µs as a date axis takes numbers: ms since 1970, UTC."""
    return ts / (SECOND // 1_000)
