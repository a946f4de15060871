"""CNN rows of days that grow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.models.frozen import FrozenExtractor
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment

F16 = NDArray[np.float16]


class LiveRows:
    """Computes rows of days by registry number; of a day that went on, those that came since."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rows: dict[int, tuple[str, F16]] = {}

    def of(self, number: int, segment: Segment, extractor: FrozenExtractor) -> F16:
        """float16 [segment.rows, 2, 528]; NaN in stretches where nothing can be decided."""
        version, known = self._rows.get(number, ("", np.empty(0, np.float16)))
        if version != extractor.version:
            known = extractor.segment_rows(segment)
        elif len(known) < segment.rows:
            known = np.concatenate((known, self._further(len(known), segment, extractor)))
        self._rows[number] = extractor.version, known
        return known[: segment.rows]

    def drop(self, number: int) -> None:
        """A day is over, or not needed any more."""
        self._rows.pop(number, None)

    def _further(self, first: int, segment: Segment, extractor: FrozenExtractor) -> F16:
        tables = MarketTables.from_segments([segment], self._schema)
        wanted = segment.decisions.decidable[first:]
        rows = extractor.rows(tables, first, segment.rows - first, wanted=wanted)
        return np.asarray(rows.cpu().numpy(), np.float16)
