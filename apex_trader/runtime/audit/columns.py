"""Blocks and columns: what the state requires, what is delivered, what no source could give."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.experience import Transitions
from apex_trader.runtime.audit.findings import BlockRow, Flaw, Status
from apex_trader.runtime.config import Config
from apex_trader.state.coverage import MOST_CLIPPED, BlockReport, ColumnReport, column_report
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import (
    ACCOUNT_SIZE,
    CLIP,
    HIDDEN_SIZE,
    PIVOT_LEVELS,
    SCHEMAS,
    Block,
    Schema,
)
from apex_trader.state.segment import Segment
from apex_trader.time import CLOCKS
from apex_trader.trading.account import ACCOUNT_COLUMNS
from apex_trader.trading.rewards import FIRST_LEVEL

#: Market features of each schema at its documented window.
CONTRACT = {"eth_full": 15_798, "eth_minutes": 9_798}
_WINDOW = 300
#: Decidable times of each day at which anchored columns are judged.
_SAMPLE = 192
#: With so many pivots of a level, each of its columns has moved.
_MOVING = 20
_PIVOT = re.compile(r"l(\d)_")


@dataclass(frozen=True)
class Columns:
    """Rows of the block table, the flaws found in them, and what the source lacks."""

    blocks: tuple[BlockRow, ...]
    flaws: tuple[Flaw, ...]
    lacking: tuple[str, ...]


def base_schema(config: Config) -> Schema:
    """The schema with nothing left out: what is required."""
    return SCHEMAS[config.state.schema](config.state.window)


def audit_tables(segments: Iterable[Segment], config: Config, schema: Schema) -> Columns:
    """Blocks on bar clocks over some days, against the schema with nothing left out."""
    seen = _Seen()
    reports = {r.name: r for r in column_report(seen.watch(segments), schema, _SAMPLE)}
    blocks, flaws, lacking = [], _contract_flaws(config), []
    for block in base_schema(config).blocks:
        if not schema.has(block.name):
            blocks.append(_nothing(block))
            reason = f"{block.size:,} features are left out by state.without"
            flaws.append(Flaw(block.name, reason, "hole"))
        elif block.clock in CLOCKS:
            report = reports[block.name]
            found = _flaws(report, seen, config.state.min_coverage)
            blocks.append(_row(block, report, found))
            flaws += _shortened(block.name, found)
            lacking += [f"{block.name}.{c.name}" for c in report.columns if c.cannot_provide]
    return Columns(tuple(blocks), tuple(flaws), tuple(lacking))


def audit_cnn(schema: Schema, tables: MarketTables, rows: NDArray[np.int64]) -> Columns:
    """The CNN blocks: every column a finite number that changes from time to time."""
    blocks, flaws = [], []
    for block in schema.blocks:
        if block.clock in CLOCKS:
            continue
        names = [f"{block.name}.{column.name}" for column in block.columns]
        if tables.cnn is None:
            blocks.append(_nothing(block))
            flaws.append(Flaw(block.name, "no CNN rows are attached", "hole"))
            continue
        place = slice(0, HIDDEN_SIZE) if block.name == "cnn_hidden" else slice(HIDDEN_SIZE, None)
        values = tables.cnn[rows][:, :, place].float().numpy()
        row, found = _plain_block(block.name, names, values.reshape(-1, block.width))
        blocks.append(row)
        flaws += found
    return Columns(tuple(blocks), tuple(flaws), ())


def audit_account(transitions: Transitions) -> Columns:
    """The account's features in a rollout: the 8 that the simulator gives."""
    names = [f"account.{name}" for name in ACCOUNT_COLUMNS]
    row, flaws = _plain_block("account", names, transitions.account)
    return Columns((row,), tuple(flaws), ())


def joined(parts: Sequence[Columns], schema: Schema) -> Columns:
    """All parts, their blocks in the schema's order."""
    order = {block.name: i for i, block in enumerate(schema.blocks)}
    blocks = sorted((b for p in parts for b in p.blocks), key=lambda b: order.get(b.name, math.inf))
    return Columns(
        tuple(blocks),
        tuple(f for p in parts for f in p.flaws),
        tuple(n for p in parts for n in p.lacking),
    )


def _contract_flaws(config: Config) -> list[Flaw]:
    size, wanted = base_schema(config).market_size, CONTRACT[config.state.schema]
    if config.state.window != _WINDOW or size == wanted:
        return []
    reason = f"{size:,} market features, the documented contract is {wanted:,}"
    return [Flaw(config.state.schema, reason, "hole")]


