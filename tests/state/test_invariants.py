"""Invariants 1, 2 and 7 for every column, by construction: columns are looped over, never named."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from apex_trader.market.source import MemorySource
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.mirror import mirror_map
from apex_trader.state.schema import SCHEMAS, Schema
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from benchmarks.leaks import leak_of_one_row
from tests.state.state_markets import (
    mirrored,
    poisoned,
    random_markets,
    real_sources,
    until,
)

torch.set_num_threads(1)
ROWS = 16
CNN = ("cnn_hidden", "cnn_predictions")
Pair = tuple[MemorySource, MemorySource]


@lru_cache
def schema_of(name: str) -> Schema:
    return SCHEMAS[name](ROWS).without(*CNN)


@lru_cache
def market_of(name: str) -> Pair:
    """A market with silences and gaps; for minutes, days enough to have them too."""
    return random_markets(7, 16, 2) if name == "eth_full" else random_markets(8, 18, 0)


@lru_cache
def segment_of(name: str, day: int) -> Segment:
    return builder(name, market_of(name)).build(day)


def builder(name: str, pair: Pair) -> SegmentBuilder:
    return SegmentBuilder(schema_of(name), *pair)


def states(segment: Segment, schema: Schema, rows: np.ndarray, turned: bool = False) -> np.ndarray:
    tables = MarketTables.from_segments([segment], schema)
    mirror = torch.full((len(rows),), turned)
    return gather(tables, torch.from_numpy(rows), mirror).numpy()


def telling_times(name: str, pair: Pair) -> list[int]:
    """Decision times in trading, in silences, in gaps, just after them and at a day's turn."""
    interval = schema_of(name).decision_interval
    primary = pair[0]
    rows = primary.all_seconds if name == "eth_full" else primary.bars("1m")
    step = SECOND if name == "eth_full" else MINUTE
    gap = schema_of(name).max_gap
    start = int(rows.ts[-1]) // DAY * DAY - DAY
    ts = rows.ts[rows.ts >= start + DAY // 4]
    pause = np.diff(ts) - step
    rng = np.random.default_rng(0)
    times = [start + DAY, *rng.choice(ts, 2)]
    for kind in (pause > gap, (pause > gap // 2) & (pause <= gap)):
        places = np.flatnonzero(kind)
        assert len(places), "the market must have silences and gaps"
        place = int(rng.choice(places))
        times += [ts[place] + gap // 2, ts[place] + gap, ts[place] + gap + interval]
        times += [ts[place + 1] + step, ts[place + 1] + 20 * interval]
    return sorted({int(t) // interval * interval for t in times})


def assert_same_knowledge(now: Segment, later: Segment, schema: Schema, end: int) -> None:
    """All that the decisions up to ``end`` know is the same, bit for bit."""
    rows = np.flatnonzero(now.decisions.ts <= end)
    assert now.decisions.ts[rows[-1]] == end
    for column in ("ts", "anchor", "coverage", "decidable", "sigma_hour", "sigma_decision", "trend",
                   "choppiness", "mark"):  # fmt: skip
        np.testing.assert_array_equal(
            getattr(now.decisions, column)[rows], getattr(later.decisions, column)[rows], column
        )
    for clock in schema.clocks:
        for column in ("row", "start", "scale"):
            np.testing.assert_array_equal(
                getattr(now.decisions, column)[clock][rows],
                getattr(later.decisions, column)[clock][rows],
            )
    sample = np.unique(np.linspace(0, len(rows) - 1, 60).astype(np.int64))
    then, whole = states(now, schema, rows[sample]), states(later, schema, rows[sample])
    different = np.flatnonzero((then != whole).any(axis=0))
    assert not len(different), [schema.columns[i] for i in different[:10]]
    assert now.base == later.base


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_state_is_the_same_whether_the_store_ends_at_t_or_later(name):
    schema, pair = schema_of(name), market_of(name)
    decided = 0
    for end in telling_times(name, pair):
        day = end // DAY * DAY
        now = builder(name, (until(pair[0], end), until(pair[1], end))).build(day)
        assert_same_knowledge(now, segment_of(name, day), schema, end)
        decided += int(now.decisions.decidable[-1])
    assert decided > 1


@pytest.mark.parametrize(
    ("name", "clock"), [("eth_full", "1s"), *(("eth_minutes", c) for c in ("1m", "1h", "1d"))]
)
def test_a_planted_leak_of_one_row_on_any_clock_is_caught(name, clock):
    schema, pair = schema_of(name), market_of(name)
    end = telling_times(name, pair)[0] + 7 * HOUR + 30 * MINUTE
    day = end // DAY * DAY
    with leak_of_one_row(clock):
        now = builder(name, (until(pair[0], end), until(pair[1], end))).build(day)
        later = builder(name, pair).build(day)
    with pytest.raises(AssertionError):
        assert_same_knowledge(now, later, schema, end)


@pytest.mark.parametrize("name", SCHEMAS)
def test_garbage_after_t_changes_nothing_at_t(name):
    schema, pair = schema_of(name), market_of(name)
    for end in telling_times(name, pair)[::3]:
        day = end // DAY * DAY
        rng = np.random.default_rng(end % 1000)
        spoiled = builder(name, (poisoned(pair[0], end, rng), poisoned(pair[1], end, rng)))
        segment = spoiled.build(day)
        assert_same_knowledge(_cut(segment, end), segment_of(name, day), schema, end)
        after = np.array([len(segment.decisions.ts) - 1])
        if segment.decisions.ts[after[0]] > end + DAY // 8:
            changed = states(segment, schema, after) != states(segment_of(name, day), schema, after)
            assert changed.any()


def _cut(segment: Segment, end: int) -> Segment:
    """The segment as if its last decision were at ``end``."""
    known, last = segment.decisions, int(np.searchsorted(segment.decisions.ts, end)) + 1
    cut = {k: v[:last] for k, v in vars(known).items() if isinstance(v, np.ndarray)}
    for clocked in ("start", "row", "scale"):
        cut[clocked] = {c: v[:last] for c, v in getattr(known, clocked).items()}
    return replace(segment, decisions=replace(known, **cut))


@pytest.mark.parametrize("name", SCHEMAS)
def test_any_day_computed_alone_has_the_same_bits(name):
    pair = market_of(name)
    days = builder(name, pair).days()[-2:]
    forward = builder(name, pair)
    segments = [forward.build(day) for day in days]
    for day, segment in zip(days, segments, strict=True):
        alone = builder(name, pair).build(day)
        assert alone.key == segment.key
        for block, table in alone.tables.items():
            np.testing.assert_array_equal(table, segment.tables[block])
        for block, scale in alone.row_scale.items():
            np.testing.assert_array_equal(scale, segment.row_scale[block])


@pytest.mark.parametrize("name", SCHEMAS)
def test_mirroring_a_state_twice_gives_it_back(name):
    schema = schema_of(name)
    segment = segment_of(name, builder(name, market_of(name)).days()[-1])
    rows = np.flatnonzero(segment.decisions.decidable)[::50]
    index, sign = mirror_map(schema)
    turned = states(segment, schema, rows, turned=True)
    np.testing.assert_array_equal(turned[:, index] * sign, states(segment, schema, rows))


def assert_mirror_holds(name: str, pair: Pair, pivots: tuple[float, float], day: int) -> None:
    schema = schema_of(name)
    segment = builder(name, pair).build(day)
    upside_down = builder(name, (mirrored(pair[0], pivots[0]), mirrored(pair[1], pivots[1]))).build(
        day
    )
    np.testing.assert_array_equal(upside_down.decisions.decidable, segment.decisions.decidable)
    rows = np.flatnonzero(segment.decisions.decidable)
    rows = rows[:: max(1, len(rows) // 200)]
    assert len(rows) > 20
    by_map, by_market = states(segment, schema, rows, True), states(upside_down, schema, rows)
    wrong = np.abs(by_map - by_market) > 5e-3
    bad = [(c, float(s)) for c, s in zip(schema.columns, wrong.mean(axis=0), strict=True) if s > 0]
    assert not bad, bad[:20]
    known, turned = segment.decisions, upside_down.decisions
    np.testing.assert_allclose(turned.trend[rows], -known.trend[rows], atol=1e-6)
    np.testing.assert_allclose(turned.choppiness[rows], known.choppiness[rows], atol=1e-4)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_mirrored_markets_states_are_the_mirrored_states(name):
    pair = market_of(name)
    day = builder(name, pair).days()[-1]
    assert_mirror_holds(name, pair, (2000.0**2, 40000.0**2), day)


def test_on_real_minutes_the_state_is_the_same_whether_the_store_ends_at_t_or_later():
    pair = real_pair()
    later = builder("eth_minutes", pair)
    outage = 1679661600_000_000  # 2023-03-24 12:40, where 80 minutes are absent
    for end in (outage - 30 * MINUTE, outage + 9 * MINUTE, outage + 79 * MINUTE, outage + 2 * DAY):
        day = end // DAY * DAY
        now = builder("eth_minutes", (until(pair[0], end), until(pair[1], end))).build(day)
        assert_same_knowledge(now, later.build(day), schema_of("eth_minutes"), end)


def test_on_real_minutes_the_mirrored_markets_states_are_the_mirrored_states():
    pair = real_pair()
    day = 1679270400_000_000
    assert_mirror_holds("eth_minutes", pair, (1600.0**2, 27000.0**2), day)


@lru_cache
def real_pair() -> Pair:
    """Real minutes of March 2023, with the hours and days of two months before."""
    start, end = 1677628800_000_000, 1680307200_000_000
    begin = {"1m": start, "1h": start - 60 * DAY, "1d": start - 60 * DAY}
    primary, reference = (
        replace(s, clock_bars={c: b.between(begin[c], end) for c, b in s.clock_bars.items()})
        for s in real_sources(["2023"])
    )
    return primary, reference
