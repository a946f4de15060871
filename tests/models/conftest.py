"""A small market of minute bars with an edge planted in it, and segments of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema, eth_minutes
from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.time import DAY, MINUTE

torch.set_num_threads(1)

ROWS = 16
MINUTES = 1440
SIGMA = 1e-3
FIRST_DAY = 1_700_006_400_000_000 // DAY * DAY

#: (ln prices [days × 1440 + look-back], activity of each bar, its sign known with the bar)
Path = tuple[NDArray[np.float64], NDArray[np.float64]]


def interaction(days: int, seed: int, strength: float = 0.5) -> Path:
    """Busy minutes carry the last return on, quiet ones reverse it.

    The next return hangs on the product of return and activity, which no linear model can form:
    it is left with the weak echo two minutes back.
    """
    rng = np.random.default_rng(seed)
    n = days * MINUTES + ROWS
    busy = np.where(np.cumsum(rng.random(n) < 0.1) % 2 == 0, 1.0, -1.0)
    noise = rng.standard_normal(n) * SIGMA
    returns = np.empty(n)
    last = 0.0
    for t in range(n):
        last = noise[t] + (strength * busy[t - 1] * last if t else 0.0)
        returns[t] = last
    return np.cumsum(returns), busy


def martingale(days: int, seed: int) -> Path:
    """No edge: independent returns."""
    return interaction(days, seed, strength=0.0)


def minute_schema() -> Schema:
    """Minute windows, pivots and regime; horizons of 1 to 30 minutes."""
    schema = eth_minutes(rows=ROWS)
    schema = schema.without(*(b.name for b in schema.blocks if b.clock in ("1h", "1d")))
    return replace(schema, name="minutes", horizons=tuple(MINUTE * m for m in (1, 5, 15, 30)))


def segments_of(path: Path, schema: Schema, skip: tuple[int, ...] = ()) -> list[Segment]:
    """A segment for each day of the path, but those skipped."""
    days = (len(path[0]) - ROWS) // MINUTES
    return [_segment(path, schema, day) for day in range(days) if day not in skip]


def _segment(path: Path, schema: Schema, day: int) -> Segment:
    log_price, busy = path
    first = day * MINUTES
    span = slice(first, first + MINUTES + ROWS)
    price, n = log_price[span] - log_price[0], MINUTES
    returns = np.diff(price, prepend=price[0]) / SIGMA
    rows = len(price)
    tables = {
        b.name: np.zeros((rows, b.width), np.float32)
        for b in schema.blocks
        if b.clock in schema.clocks
    }
    bars = tables["primary_1m"]
    bars[:, :4] = price[:, None]
    bars[:, 4] = np.clip(returns, -5, 5)
    bars[:, 5] = busy[span]
    tables["reference_1m"][:, 0] = np.nan
    known = np.arange(n) + ROWS - 1
    ones = np.ones(n, np.float32)
    ts = FIRST_DAY + day * DAY + np.arange(n, dtype=np.int64) * MINUTE
    decisions = Decisions(
        ts=ts,
        start={"1m": (known - ROWS + 1).astype(np.int32)},
        row={"1m": known.astype(np.int32)},
        anchor=np.stack([price[known], np.zeros(n)], 1).astype(np.float32),
        scale={"1m": np.full((n, 2), 1 / (SIGMA * np.sqrt(ROWS) / 2), np.float32)},
        coverage=np.ones((n, len(schema.blocks)), np.float32),
        decidable=np.ones(n, np.bool_),
        sigma_hour=ones * SIGMA * 60**0.5,
        sigma_decision=ones * SIGMA,
        trend=0 * ones,
        choppiness=0 * ones,
        mark=log_price[span][known],
    )
    outcomes = Outcomes(
        np.full(n, np.nan), np.zeros(n, np.int64), np.arange(1, n + 1, dtype=np.int32),
        np.zeros(n, np.int32), 0 * ones,
    )  # fmt: skip
    return Segment(
        key=f"day-{day}", schema=schema.fingerprint, market="test:PLANTED", day=int(ts[0]),
        base=(float(log_price[0]), 0.0), tables=tables,
        row_scale={"pivots": np.ones((rows, schema.block("pivots").anchored), np.float32)},
        decisions=decisions, outcomes=outcomes, pivot_events=_pivots(decisions), synthetic=True,
    )  # fmt: skip


def _pivots(decisions: Decisions) -> PivotEvents:
    """Every 10 minutes a swing of level 2, highs and lows in turn; every fourth rises to level 3.

    A swing's own time is 5 minutes before it is known; it rises 20 minutes after it was known,
    with the next swing of its kind.
    """
    number = np.arange(3, len(decisions.ts) // 10)
    row, kind = number * 10, np.where(number % 2 == 0, 1, -1)
    place = decisions.ts[row] - 5 * MINUTE
    upper = number % 4 == 0
    later = np.minimum(row + 20, len(decisions.ts) - 1)
    keep = upper & (row + 20 < len(decisions.ts))
    rows = np.concatenate([row, later[keep]])
    order = np.argsort(rows, kind="stable")
    level = np.concatenate([np.full(len(row), 2), np.full(int(keep.sum()), 3)])
    return PivotEvents(
        rows[order].astype(np.int32), level[order].astype(np.int8),
        np.concatenate([kind, kind[keep]])[order].astype(np.int8),
        np.concatenate([place, place[keep]])[order],
    )  # fmt: skip


@pytest.fixture(scope="session")
def schema() -> Schema:
    return minute_schema()


@pytest.fixture(scope="session")
def make_segments(schema: Schema) -> Callable[..., list[Segment]]:
    """(days, seed, edge) → segments of a planted market, or of one without an edge."""

    def make(days: int, seed: int, edge: bool = True, skip: tuple[int, ...] = ()) -> list[Segment]:
        path = interaction(days, seed) if edge else martingale(days, seed)
        return segments_of(path, schema, skip)

    return make


@pytest.fixture(scope="session")
def make_tables(schema: Schema) -> Callable[[list[Segment]], MarketTables]:
    return lambda segments: MarketTables.from_segments(segments, schema)
