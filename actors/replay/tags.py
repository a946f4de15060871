"""Which market rows lie near a pivot, from the moment that the pivot is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.state.segment import Segment

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Tag:
    """Rows [k] int64 of a segment (its number in the registry) that turned out to be special."""

    segment: int
    rows: I64


class ExtremaTagger:
    """Rows within ``radius`` decisions of a confirmed pivot's own time.

    A pivot is confirmed minutes to hours after its time, when transitions of that time are in the
    replay already, maybe of an earlier day. So as a lane passes the row that may know the pivot,
    ``passed`` names the rows around it, to be tagged in the replay; and a transition that is
    finished later than that, by another lane or in a later visit, has the bit from the start
    (``known``). Only pivots confirmed in the same or a later segment of this market count.

    Args:
        segments: in the order of the market path, whose global rows are used here.
        numbers: their numbers in the run's registry.
        radius: decisions.
        interval: µs between decisions.
    """

    def __init__(
        self, segments: Sequence[Segment], numbers: Sequence[int], radius: int, interval: int
    ) -> None:
        if len(segments) != len(numbers):
            raise ApexError(f"{len(segments)} segments came with {len(numbers)} numbers")
        rows = [s.rows for s in segments]
        self._numbers = np.array(numbers, np.int64)
        self._first = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
        ts = np.concatenate([s.decisions.ts for s in segments])
        self._by_time = np.argsort(ts, kind="stable")
        known, when = _events(segments, self._first)
        times = ts[self._by_time]
        self._low = np.searchsorted(times, when - radius * interval, side="left")
        self._high = np.searchsorted(times, when + radius * interval, side="right")
        self._event_first = np.searchsorted(known, np.arange(len(ts) + 1), side="left")
        self._known_at = self._earliest(known)

    def known(self, rows: I64, now: I64) -> Bool:
        """[m]: whether rows [m] lie near a pivot that a lane at ``now`` [m] of the same segment
        may know; all are global rows."""
        near: Bool = self._known_at[rows] <= now
        return near

    def passed(self, rows: I64, next_rows: I64) -> list[Tag]:
        """The rows near every pivot that becomes known on the way from rows [L] to next_rows [L].

        Lanes at one market time name a pivot once; each segment has one tag with distinct rows.
        """
        start, stop = self._event_first[rows + 1], self._event_first[next_rows + 1]
        events = _spans(start, stop)
        if len(events) == 0:
            return []
        events = np.unique(events)
        near = np.unique(self._by_time[_spans(self._low[events], self._high[events])])
        owner = np.searchsorted(self._first, near, side="right") - 1
        return [
            Tag(int(self._numbers[k]), near[owner == k] - self._first[k]) for k in np.unique(owner)
        ]

    def _earliest(self, known: I64) -> I64:
        """[n] first row of its own segment at which a row is known to lie near a pivot."""
        out = np.full(int(self._first[-1]), _NEVER)
        near = self._by_time[_spans(self._low, self._high)]
        event = np.repeat(np.arange(len(known)), self._high - self._low)
        moment = known[event]
        same = np.searchsorted(self._first, near, "right") == np.searchsorted(
            self._first, moment, "right"
        )
        np.minimum.at(out, near[same], moment[same])
        return out


def _events(segments: Sequence[Segment], first: I64) -> tuple[I64, I64]:
    """(global row that may know it, own time in µs) of every pivot, sorted by the row."""
    known, when = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for segment, offset in zip(segments, first, strict=False):
        events = segment.pivot_events
        inside = (events.known_row >= 0) & (events.known_row < segment.rows)
        known.append(events.known_row[inside].astype(np.int64) + offset)
        when.append(events.ts[inside])
    rows, times = np.concatenate(known), np.concatenate(when)
    order = np.argsort(rows, kind="stable")
    return rows[order], times[order]


def _spans(start: I64, stop: I64) -> I64:
    """start[0] … stop[0] − 1, start[1] … stop[1] − 1, and so on."""
    length = np.maximum(stop - start, 0)
    offset = np.repeat(np.cumsum(length) - length, length)
    spans: I64 = np.arange(int(length.sum())) - offset + np.repeat(start, length)
    return spans
