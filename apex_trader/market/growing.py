"""Rows that only grow: appending costs what is appended, and a view once read never changes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.types import Bars, Funding, Seconds, Trades

Array = NDArray[Any]
Rows = TypeVar("Rows", Bars, Seconds, Trades, Funding)

#: Rows that a buffer begins with; it doubles when it is full.
_ROOM = 1024


class GrowingArrays:
    """Named arrays of equal length, which grow together.

    Reading gives views of what is there. Rows are never written twice and buffers never shrink in
    place, so a view stays as it was whatever is appended or forgotten later.
    """

    def __init__(self, **first: Array) -> None:
        """first: the arrays to begin with, [n, …] each; they may be empty."""
        self._buffers: dict[str, Array] = {}
        self._begin, self._end = 0, len(next(iter(first.values())))
        for name, values in first.items():
            room = np.empty((max(_ROOM, len(values)), *values.shape[1:]), values.dtype)
            room[: self._end] = values
            self._buffers[name] = room

    def __len__(self) -> int:
        return self._end - self._begin

    def __getitem__(self, name: str) -> Array:
        return self._buffers[name][self._begin : self._end]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(self._buffers)

    def append(self, **rows: Array) -> None:
        """Add rows [m, …] to every array."""
        more = len(next(iter(rows.values())))
        if more == 0:
            return
        end = self._end + more
        if end > len(next(iter(self._buffers.values()))):
            self._move(max(2 * (end - self._begin), _ROOM))
            end = self._end + more
        for name, buffer in self._buffers.items():
            buffer[self._end : end] = rows[name]
        self._end = end

    def forget(self, count: int) -> None:
        """Drop the first ``count`` rows."""
        self._begin += count
        if self._begin > 2 * len(self):
            self._move(max(2 * len(self), _ROOM))

    def _move(self, room: int) -> None:
        """To new buffers: the old ones may be seen through views."""
        count = len(self)
        for name, buffer in self._buffers.items():
            moved = np.empty((room, *buffer.shape[1:]), buffer.dtype)
            moved[:count] = buffer[self._begin : self._end]
            self._buffers[name] = moved
        self._begin, self._end = 0, count


class GrowingRows(Generic[Rows]):
    """Rows of one kind (``Bars``, ``Seconds``, ``Trades``, …) that grow.

    What is not an array (a clock) is that of the first rows. A column that some rows lack (the
    ``id`` of trades) is lacking from then on.
    """

    def __init__(self, first: Rows) -> None:
        self._like: Rows = first
        self._arrays = GrowingArrays(**_columns(first))

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def rows(self) -> Rows:
        """All rows, as views."""
        columns: dict[str, Any] = dict.fromkeys(_columns(self._like))
        columns |= {name: self._arrays[name] for name in self._arrays.names}
        rows: Rows = replace(self._like, **columns)
        return rows

    def forget(self, before: int) -> None:
        """Drop the rows with ``ts < before``."""
        self._arrays.forget(int(np.searchsorted(self._arrays["ts"], before)))

    def append(self, more: Rows) -> None:
        """Add rows."""
        if len(more) == 0:
            return
        columns = _columns(more)
        if len(self) == 0:  # no row so far lacks anything
            self._like, self._arrays = more, GrowingArrays(**columns)
            return
        if not set(self._arrays.names) <= set(columns):
            kept = {n: self._arrays[n] for n in self._arrays.names if n in columns}
            self._arrays = GrowingArrays(**kept)
        self._arrays.append(**columns)


def join(first: Rows, second: Rows) -> Rows:
    """The rows of both, one after the other; a column that either's rows lack is lacking."""
    if len(first) == 0:
        return second
    if len(second) == 0:
        return first
    before, after = _columns(first), _columns(second)
    columns: dict[str, Any] = dict.fromkeys(before.keys() | after.keys())
    for name in before.keys() & after.keys():
        columns[name] = np.concatenate((before[name], after[name]))
    return replace(first, **columns)


def _columns(rows: Any) -> dict[str, Array]:
    values = ((f.name, getattr(rows, f.name)) for f in fields(rows))
    return {name: value for name, value in values if isinstance(value, np.ndarray)}
