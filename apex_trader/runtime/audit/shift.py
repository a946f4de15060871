"""Another time's rows in the place of each row: the perturbation of every block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import HIDDEN_SIZE, Block
from apex_trader.time import CLOCKS

Number = TypeVar("Number", np.float16, np.float32)


def shifted(table: NDArray[Number]) -> NDArray[Number]:
    """A table whose rows are those of a third of it earlier: same values, other places."""
    return np.ascontiguousarray(np.roll(table, _distance(len(table)), axis=0))


@contextmanager
def shifted_block(tables: MarketTables, block: Block) -> Iterator[MarketTables]:
    """Tables with a block shifted in place, for a while. ApexError without its CNN rows."""
    if block.clock in CLOCKS:
        table = tables.blocks[block.name]
    elif tables.cnn is not None:
        table = tables.cnn[:, :, cnn_columns(block)]
    else:
        raise ApexError(f"no CNN rows are attached for {block.name}")
    kept = table.clone()
    moved = torch.roll(kept, _distance(len(kept)), 0)
    # What is missing stays missing, also where an arena's empty slots would bring numbers.
    table.copy_(torch.where(moved.isnan() | kept.isnan(), kept, moved))
    try:
        yield tables
    finally:
        table.copy_(kept)


def cnn_columns(block: Block) -> slice:
    """A CNN block's columns in a CNN row."""
    return slice(0, HIDDEN_SIZE) if block.width == HIDDEN_SIZE else slice(HIDDEN_SIZE, None)


def _distance(rows: int) -> int:
    return max(1, rows // 3)
