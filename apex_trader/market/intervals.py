"""Half-open time intervals [start, end): int64 arrays of shape [k, 2], sorted and disjoint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.types import I64

Bool = NDArray[np.bool_]


def empty() -> I64:
    """No time at all."""
    return np.empty((0, 2), np.int64)


def one(start: int, end: int) -> I64:
    """The interval [start, end), or none when it is empty."""
    return np.array([[start, end]], np.int64) if start < end else empty()


def union(*parts: I64, tolerance: int = 0) -> I64:
    """All the time that any part covers; gaps of at most ``tolerance`` are closed."""
    rows = np.concatenate([empty(), *parts])
    rows = rows[rows[:, 0] < rows[:, 1]]
    if len(rows) == 0:
        return empty()
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    reach = np.maximum.accumulate(rows[:, 1])
    first = np.flatnonzero(np.r_[True, rows[1:, 0] > reach[:-1] + tolerance])
    last = np.r_[first[1:] - 1, len(rows) - 1]
    return np.stack([rows[first, 0], reach[last]], axis=1)


def clip(parts: I64, start: int, end: int) -> I64:
    """The part of each interval inside [start, end)."""
    low, high = np.maximum(parts[:, 0], start), np.minimum(parts[:, 1], end)
    kept = low < high
    return np.stack([low[kept], high[kept]], axis=1)


def subtract(parts: I64, taken: I64) -> I64:
    """The time of ``parts`` that ``taken`` does not cover."""
    parts, taken = union(parts), union(taken)
    out = [empty()]
    for start, end in parts.tolist():
        cut = clip(taken, start, end)
        edges = np.concatenate([[start], cut.ravel(), [end]]).astype(np.int64).reshape(-1, 2)
        out.append(edges[edges[:, 0] < edges[:, 1]])
    return np.concatenate(out)


def round_out(parts: I64, step: int) -> I64:
    """Each interval widened to whole steps."""
    return union(np.stack([parts[:, 0] // step * step, -(-parts[:, 1] // step) * step], axis=1))


def round_in(parts: I64, step: int) -> I64:
    """Each interval narrowed to the whole steps that it covers."""
    return union(np.stack([-(-parts[:, 0] // step) * step, parts[:, 1] // step * step], axis=1))


def covers(parts: I64, starts: I64, step: int) -> Bool:
    """Whether one interval holds all of [start, start + step), for each start."""
    if len(parts) == 0:
        return np.zeros(len(starts), np.bool_)
    index = np.searchsorted(parts[:, 0], starts, side="right") - 1
    inside: Bool = (index >= 0) & (parts[np.maximum(index, 0), 1] >= starts + step)
    return inside
