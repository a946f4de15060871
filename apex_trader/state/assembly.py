"""The last steps to a segment: final tables, and what is said about them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apex_trader.state.decisions import Day
from apex_trader.state.schema import CLIP, Block, Schema
from apex_trader.time import CLOCKS

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def day_tables(schema: Schema, day: Day) -> dict[str, F32]:
    """The rows that a day's views hold of each block on a bar clock: see ``Segment.tables``."""
    tables: dict[str, F32] = {}
    for block in schema.blocks:
        if block.clock not in CLOCKS:
            continue
        if block.name in day.structure.tables:
            tables[block.name] = day.structure.tables[block.name]
            continue
        values = day.views[block.clock].cut(day.clocks[block.clock].block(block.name))
        tables[block.name] = final_rows(block, values, day.base[block.symbol == "reference"])
    return tables


def final_rows(block: Block, values: F64, base: float) -> F32:
    """A block's rows as they are stored: anchored columns relative to ``base``, others clipped."""
    final = np.clip(values, -CLIP, CLIP)
    final[:, : block.anchored] = values[:, : block.anchored] - base
    return final.astype(np.float32)


def clip_shares(schema: Schema, tables: Mapping[str, F32]) -> dict[str, F64]:
    """See ``Segment.clip_share``."""
    shares = {}
    for name, table in tables.items():
        present = np.isfinite(table).sum(axis=0)
        clipped = (np.abs(table) >= CLIP).sum(axis=0)
        share = clipped / np.maximum(present, 1)
        share[: schema.block(name).anchored] = np.nan
        shares[name] = share
    return shares


def not_provided(schema: Schema, tables: Mapping[str, F32]) -> tuple[str, ...]:
    """Columns that need something of the source and are nowhere in the tables."""
    return tuple(
        f"{name}.{column.name}"
        for name, table in tables.items()
        for i, column in enumerate(schema.block(name).columns)
        if column.needs is not None and not np.isfinite(table[:, i]).any()
    )
