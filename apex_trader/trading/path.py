"""The simulator's view of the market: decisions and outcomes of many segments in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.state.segment import Segment
from apex_trader.time import MINUTE

I64 = NDArray[np.int64]

#: Pivots are found on minute bars; one has happened when its bar closes.
_PIVOT_BAR = MINUTE


#: One decision row; see ``Decisions`` and ``Outcomes``. fill_price: ln, before slippage. next_row
#: is global, −1 where the episode ends. Pivots that the state may know from this row on are
#: events event_first … event_end − 1.
ROW = np.dtype(
    [(name, np.int64) for name in ("ts", "fill_ts", "next_row", "event_first", "event_end")]
    + [(name, np.float64) for name in (
        "mark", "fill_price", "funding", "sigma_hour", "sigma_decision", "choppiness",
    )]
)  # fmt: skip
#: A confirmed pivot: row, at which its bar had closed (of the same episode), level, kind (±1).
EVENT = np.dtype([("row", np.int64), ("level", np.int64), ("kind", np.int64)])
Records: TypeAlias = "np.recarray[Any, Any]"


@dataclass(frozen=True)
class MarketPath:
    """Segments as one path; rows are numbered globally: first_row[k] + row of segment k.

    keys [K]: the segments' keys. first_row [K + 1]. trend [n] float32: confirmed trend, for the
    pivot potential. startable [n]: rows that an episode can start from (there is a next one).
    arrays [n]: records of dtype ROW (``path.arrays.ts`` is a column). events: records of EVENT.
    """

    keys: tuple[str, ...]
    first_row: I64
    trend: NDArray[np.float32]
    startable: NDArray[np.bool_]
    arrays: Records
    events: Records

    def __len__(self) -> int:
        return len(self.trend)

    @property
    def longest_segment(self) -> int:
        """Rows of the longest segment."""
        return int(np.diff(self.first_row).max())

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        parts = (self.arrays, self.events, self.trend, self.startable)
        return sum(part.nbytes for part in parts)

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
        arrays = np.zeros(int(first[-1]), ROW).view(np.recarray)
        known, events = _join_events(segments, first)
        arrays["event_first"] = np.searchsorted(known, np.arange(len(arrays)))
        arrays["event_end"] = np.searchsorted(known, np.arange(len(arrays)), side="right")
        for segment, start in zip(segments, first, strict=False):
            _fill_rows(arrays[start : start + segment.rows], segment, int(start))
        startable = arrays.next_row >= 0
        _check(arrays, events, startable)
        trend = np.concatenate([s.decisions.trend for s in segments]).astype(np.float32)
        return cls(tuple(s.key for s in segments), first, trend, startable, arrays, events)


def _fill_rows(rows: NDArray[Any], segment: Segment, start: int) -> None:
    """Writes one segment's columns; its own row numbers become global ones."""
    for name in ("ts", "mark", "sigma_hour", "sigma_decision", "choppiness"):
        rows[name] = getattr(segment.decisions, name)
    rows["fill_price"] = segment.outcomes.fill
    rows["fill_ts"], rows["funding"] = segment.outcomes.fill_ts, segment.outcomes.funding
    following = segment.outcomes.next_row.astype(np.int64)
    rows["next_row"] = np.where(following >= 0, following + start, -1)


def _join_events(segments: Sequence[Segment], first: I64) -> tuple[I64, Records]:
    """(global row that may know each pivot, the pivot) of all segments, in that row's order."""
    known, pivot, level, kind = [], [], [], []
    for segment, offset in zip(segments, first, strict=False):
        found, episode = segment.pivot_events, segment.outcomes.episode
        row = np.searchsorted(segment.decisions.ts, found.ts + _PIVOT_BAR, side="right") - 1
        known_row = found.known_row.astype(np.int64)
        usable = (row >= 0) & (known_row < segment.rows) & (row <= known_row)
        usable[usable] = episode[row[usable]] == episode[known_row[usable]]
        usable[usable] &= episode[row[usable]] >= 0
        known.append(known_row[usable] + offset)
        pivot.append(row[usable] + offset)
        level.append(found.level[usable].astype(np.int64))
        kind.append(found.kind[usable].astype(np.int64))
    at = np.concatenate(known)
    order = np.argsort(at, kind="stable")
    events = np.zeros(len(at), EVENT).view(np.recarray)
    for name, parts in (("row", pivot), ("level", level), ("kind", kind)):
        events[name] = np.concatenate(parts)[order]
    return at[order], events


def _check(arrays: Records, events: Records, startable: NDArray[np.bool_]) -> None:
    """Kernels index without bounds and never test for NaN but in fills: refuse bad rows here."""
    following = arrays.next_row[startable]
    if np.any(following >= len(arrays.ts)):
        raise ApexError("a segment's next_row lies outside of it: rebuild the segments")
    for name in ("mark", "sigma_hour", "sigma_decision", "choppiness", "funding"):
        column = arrays[name]
        if not (np.isfinite(column[startable]).all() and np.isfinite(column[following]).all()):
            raise ApexError(f"a decidable row has no finite {name}: rebuild the segments")
    if np.any((events.level < 2) | (events.level > 5)):
        raise ApexError("pivot events must be of levels 2 to 5: rebuild the segments")
