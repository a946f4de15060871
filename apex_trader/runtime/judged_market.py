"""The days that are judged, read once: each is built, encoded, looked at, and let go.

What stays of a day is what its accounts and the report need: decisions and outcomes, minute bars,
and the network's encodings, in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.encodings import EncodedMarket, Look
from apex_trader.evaluation.report.market_view import MINUTES
from apex_trader.models.flat import QNetwork
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.market_data import MarketData, day_tables
from apex_trader.state.coverage import BlockReport, ColumnCount
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment

#: Told every segment with its own tables, CNN rows attached.
Visit = Callable[[Segment, MarketTables], None]
Holder = TypeVar("Holder")

_NOTHING: NDArray[np.float32] = np.zeros((0, 0), np.float32)


def read_market(
    data: MarketData,
    extractor: FrozenExtractor | None,
    network: QNetwork,
    numbers: Sequence[int],
    pool: Executor,
    visit: Visit = lambda segment, tables: None,
    look: Look | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> tuple[list[Segment], EncodedMarket]:
    """Segments by number, in time order and ``lean``, and their encodings by the network.

    Rows are encoded where something can be decided. pool: computes, while the next day is built.
    look: see ``EncodedMarket.add``. advance: told the share that is done. Close the encodings when
    they are not needed any more.
    """
    segments, market = [], EncodedMarket(network, pool)
    try:
        for done, segment in enumerate(data.passing(numbers)):
            advance(done / len(numbers))
            tables = day_tables(segment, data.schema, extractor, pool)
            market.add(tables, segment.outcomes.next_row >= 0, look)
            visit(segment, tables)
            segments.append(lean(segment))
        return segments, market.finish()
    except BaseException:
        market.close()
        raise


def lean(segment: Segment) -> Segment:
    """The segment without what states are made of: a fortieth of the bytes.

    Of its tables the minute bars stay, for charts; of each decision all but window places, anchors,
    scales and coverage.
    """
    known = segment.decisions
    decisions = replace(
        _own(known), start={}, scale={}, anchor=_NOTHING, coverage=_NOTHING,
        row={clock: row.copy() for clock, row in known.row.items() if clock == "1m"},
    )  # fmt: skip
    return replace(
        segment,
        tables={name: t.copy() for name, t in segment.tables.items() if name == MINUTES},
        row_scale={},
        decisions=decisions,
        outcomes=_own(segment.outcomes),
        pivot_events=_own(segment.pivot_events),
    )


def _own(holder: Holder) -> Holder:
    """With arrays of its own: a view would keep what it is a view of."""
    held: Any = holder
    arrays = {field.name: getattr(held, field.name) for field in fields(held)}
    copies = {name: a.copy() for name, a in arrays.items() if isinstance(a, np.ndarray)}
    made: Holder = replace(held, **copies)
    return made


class StateCheck:
    """What of the states is there, counted as segments pass by: ``visit`` of ``read_market``."""

    def __init__(self, schema: Schema) -> None:
        self._columns = ColumnCount(schema)
        #: CNN rows hold numbers wherever a decision can be made.
        self.cnn = True

    def __call__(self, segment: Segment, tables: MarketTables) -> None:
        """Count a segment; tables: its own alone."""
        self._columns.add(segment, tables)
        if tables.cnn is None:
            self.cnn = False
        else:
            rows = tables.cnn.numpy().view(np.uint16)
            # exponents of all ones are infinities and NaN: ten times as fast as asking for them
            whole = ((rows & 0x7C00) != 0x7C00).all(axis=(1, 2))
            self.cnn &= bool(whole[segment.decisions.decidable].all())

    def report(self) -> tuple[BlockReport, ...]:
        """Coverage of every block on a bar clock."""
        return self._columns.report()
