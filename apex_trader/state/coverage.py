"""What of the state is there: per block required and delivered, per column present and clipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.state.gather import MarketTables, windows
from apex_trader.state.schema import CLIP, Block, Schema
from apex_trader.state.segment import Segment
from apex_trader.time import CLOCKS

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

#: A column clipped in a larger share of its values has the wrong scale.
MOST_CLIPPED = 0.01


@dataclass(frozen=True)
class ColumnReport:
    """One column over some segments.

    present: share of the table's rows in which it is not missing. constant: all present values are
    the same. clip_share: share of the present values that the ±5 guard clips; of an anchored
    column, of those in states gathered at a sample of decidable times. NaN where nothing is there.
    cannot_provide: the source lacks what it needs in every segment, so its absence is declared.
    """

    name: str
    present: float
    constant: bool
    clip_share: float
    cannot_provide: bool

    @property
    def missing(self) -> bool:
        """Never there although nothing says that the source cannot provide it."""
        return self.present == 0 and not self.cannot_provide

    @property
    def scale_is_wrong(self) -> bool:
        """Clipped in more than 1% of its values."""
        return bool(self.clip_share > MOST_CLIPPED)


@dataclass(frozen=True)
class BlockReport:
    """One block over some segments.

    required: features of the state that it makes up. coverage: mean share of its windows' rows
    that are there, at all decision times and (decided) at those that can be decided; NaN if none.
    """

    name: str
    required: int
    coverage: float
    decided: float
    columns: tuple[ColumnReport, ...]


def column_report(
    segments: Iterable[Segment], schema: Schema, sample: int = 48
) -> tuple[BlockReport, ...]:
    """Coverage, missing, constant and clip shares of every block on a bar clock.

    sample: decidable times of each segment at which anchored columns are gathered, evenly spread.
    Segments are read one at a time, so an iterator over a long history needs little memory.
    ApexError when there is no segment.
    """
    count = ColumnCount(schema, sample)
    for segment in segments:
        count.add(segment, MarketTables.from_segments([segment], schema))
    return count.report()


class ColumnCount:
    """``column_report`` of segments that pass by with their tables, one after another."""

    def __init__(self, schema: Schema, sample: int = 48) -> None:
        self._schema, self._sample = schema, sample
        self._tallies = [_Tally(b) for b in schema.blocks if b.clock in CLOCKS]
        self._coverage: list[NDArray[np.float32]] = []
        self._decided: list[Bool] = []

    def add(self, segment: Segment, tables: MarketTables) -> None:
        """The next segment and its own tables alone."""
        known = segment.decisions
        self._coverage.append(known.coverage)
        self._decided.append(known.decidable)
        rows = _spread(np.flatnonzero(known.decidable), self._sample)
        for tally in self._tallies:
            tally.add(segment, tables, rows)

    def report(self) -> tuple[BlockReport, ...]:
        """Of all that were added. ApexError when there was none."""
        if not self._coverage:
            raise ApexError("there is no segment to report on: choose days with market data")
        decided = [c[d] for c, d in zip(self._coverage, self._decided, strict=True)]
        means = _column_means(self._coverage), _column_means(decided)
        place = {block.name: i for i, block in enumerate(self._schema.blocks)}
        return tuple(
            BlockReport(
                tally.block.name,
                tally.block.size,
                float(means[0][place[tally.block.name]]),
                float(means[1][place[tally.block.name]]),
                tally.report(),
            )
            for tally in self._tallies
        )


class _Tally:
    """Running counts of one block's columns."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.rows = 0
        self.present: F64 = np.zeros(block.width)
        self.clipped: F64 = np.zeros(block.width)
        self.judged: F64 = np.zeros(block.width)
        self.least: F64 = np.full(block.width, np.inf)
        self.most: F64 = np.full(block.width, -np.inf)
        self.lacking: Bool = np.ones(block.width, np.bool_)

    def add(self, segment: Segment, tables: MarketTables, rows: NDArray[np.int64]) -> None:
        """Counts a segment's table, and its windows at the given decision rows."""
        block = self.block
        table = segment.tables[block.name]
        there = np.isfinite(table)
        self.rows += len(table)
        self.present += there.sum(axis=0)
        self.least = np.minimum(self.least, np.where(there, table, np.inf).min(axis=0))
        self.most = np.maximum(self.most, np.where(there, table, -np.inf).max(axis=0))
        declared = set(segment.cannot_provide)
        self.lacking &= [f"{block.name}.{c.name}" in declared for c in block.columns]
        final = slice(block.anchored, None)
        self.judged[final] += there[:, final].sum(axis=0)
        self.clipped[final] += (np.abs(table[:, final]) >= CLIP).sum(axis=0)
        if block.anchored and len(rows):
            self._judge_anchored(tables, torch.from_numpy(rows))

    def _judge_anchored(self, tables: MarketTables, rows: torch.Tensor) -> None:
        block, prices = self.block, slice(0, self.block.anchored)
        state = windows(tables, rows, None, block.name)[..., prices]
        age = torch.arange(block.window - 1, -1, -1)
        last, valid = tables.last[block.clock][rows], tables.valid[block.clock][rows]
        held = tables.blocks[block.name][last[:, None] - age][..., prices]
        shown = ~torch.isnan(held) & (age < valid[:, None])[..., None]
        self.judged[prices] += shown.sum(dim=(0, 1)).numpy()
        self.clipped[prices] += (shown & (state.abs() >= CLIP)).sum(dim=(0, 1)).numpy()

    def report(self) -> tuple[ColumnReport, ...]:
        """The columns' reports, in order."""
        clipped = np.divide(
            self.clipped, self.judged, out=np.full(self.block.width, np.nan), where=self.judged > 0
        )
        return tuple(
            ColumnReport(
                column.name,
                float(self.present[i] / max(self.rows, 1)),
                bool(self.most[i] <= self.least[i]),
                float(clipped[i]),
                bool(self.lacking[i]),
            )
            for i, column in enumerate(self.block.columns)
        )


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most ``count`` of the rows, evenly spread."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _column_means(parts: list[NDArray[np.float32]]) -> F64:
    rows = np.concatenate(parts).astype(np.float64)
    return rows.mean(axis=0) if len(rows) else np.full(rows.shape[1], np.nan)
