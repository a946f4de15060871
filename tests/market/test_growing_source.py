"""A stream behind a history is the market that a store holds once it has the same trades."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, DataError
from apex_trader.market.growing_source import CutSource, GrowingSource
from apex_trader.market.history import StoreSource
from apex_trader.market.resample import bars_from_seconds
from apex_trader.market.seconds import concatenate_seconds, seconds_from_trades
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Funding, Trades
from apex_trader.time import DAY, HOUR, MINUTE, SECOND

START = 1_700_006_400_000_000 // DAY * DAY
MARKET = "random:ETH"
SPAN = 30 * HOUR


@lru_cache
def trades() -> Trades:
    """Thirty hours: clusters, silences, holes of hours."""
    rng = np.random.default_rng(3)
    ts = START + np.sort(rng.integers(0, SPAN, 20_000))
    for begin, length in ((3, 2), (20, 1), (25, 3)):
        ts = ts[(ts < START + begin * HOUR) | (ts >= START + (begin + length) * HOUR)]
    price = np.round(2000 * np.exp(np.cumsum(rng.normal(0, 1e-4, len(ts)))), 2)
    amount = np.round(rng.lognormal(0, 1, len(ts)), 4) + 1e-4
    side = rng.choice(np.array([-1, 1], np.int8), len(ts))
    return Trades(ts, price, amount, side)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> MarketStore:
    store = MarketStore(str(tmp_path_factory.mktemp("grown")))
    with store.transaction() as transaction:
        transaction.set_info(MarketInfo(MARKET))
        transaction.write(MARKET, trades(), covered=(START, START + SPAN))
    store.write_funding(MARKET, Funding(START + np.array([8, 16, 24]) * HOUR, np.full(3, 1e-4)))
    return store


def stream(source: GrowingSource, whole: StoreSource, sizes: list[int], end: int) -> None:
    """Lets the market's trades come in pieces, in seconds; the rest in hours."""
    pieces = iter(sizes)
    while source.end < end:
        until = min(source.end + next(pieces, 3600) * SECOND, end)
        paid = Funding(*whole.funding(source.end, until))
        source.append(
            until, whole.seconds(source.end, until), whole.trades(source.end, until), paid
        )


def assert_same_rows(a: object, b: object) -> None:
    for name, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(b, name), err_msg=name)


starts = st.sampled_from([0, 61, 5 * 3600, 5 * 3600 + 1777, 86_400, 86_400 + 30])
pieces = st.lists(st.sampled_from([1, 30, 60, 61, 1800, 3600, 20_000]), max_size=12)


@settings(max_examples=8, deadline=None)
@given(begin=starts, sizes=pieces)
def test_a_stream_behind_a_history_is_the_market_that_the_store_holds(store, begin, sizes):
    end = START + 29 * HOUR + 17 * SECOND
    source = GrowingSource(StoreSource(store, MARKET, START + begin * SECOND))
    whole = StoreSource(store, MARKET, end)
    stream(source, whole, sizes, end)
    for clock in ("1m", "1h", "1d"):
        assert_same_rows(source.bars(clock), whole.bars(clock))
        np.testing.assert_array_equal(source.coverage(clock), whole.coverage(clock))
    assert_same_rows(source.seconds(START, end), whole.seconds(START, end))
    assert_same_rows(source.seconds(START + DAY, end), whole.seconds(START + DAY, end))
    assert_same_rows(source.trades(START, end), whole.trades(START, end))
    assert source.second_days() == whole.second_days()
    for mine, theirs in zip(source.funding(START, end), whole.funding(START, end), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(0, 29 * 3600))
def test_a_cut_source_is_the_market_as_it_was(store, cut):
    end = START + cut * SECOND
    source, whole = CutSource(StoreSource(store, MARKET), end), StoreSource(store, MARKET, end)
    for clock in ("1m", "1h", "1d"):
        assert_same_rows(source.bars(clock), whole.bars(clock))
        np.testing.assert_array_equal(source.coverage(clock), whole.coverage(clock))
    assert_same_rows(source.seconds(START, START + SPAN), whole.seconds(START, START + SPAN))
    assert source.second_days() == whole.second_days()
    assert source.funding(START, START + SPAN)[0].tolist() == whole.funding(
        START, START + SPAN)[0].tolist()  # fmt: skip


def test_seconds_of_bars_and_seconds_of_trades_make_no_minute_together(tmp_path):
    """What a store would not join, a stream does not join either."""
    store, turn = MarketStore(str(tmp_path)), START + 5 * HOUR + 30 * SECOND
    bars = bars_from_seconds(seconds_from_trades(trades().between(START, turn)))
    with store.transaction() as transaction:
        transaction.set_info(MarketInfo(MARKET))
        transaction.write(MARKET, bars, covered=(START, turn))
    source = GrowingSource(StoreSource(store, MARKET, turn))
    late = trades().between(turn, turn + 10 * MINUTE)
    source.append(turn + 10 * MINUTE, seconds_from_trades(late), late)
    minutes = source.bars("1m").ts
    assert turn // MINUTE * MINUTE not in minutes
    assert turn // MINUTE * MINUTE + MINUTE in minutes


def test_what_was_forgotten_is_not_asked_for(store):
    source = GrowingSource(StoreSource(store, MARKET, START + HOUR))
    whole = StoreSource(store, MARKET)
    stream(source, whole, [], START + 12 * HOUR)
    source.forget(START + HOUR)
    assert_same_rows(source.seconds(START, START + DAY), whole.seconds(START, START + 12 * HOUR))
    bars = source.bars("1m")
    source.forget(START + 6 * HOUR)
    held = START + 6 * HOUR, START + 12 * HOUR
    assert_same_rows(source.seconds(*held), whole.seconds(*held))
    assert_same_rows(source.trades(*held), whole.trades(*held))
    assert_same_rows(source.bars("1m"), bars)
    for ask in (source.seconds, source.trades):
        with pytest.raises(ApexError, match="no longer held"):
            ask(START + 6 * HOUR - SECOND, START + 7 * HOUR)


def test_a_stream_goes_on_in_order_and_within_its_time(store):
    source = GrowingSource(StoreSource(store, MARKET, START))
    whole = StoreSource(store, MARKET)
    minute = whole.seconds(START, START + MINUTE)
    with pytest.raises(DataError, match="not all in order"):
        source.append(START + 30 * SECOND, minute, whole.trades(START, START + MINUTE))
    with pytest.raises(DataError, match="not all in order"):
        source.append(START + MINUTE, concatenate_seconds([minute, minute]))
    with pytest.raises(DataError, match="whole seconds"):
        source.append(START + 1, minute.slice(0, 0))
    source.append(START + MINUTE, minute, whole.trades(START, START + MINUTE))
    with pytest.raises(ApexError, match="from the first batch on"):
        source.append(START + 2 * MINUTE, minute.slice(0, 0))