class _Seen:
    """What the judged days are like: whether they are synthetic, and their pivots of each level."""

    def __init__(self) -> None:
        self.synthetic = False
        self.pivots = np.zeros(PIVOT_LEVELS + 1, np.int64)

    def watch(self, segments: Iterable[Segment]) -> Iterator[Segment]:
        """The segments, noted as they pass."""
        for segment in segments:
            self.synthetic |= segment.synthetic
            levels = segment.pivot_events.level
            self.pivots += np.bincount(levels, minlength=PIVOT_LEVELS + 1)[: PIVOT_LEVELS + 1]
            yield segment

    def too_few(self, column: str) -> str:
        """Why a pivot column may hold one value in these days; empty when it may not."""
        match = _PIVOT.match(column)
        level = int(match.group(1)) if match else 0
        if level < FIRST_LEVEL or self.pivots[level] >= _MOVING:
            return ""
        return f"only {self.pivots[level]} pivots of level {level} in these days"


def _row(block: Block, report: BlockReport, flaws: Sequence[Flaw]) -> BlockRow:
    gone = {flaw.column for flaw in flaws if flaw.status == "hole"}
    lacking = sum(c.cannot_provide for c in report.columns)
    there = [c for c in report.columns
             if not c.cannot_provide and f"{block.name}.{c.name}" not in gone]  # fmt: skip
    judged = [c for c in report.columns if not math.isnan(c.clip_share)]
    worst = max(judged, key=lambda c: c.clip_share, default=None)
    return BlockRow(
        block.name, block.size, len(there) * block.window, lacking * block.window, report.decided,
        worst.clip_share if worst else math.nan, worst.name if worst else "",
    )  # fmt: skip


def _flaws(report: BlockReport, seen: _Seen, least: float) -> list[Flaw]:
    flaws = []
    for column in report.columns:
        found = _flaw(column, seen)
        if found is not None:
            flaws.append(Flaw(f"{report.name}.{column.name}", *found))
    provided = not all(column.cannot_provide for column in report.columns)
    if provided and not report.decided >= least:
        reason = f"covers {report.decided:.1%} of its windows when deciding, {least:.0%} is needed"
        flaws.append(Flaw(report.name, reason, "hole"))
    return flaws


def _flaw(column: ColumnReport, seen: _Seen) -> tuple[str, Status] | None:
    """What is wrong with a column. A synthetic market's tails prove nothing about a scale."""
    if column.cannot_provide:
        return None
    if column.missing:
        return "never there, and the source says nothing of it", "hole"
    if column.constant:
        few = seen.too_few(column.name)
        return ("the same value everywhere" + (f": {few}" if few else ""),
                "warning" if few else "hole")  # fmt: skip
    if column.scale_is_wrong:
        share = f"{column.clip_share:.2%} of its values are clipped, at most {MOST_CLIPPED:.0%} may"
        return share, "warning" if seen.synthetic else "hole"
    return None


def _plain_block(
    name: str, columns: Sequence[str], values: NDArray[np.float32]
) -> tuple[BlockRow, list[Flaw]]:
    """A block of single rows [m, width] that need no anchor."""
    finite = np.asarray(np.isfinite(values).all(axis=0))
    changes = np.zeros(values.shape[1], np.bool_)
    if len(values):
        changes[finite] = np.ptp(values[:, finite], axis=0) > 0
    clipped = (np.abs(values) >= CLIP).mean(axis=0) if len(values) else np.zeros(len(columns))
    dead = [columns[i] for i in np.flatnonzero(finite & ~changes).tolist()]
    flaws = _shortened(name, [Flaw(c, "the same value everywhere", "hole") for c in dead])
    broken = [columns[i] for i in np.flatnonzero(~finite).tolist()]
    flaws += _shortened(name, [Flaw(c, "not a finite number everywhere", "hole") for c in broken])
    wide = [columns[i] for i in np.flatnonzero(clipped > MOST_CLIPPED).tolist()]
    if wide:
        reason = f"{len(wide)} columns like it are clipped in over {MOST_CLIPPED:.0%} of rows"
        flaws.append(Flaw(wide[0], reason, "warning"))
    worst = int(clipped.argmax())
    row = BlockRow(
        name, len(columns), int(changes.sum()), 0, float(np.isfinite(values).mean()),
        float(clipped[worst]), columns[worst].partition(".")[2],
    )  # fmt: skip
    return row, flaws


def _shortened(name: str, flaws: Sequence[Flaw], most: int = 8) -> list[Flaw]:
    """Many columns with one flaw are one line."""
    reasons = Counter((flaw.reason, flaw.status) for flaw in flaws)
    many = {key: count for key, count in reasons.items() if count > most}
    kept = [flaw for flaw in flaws if (flaw.reason, flaw.status) not in many]
    return kept + [
        Flaw(name, f"{count} columns: {reason}", status) for (reason, status), count in many.items()
    ]


def _nothing(block: Block) -> BlockRow:
    return BlockRow(block.name, block.size, 0, 0, 0.0, math.nan, "")


def check_size(schema: Schema, width: int) -> list[Flaw]:
    """A gathered state is as wide as its schema says, and so is the account."""
    if width == schema.market_size:
        return []
    reason = f"a gathered state has {width:,} features, its schema {schema.market_size:,}"
    return [Flaw(schema.name, f"{reason} (and {ACCOUNT_SIZE} of the account)", "hole")]
