"""Invariant 3: the stream's tables are the offline ones, bit for bit, however the stream comes."""

import copy
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError, DataError
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.growing_source import CutSource
from apex_trader.market.source import MemorySource
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.live import LiveTables
from apex_trader.state.schema import SCHEMAS, Schema
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.state.state_markets import random_markets, until

torch.set_num_threads(1)
ROWS = 16
CNN = ("cnn_hidden", "cnn_predictions")
NAMES = pytest.mark.parametrize("name", ["eth_full", "eth_minutes"])
#: The stream runs over midnight, and over the silences and gaps that the market has.
BEFORE, AFTER = 40 * MINUTE, 50 * MINUTE
Pair = tuple[MemorySource, MemorySource]


@lru_cache
def schema_of(name: str) -> Schema:
    return SCHEMAS[name](ROWS).without(*CNN)


@lru_cache
def market() -> Pair:
    return random_markets(7, 16, 2)


@lru_cache
def midnight() -> int:
    return market()[0].second_days()[-1]


def closed(pair: Pair, start: int, end: int, with_trades: bool = True) -> ClosedSeconds:
    """What a perfect stream says of a time."""
    seconds = {s.info.market: s.seconds(start, end) for s in pair}
    trades = {s.info.market: s.trades(start, end) for s in pair} if with_trades else {}
    return ClosedSeconds(start, end, seconds, trades)


@lru_cache
def _begun(name: str, start: int) -> LiveTables:
    primary, reference = market()
    return LiveTables(schema_of(name), until(primary, start), until(reference, start))


def begun(name: str, start: int) -> LiveTables:
    """Live tables that begin at a time; a copy of one that is made once."""
    return copy.deepcopy(_begun(name, start))


@lru_cache
def offline(name: str, day: int) -> Segment:
    """The day's segment, known whole."""
    return SegmentBuilder(schema_of(name), *market()).build(day)


def offline_at(name: str, end: int) -> Segment:
    """The segment of the day that ends or goes on at ``end``, in markets that end there."""
    day = (end - 1) // DAY * DAY
    primary, reference = (CutSource(source, end) for source in market())
    return SegmentBuilder(schema_of(name), primary, reference).build(day)


