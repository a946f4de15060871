"""The simulator's view of the market: decisions and outcomes of many segments in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.state.segment import Segment
from apex_trader.time import MINUTE

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Pivots are found on minute bars; one has happened when its bar closes.
_PIVOT_BAR = MINUTE


class PathArrays(NamedTuple):
    """Columns of n rows, as the kernels read them; see ``Decisions`` and ``Outcomes``.

    next_row [n] is a global row, −1 where the episode ends. Events of row j are
    event_first[j] … event_first[j + 1] − 1: pivots that the state may know from row j on, with
    event_row, the row at which the pivot's bar had closed (of the same episode), level and kind.
    """

    ts: I64
    mark: F64
    sigma_hour: F64
    sigma_decision: F64
    choppiness: F64
    fill: F64
    fill_ts: I64
    funding: F64
    next_row: I64
    event_first: I64
    event_row: I64
    event_level: I64
    event_kind: I64


@dataclass(frozen=True)
class MarketPath:
    """Segments as one path; rows are numbered globally: first_row[k] + row of segment k.

    keys [K]: the segments' keys. first_row [K + 1]. trend [n] float32: confirmed trend, for the
    pivot potential. startable [n]: rows that an episode can start from (there is a next one).
    """

    keys: tuple[str, ...]
    first_row: I64
    trend: NDArray[np.float32]
    startable: NDArray[np.bool_]
    arrays: PathArrays

    def __len__(self) -> int:
        return len(self.trend)

    @property
    def longest_segment(self) -> int:
        """Rows of the longest segment."""
        return int(np.diff(self.first_row).max())

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(a.nbytes for a in self.arrays) + self.trend.nbytes + self.startable.nbytes

    def locate(self, rows: I64) -> tuple[I64, I64]:
        """(number of the segment in ``keys``, row of that segment) of global rows."""
        number = np.searchsorted(self.first_row, rows, side="right") - 1
        return number, rows - self.first_row[number]

    @classmethod
    def from_segments(cls, segments: Sequence[Segment]) -> MarketPath:
        """The path of segments, in the given order. ApexError when there are none."""
        if not segments:
            raise ApexError("a market path needs at least one segment: widen the period")
        first = np.concatenate([[0], np.cumsum([s.rows for s in segments])]).astype(np.int64)
        arrays = PathArrays(
            ts=_join([s.decisions.ts for s in segments], np.int64),
            mark=_join([s.decisions.mark for s in segments], np.float64),
            sigma_hour=_join([s.decisions.sigma_hour for s in segments], np.float64),
            sigma_decision=_join([s.decisions.sigma_decision for s in segments], np.float64),
            choppiness=_join([s.decisions.choppiness for s in segments], np.float64),
            fill=_join([s.outcomes.fill for s in segments], np.float64),
            fill_ts=_join([s.outcomes.fill_ts for s in segments], np.int64),
            funding=_join([s.outcomes.funding for s in segments], np.float64),
            next_row=_join([_global_next(s, r) for s, r in zip(segments, first, strict=False)],
                           np.int64),
            **_join_events(segments, first),
        )  # fmt: skip
        startable = arrays.next_row >= 0
        _check(arrays, startable)
        trend = _join([s.decisions.trend for s in segments], np.float32)
        return cls(tuple(s.key for s in segments), first, trend, startable, arrays)


def _join(parts: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(parts).astype(kind)


def _global_next(segment: Segment, first: int) -> I64:
    following = segment.outcomes.next_row.astype(np.int64)
    return np.where(following >= 0, following + first, -1)


def _join_events(segments: Sequence[Segment], first: I64) -> dict[str, I64]:
    """Pivot events of all segments by the global row that may know them."""
    known, pivot, level, kind = [], [], [], []
    for segment, offset in zip(segments, first, strict=False):
        events, episode = segment.pivot_events, segment.outcomes.episode
        row = np.searchsorted(segment.decisions.ts, events.ts + _PIVOT_BAR, side="right") - 1
        known_row = events.known_row.astype(np.int64)
        usable = (row >= 0) & (known_row < segment.rows) & (row <= known_row)
        usable[usable] = episode[row[usable]] == episode[known_row[usable]]
        usable[usable] &= episode[row[usable]] >= 0
        known.append(known_row[usable] + offset)
        pivot.append(row[usable] + offset)
        level.append(events.level[usable].astype(np.int64))
        kind.append(events.kind[usable].astype(np.int64))
    at = np.concatenate(known)
    order = np.argsort(at, kind="stable")
    return {
        "event_first": np.searchsorted(at[order], np.arange(first[-1] + 1)).astype(np.int64),
        "event_row": np.concatenate(pivot)[order],
        "event_level": np.concatenate(level)[order],
        "event_kind": np.concatenate(kind)[order],
    }


def _check(arrays: PathArrays, startable: NDArray[np.bool_]) -> None:
    """Kernels index without bounds and never test for NaN but in fills: refuse bad rows here."""
    following = arrays.next_row[startable]
    if np.any(following >= len(arrays.ts)):
        raise ApexError("a segment's next_row lies outside of it: rebuild the segments")
    for name in ("mark", "sigma_hour", "sigma_decision", "choppiness", "funding"):
        column = getattr(arrays, name)
        if not (np.isfinite(column[startable]).all() and np.isfinite(column[following]).all()):
            raise ApexError(f"a decidable row has no finite {name}: rebuild the segments")
    if np.any((arrays.event_level < 2) | (arrays.event_level > 5)):
        raise ApexError("pivot events must be of levels 2 to 5: rebuild the segments")
