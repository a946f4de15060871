"""The decision rows of a day: what each of them knows, strictly before its time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.state.clock_tables import ClockTables, DayView
from apex_trader.state.schema import Block, Schema
from apex_trader.state.segment import Decisions
from apex_trader.time import CLOCKS, HOUR

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: An anchored price is ln(x / p_t) · divisor / (σ · √W), by clock. With 2 the far end of the window
#: of a random walk deviates by 2. Moves of successive seconds go on rather than cancel out, so on
#: quiet real seconds 2 would clip 4% of the values; 1.5 clips 0.2%.
ANCHOR_DIVISOR = {"1s": 1.5, "1m": 2.0, "1h": 2.0, "1d": 2.0}


@dataclass(frozen=True)
class Structure:
    """Pivots and regime as a day's decisions know them; m = table rows, n = decisions.

    tables, row_scale: of the blocks "pivots" and "regime", on the minute view's rows.
    trend, choppiness [n]: as in ``Decisions``.
    """

    tables: Mapping[str, F32]
    row_scale: Mapping[str, F32]
    trend: F32
    choppiness: F32


@dataclass(frozen=True)
class Day:
    """A day's decision times and what they see.

    ts [n] µs. clocks, views: by clock. base: (primary, reference) log prices that tables are
    relative to. unavailable: "block.column" names that the markets given cannot provide at all,
    whatever the day. as_of: µs before which nothing is decided. own [n]: the newest price is the
    primary's own, not one of its look-back market.
    """

    ts: I64
    clocks: Mapping[str, ClockTables]
    views: Mapping[str, DayView]
    structure: Structure
    base: tuple[float, float]
    unavailable: frozenset[str]
    as_of: int
    own: Bool


def decisions(schema: Schema, day: Day) -> Decisions:
    """The decisions of a day."""
    fast = schema.fast_clock
    tables, view = day.clocks[fast], day.views[fast]
    start = {c: _window_start(schema, day, c) for c in schema.clocks}
    mark = view.at_last(tables.primary.close)
    anchors = (mark - day.base[0], view.at_last(tables.follower.last_close) - day.base[1])
    coverage = _coverage(schema, day, start)
    sigma = view.at_last(tables.primary.sigma)
    return Decisions(
        ts=day.ts,
        start={c: s.astype(np.int32) for c, s in start.items()},
        row={c: day.views[c].row.astype(np.int32) for c in schema.clocks},
        anchor=np.stack(anchors, axis=1).astype(np.float32),
        scale={c: _scale(schema, day, c) for c in schema.clocks},
        coverage=coverage,
        decidable=_decidable(schema, day, coverage),
        sigma_hour=_sigma_hour(day, sigma, fast).astype(np.float32),
        sigma_decision=(sigma * np.sqrt(schema.decision_interval / CLOCKS[fast])).astype(
            np.float32
        ),
        trend=day.structure.trend,
        choppiness=day.structure.choppiness,
        mark=mark,
    )


def clock_window(schema: Schema, clock: str) -> int:
    """Rows of the longest window on a clock."""
    return max(b.window for b in schema.blocks if b.clock == clock)


def stretch_numbers(schema: Schema, day: Day) -> I64:
    """Which stretch of trading each decision lies in: its first row, -1 when in none."""
    tables, view = day.clocks[schema.fast_clock], day.views[schema.fast_clock]
    grid = tables.grid
    if len(grid) == 0:
        return np.full(len(day.ts), -1)
    last = np.maximum(view.last, 0)
    current = grid.ts[last] == day.ts // grid.step * grid.step - grid.step
    return np.where((view.last >= 0) & current, grid.first[last], -1)


def _window_start(schema: Schema, day: Day, clock: str) -> I64:
    view = day.views[clock]
    start = view.row - clock_window(schema, clock) + 1
    if clock != schema.fast_clock:
        return start
    first = stretch_numbers(schema, day)
    return np.where(first >= 0, np.maximum(start, first - view.low), view.row + 1)


def _scale(schema: Schema, day: Day, clock: str) -> F32:
    tables, view = day.clocks[clock], day.views[clock]
    sigmas = (tables.primary.sigma, tables.follower.last_sigma)
    sigma = np.stack([view.at_last(s) for s in sigmas], axis=1)
    window = math.sqrt(clock_window(schema, clock))
    return np.asarray(ANCHOR_DIVISOR[clock] / (sigma * window), np.float32)


def _sigma_hour(day: Day, sigma: F64, fast: str) -> F64:
    """σ of 1 h returns: the hour clock's own, else the fast clock's over √time."""
    if "1h" in day.clocks:
        return day.views["1h"].at_last(day.clocks["1h"].primary.sigma)
    return sigma * math.sqrt(HOUR / CLOCKS[fast])


def _coverage(schema: Schema, day: Day, start: Mapping[str, I64]) -> F32:
    """Share of each block's window that is there [n, blocks].

    Blocks of one row count their columns instead, less those that the markets cannot provide.
    CNN blocks derive from the windows: theirs is the least of the others.
    """
    shares = {}
    for block in schema.blocks:
        if block.clock not in CLOCKS:
            continue
        if block.name in day.structure.tables:
            shares[block.name] = _column_share(day, block)
        else:
            view = day.views[block.clock]
            present = np.isfinite(view.cut(_presence(day.clocks[block.clock], block)))
            counts = np.concatenate(([0], np.cumsum(present)))
            low = np.maximum(start[block.clock], view.row - block.window + 1)
            shares[block.name] = (counts[view.row + 1] - counts[low]) / block.window
    least = np.min(list(shares.values()), axis=0)
    columns = [shares.get(block.name, least) for block in schema.blocks]
    return np.stack(columns, axis=1).astype(np.float32)


def _presence(tables: ClockTables, block: Block) -> F64:
    """A column that is finite exactly where a row of the block is there."""
    return tables.follower.close if block.symbol == "reference" else tables.primary.close


def _column_share(day: Day, block: Block) -> F64:
    wanted = [f"{block.name}.{c.name}" not in day.unavailable for c in block.columns]
    table = day.structure.tables[block.name][day.views[block.clock].row]
    return np.asarray(np.isfinite(table[:, wanted]).mean(axis=1))


def _decidable(schema: Schema, day: Day, coverage: F32) -> Bool:
    """Whether enough is known to decide: see ``Decisions``.

    Blocks that the markets given cannot provide at all are declared, so they do not count.
    """
    counted = [
        i for i, b in enumerate(schema.blocks)
        if b.clock in CLOCKS and not _wholly_unavailable(b, day.unavailable)
    ]  # fmt: skip
    covered = (coverage[:, counted] >= schema.min_coverage).all(axis=1)
    known = np.isfinite(day.views[schema.fast_clock].at_last(
        day.clocks[schema.fast_clock].primary.sigma))  # fmt: skip
    tradable = (stretch_numbers(schema, day) >= 0) & (day.ts >= day.as_of) & day.own
    return np.asarray(covered & known & tradable)


def _wholly_unavailable(block: Block, unavailable: frozenset[str]) -> bool:
    return all(f"{block.name}.{c.name}" in unavailable for c in block.columns)