def assert_same(a: object, b: object, where: str = "segment", ignore: tuple[str, ...] = ()) -> None:
    """Equal in every field and every bit."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=where)
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}", ignore)
    elif is_dataclass(a):
        for f in fields(a):
            if f.name not in ignore:
                assert_same(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}", ignore)
    else:
        assert a == b, where


def assert_same_states(live: LiveTables, segment: Segment) -> None:
    """Every decision so far has the state that the offline tables give."""
    rows = torch.arange(live.newest + 1)
    for turned in (False, True):
        mirror = torch.full((len(rows),), turned)
        now = gather(live.tables, rows, mirror)
        then = gather(MarketTables.from_segments([segment], live.schema), rows, mirror)
        assert torch.equal(now, then)


#: Pieces that a stream may come in, seconds: single ones, several, minutes, ten of them.
pieces = st.lists(
    st.sampled_from([1, 1, 2, 5, 7, 30, 59, 60, 61, 300, 599, 600]), min_size=1, max_size=25
)


@NAMES
@settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate])
@given(pieces=pieces, begin=st.integers(0, 30 * 60), with_trades=st.booleans())
def test_any_division_of_a_stream_gives_the_bits_of_the_offline_segment(
    name, pieces, begin, with_trades
):
    pair, turn = market(), midnight()
    start = turn - BEFORE + begin // 30 * 30 * SECOND
    live, at = begun(name, start), start
    sizes = iter(pieces)
    while at < turn + AFTER:
        size = next(sizes, 600) * SECOND
        live.extend(closed(pair, at, at + size, with_trades))
        at += size
    assert live.end == at
    assert live.day == turn
    assert_same_states(live, offline(name, turn))
    step = 5 * MINUTE
    sealed = live.seal((at - live.settle) // step * step)
    now = offline_at(name, sealed.decisions.ts[-1])
    content = () if with_trades or name == "eth_minutes" else ("key",)
    assert_same(sealed, now, ignore=("outcomes", *content))
    assert_outcomes(name, sealed, offline(name, turn), with_trades)


def assert_outcomes(name: str, sealed: Segment, whole: Segment, with_trades: bool = True) -> None:
    """What happened to every decision but the last is final."""
    count = sealed.rows - 1
    got, wanted = sealed.outcomes, whole.outcomes
    exact = with_trades or name == "eth_minutes"
    for field in ("fill", "fill_ts", "episode", "funding") if exact else ("fill", "episode"):
        values = getattr(got, field)[:count], getattr(wanted, field)[:count]
        np.testing.assert_array_equal(*values, err_msg=field)
    np.testing.assert_array_equal(got.next_row[:count], wanted.next_row[:count])
    assert got.next_row[-1] == -1


@NAMES
def test_a_day_that_is_over_is_sealed_whole(name):
    pair, turn = market(), midnight()
    live = begun(name, turn - BEFORE)
    live.extend(closed(pair, live.end, turn + 10 * MINUTE))
    sealed = live.seal(turn)
    assert sealed.day == turn - DAY
    assert_same(sealed, offline_at(name, turn), ignore=("outcomes",))
    assert_same(sealed.outcomes, offline(name, turn - DAY).outcomes)
    assert sealed.key == offline(name, turn - DAY).key


@NAMES
def test_a_later_part_of_a_day_only_adds_rows(name):
    pair, turn = market(), midnight()
    live = begun(name, turn - 10 * MINUTE)
    live.extend(closed(pair, live.end, turn + 20 * MINUTE))
    early = live.seal(turn + 10 * MINUTE)
    kept = copy.deepcopy(early)
    live.extend(closed(pair, live.end, turn + 40 * MINUTE))
    late = live.seal(turn + 35 * MINUTE)
    assert_same(early, kept)
    assert late.rows > early.rows
    assert late.key != early.key
    assert late.base == early.base
    for block, table in early.tables.items():
        np.testing.assert_array_equal(late.tables[block][: len(table)], table)
    for name_ in ("ts", "anchor", "coverage", "decidable", "mark"):
        values = getattr(early.decisions, name_)
        np.testing.assert_array_equal(getattr(late.decisions, name_)[: len(values)], values)


def test_a_stream_may_begin_before_any_price_is_known():
    """A day without a trade lies before it: nothing is known until the first one comes."""
    pair = market()
    first = pair[0].second_days()[0]
    start = first + 7 * HOUR
    silent = [_silent(source, first - DAY, start) for source in pair]
    primary, reference = (until(source, start) for source in silent)
    schema = schema_of("eth_full")
    live = LiveTables(schema, primary, reference)
    assert not live.tables.anchor[: live.newest + 1].isfinite().any()
    live.extend(closed(silent, start, start + 30 * MINUTE))
    segment = SegmentBuilder(schema, *(CutSource(s, live.end) for s in silent)).build(first)
    assert_same_states(live, segment)


def _silent(source: MemorySource, start: int, end: int) -> MemorySource:
    """A market in which nothing is known of [start, end)."""
    bars = {
        clock: b.take((b.ts + b.step <= start) | (b.ts >= end))
        for clock, b in source.clock_bars.items()
    }
    return replace(
        source, clock_bars=bars, all_seconds=source.all_seconds.between(end, 2**62),
        all_trades=source.all_trades.between(end, 2**62),
    )  # fmt: skip


def test_without_a_reference_its_columns_are_missing_and_nothing_else_changes():
    pair, turn = market(), midnight()
    schema = schema_of("eth_full")
    live = LiveTables(schema, until(pair[0], turn - MINUTE))
    live.extend(closed(pair[:1], live.end, turn + 10 * MINUTE))
    segment = SegmentBuilder(schema, CutSource(pair[0], live.end)).build(turn)
    assert_same_states(live, segment)


def test_what_does_not_join_on_is_refused():
    pair, turn = market(), midnight()
    live = begun("eth_minutes", turn - BEFORE)
    with pytest.raises(DataError, match="Give every second once"):
        live.extend(closed(pair, live.end + SECOND, live.end + MINUTE))
    with pytest.raises(DataError, match="without random:BTC"):
        live.extend(closed(pair[:1], live.end, live.end + MINUTE))
    with pytest.raises(ConfigError, match=r"history\.end"):
        LiveTables(schema_of("eth_minutes"), *pair)
    with pytest.raises(ApexError, match="where both end"):
        LiveTables(schema_of("eth_minutes"), until(pair[0], turn), until(pair[1], turn + DAY))


def test_only_what_is_settled_is_sealed():
    pair, turn = market(), midnight()
    live = begun("eth_full", turn)
    live.extend(closed(pair, turn, turn + 5 * MINUTE))
    with pytest.raises(ApexError, match="closed seconds are needed"):
        live.seal(turn + 5 * MINUTE)
    with pytest.raises(ApexError, match="no longer held"):
        live.seal(turn - DAY)
    assert live.seal(turn + 4 * MINUTE).rows == 4 * 12 + 1
