"""What of the state the trading run really saw: the latest one, and every column so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from apex_trader.execution.journal_tail import JournalTail
from apex_trader.execution.trade_journal import seen_rows
from apex_trader.state.excerpt import Excerpt
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.schema import CLIP, HIDDEN_SIZE, Block, Schema

F32 = NDArray[np.float32]

#: Version that CNN rows are given here: one journal has those of one extractor.
_SEEN = "as seen"


@dataclass(frozen=True)
class BlockSeen:
    """One block of the state, as features (columns × window rows).

    alive: of columns that hold more than one value in the day's tables and their look-back.
    missing: of the latest state, rows or prices that are not there. zero: exactly 0 otherwise.
    clipped: at the edge of their range (±5).
    """

    name: str
    size: int
    alive: int
    missing: int
    zero: int
    clipped: int


class StateSeen:
    """Follows the rows of a journal from the last time its tables were begun (each day anew)."""

    def __init__(self, journal: Path, schema: Schema) -> None:
        self._schema = schema
        self._tail = JournalTail(journal, "rows", start=_newest_start(journal))
        self._windows = {
            clock: max(b.window for b in schema.blocks if b.clock == clock)
            for clock in schema.clocks
        }
        self._least: dict[str, F32] = {}
        self._most: dict[str, F32] = {}
        self._rows: dict[str, F32] = {}
        self._held: dict[str, int] = {}
        self._latest: Excerpt | None = None

    def update(self) -> bool:
        """Take what the journal gained; whether it did."""
        gained = self._tail.read()
        if gained is None:
            return False
        for seen in seen_rows(gained, self._schema):
            self._take(seen.excerpt)
        return True

    @property
    def ts(self) -> int:
        """Time (µs) of the latest state; −1 while there is none."""
        return -1 if self._latest is None else int(self._latest.ts[-1])

    def blocks(self) -> list[BlockSeen]:
        """Every block of the schema, in its order; empty while there is no state."""
        if self._latest is None:
            return []
        tables = self._tables(self._latest)
        return [self._block(block, tables) for block in self._schema.blocks]

    def state(self) -> F32:
        """The latest state [market_size], as the agent saw it; NaN where a block is not there."""
        assert self._latest is not None
        tables = self._tables(self._latest)
        return np.concatenate([_values(block, tables) for block in self._schema.blocks])

    # --- inside ----------------------------------------------------------------------------

    def _take(self, excerpt: Excerpt) -> None:
        begins = excerpt.decision == 0
        if begins:
            self._least.clear()
            self._most.clear()
        for block in self._schema.blocks:
            if block.clock not in self._schema.clocks:
                continue
            for name in (f"block {block.name}", f"row_scale {block.name}"):
                if name in excerpt.columns:
                    self._follow(name, excerpt.columns[name], block, begins)
            self._widen(block, excerpt.columns[f"block {block.name}"])
        for clock in self._schema.clocks:
            name = next(b.name for b in self._schema.blocks if b.clock == clock)
            count = len(excerpt.columns[f"block {name}"])
            self._held[clock] = count if begins else self._held[clock] + count
        if "cnn" in excerpt.columns:
            for block in self._schema.blocks:
                if block.clock not in self._schema.clocks:
                    self._widen(block, _cnn_part(block, excerpt.columns["cnn"][:, 0]))
        self._latest = excerpt

    def _follow(self, name: str, rows: F32, block: Block, begins: bool) -> None:
        """Keep as many of the newest rows as a window has."""
        before = rows[:0] if begins or name not in self._rows else self._rows[name]
        self._rows[name] = np.concatenate([before, rows])[-self._windows[block.clock] :]

    def _widen(self, block: Block, rows: F32) -> None:
        rows = rows[np.isfinite(rows).any(axis=1)]
        if not len(rows):
            return
        with np.errstate(invalid="ignore"):
            least, most = np.fmin.reduce(rows), np.fmax.reduce(rows)
        if block.name in self._least:
            least = np.fmin(self._least[block.name], least)
            most = np.fmax(self._most[block.name], most)
        self._least[block.name], self._most[block.name] = least, most

    def _tables(self, latest: Excerpt) -> MarketTables:
        """Tables that hold the latest decision alone."""
        columns, windows = latest.columns, self._windows
        tables = MarketTables.allocate(self._schema, windows, 1)
        for name, table in tables.blocks.items():
            _put_last(table, self._rows[f"block {name}"])
        for name, table in tables.row_scale.items():
            _put_last(table, self._rows[f"row_scale {name}"])
        for clock in self._schema.clocks:
            # the newest row is the last one that this decision saw
            ahead = latest.rows[clock] + _count(latest, self._schema, clock) - 1
            ahead -= int(columns[f"last {clock}"][-1])
            valid = int(columns[f"valid {clock}"][-1])
            held = min(valid, self._held[clock] - ahead, windows[clock] - ahead)
            tables.last[clock][0] = windows[clock] - 1
            tables.valid[clock][0] = max(held, 0)
            tables.scale[clock][0] = torch.from_numpy(columns[f"scale {clock}"][-1])
        tables.anchor[0] = torch.from_numpy(columns["anchor"][-1])
        if "cnn" in columns:
            tables.write_cnn(0, columns["cnn"][-1:], _SEEN)
        return tables

    def _block(self, block: Block, tables: MarketTables) -> BlockSeen:
        state = _values(block, tables).reshape(block.window, block.width)
        missing = np.isnan(state)
        if block.clock in self._schema.clocks:
            missing = self._missing(block, tables)
        zero = (state == 0) & ~missing
        alive = 0
        if block.name in self._least:
            alive = int((self._least[block.name] < self._most[block.name]).sum())
        return BlockSeen(
            block.name, block.size, alive * block.window, int(missing.sum()), int(zero.sum()),
            int((np.abs(np.nan_to_num(state)) >= CLIP).sum()),
        )  # fmt: skip

    def _missing(self, block: Block, tables: MarketTables) -> NDArray[np.bool_]:
        """[window, width]: rows outside what may be shown, and prices that nobody knows."""
        shown = int(tables.valid[block.clock][0])
        rows = tables.blocks[block.name][-block.window :]
        missing: NDArray[np.bool_] = np.isnan(rows.numpy())
        missing[: max(block.window - shown, 0)] = True
        return missing


def _values(block: Block, tables: MarketTables) -> F32:
    """The block's part of the state [size]; NaN where no CNN rows are."""
    if block.clock not in tables.schema.clocks and tables.cnn is None:
        return np.full(block.size, np.nan, np.float32)
    found: F32 = gather(tables, torch.tensor([0]), blocks=(block.name,))[0].numpy()
    return found


def _cnn_part(block: Block, rows: NDArray[np.float16]) -> F32:
    first = 0 if block.width == HIDDEN_SIZE else HIDDEN_SIZE
    return rows[:, first : first + block.width].astype(np.float32)


def _put_last(table: torch.Tensor, rows: F32) -> None:
    if len(rows):
        table[-len(rows) :] = torch.from_numpy(rows)


def _count(excerpt: Excerpt, schema: Schema, clock: str) -> int:
    """New rows of a clock in an excerpt."""
    name = next(b.name for b in schema.blocks if b.clock == clock)
    return len(excerpt.columns[f"block {name}"])


def _newest_start(journal: Path) -> int:
    """Number of the last record with which tables were begun."""
    known: Mapping[str, list[int]] = {}
    table = JournalTail(journal, "rows", ["decision"]).read()
    if table is not None:
        known = table.filter(pc.equal(table["decision"], 0)).to_pydict()
    return max(known.get("n", [0]), default=0)
