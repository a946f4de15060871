"""Every bar from the finest source that covers it whole, and nothing of what comes after."""

import functools
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.history import StoreSource
from apex_trader.market.lookback import discover_lookbacks, measure_lookback, set_lookback
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.source import LookbackSource, MarketInfo, MarketSource
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Bars, Funding, Trades
from apex_trader.time import CLOCKS, DAY, HOUR, MINUTE, SECOND, parse_time
from tests.market.samples import MONDAY, random_bars, random_trades

ETH, SPOT = "testing:ETHUSDT", "testing:SPOT"
NAMES = ("ts", "open", "high", "low", "close", "volume", "taker_buy_volume", "count")
#: Ticks of an hour and a half from 01:30:20, seconds of 20 minutes from 04:10, minutes of two days.
TICKS, SECONDS = MONDAY + 90 * MINUTE + 20 * SECOND, MONDAY + 250 * MINUTE
END = MONDAY + 4 * DAY


def keep(bars: Bars, rows: np.ndarray) -> Bars:
    return Bars(**{n: getattr(bars, n)[rows] for n in NAMES}, clock=bars.clock)


def same(a: Bars, b: Bars) -> bool:
    return a.clock == b.clock and all(
        np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in NAMES
    )


def tables() -> dict[str, Bars | Trades]:
    minutes = random_bars(31, 2 * 1440, "1m", MONDAY)
    out = (minutes.ts >= MONDAY + 9 * HOUR) & (minutes.ts < MONDAY + 11 * HOUR + 7 * MINUTE)
    return {
        "trades": random_trades(32, 6000, TICKS, 90 * MINUTE),
        "1s": random_bars(33, 1200, "1s", SECONDS, zero=0.4),
        "1m": keep(minutes, ~out),
        "1h": random_bars(34, 24 * 4, "1h", MONDAY),
        "1d": random_bars(35, 4, "1d", MONDAY),
    }


def fill(store: MarketStore, market: str, data: dict[str, Bars | Trades]) -> None:
    with store.transaction() as write:
        for rows in data.values():
            write.write(market, rows)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> MarketStore:
    """A perpetual of one day inside the history of a spot market with every kind of data."""
    store = MarketStore(tmp_path_factory.mktemp("history"))
    fill(store, SPOT, tables())
    own = {
        "trades": random_trades(36, 4000, MONDAY + DAY + 10 * SECOND, 5 * HOUR),
        "1m": random_bars(37, 600, "1m", MONDAY + DAY + 7 * HOUR),
    }
    fill(store, ETH, own)
    lookback = LookbackSource(SPOT, 0.01, MONDAY + DAY + 6 * MINUTE)
    store.set_info(MarketInfo(ETH, "perpetual", lookback=lookback))
    return store


def test_a_store_source_is_a_market_source(full: MarketStore) -> None:
    source: MarketSource = StoreSource(full, ETH)
    assert source.info.market == ETH


def test_minutes_come_from_ticks_then_seconds_then_the_imported_bars(full: MarketStore) -> None:
    data, bars = tables(), StoreSource(full, SPOT).bars("1m")
    ticks = resample(bars_from_seconds(seconds_from_trades(data["trades"])), "1m")
    whole = keep(ticks, ticks.ts >= MONDAY + 91 * MINUTE)
    assert same(bars.between(MONDAY + 91 * MINUTE, MONDAY + 180 * MINUTE), whole)
    of_seconds = resample(data["1s"], "1m")
    assert same(bars.between(SECONDS, SECONDS + 20 * MINUTE), of_seconds)
    imported = data["1m"]
    for low, high in ((MONDAY, MONDAY + 91 * MINUTE), (SECONDS + 20 * MINUTE, END)):
        assert same(bars.between(low, high), imported.between(low, high))


def test_hours_come_from_minutes_where_they_span_them_else_imported(full: MarketStore) -> None:
    source = StoreSource(full, SPOT)
    hours, minutes, imported = source.bars("1h"), source.bars("1m"), tables()["1h"]
    made = resample(minutes, "1h")
    assert same(hours.between(MONDAY, MONDAY + 9 * HOUR), made.between(MONDAY, MONDAY + 9 * HOUR))
    # 09:00 and 10:00 have no minute at all: the imported hours stand. 11:00 has 53 of them.
    assert hours.close[9:11].tolist() == imported.close[9:11].tolist()
    assert hours.close[11] == made.close[made.ts == MONDAY + 11 * HOUR]
    assert same(hours.slice(48, 96), imported.slice(48, 96))


def test_bars_of_ticks_know_taker_volume_and_count(full: MarketStore) -> None:
    bars = StoreSource(full, SPOT).bars("1m").between(MONDAY + 91 * MINUTE, MONDAY + 180 * MINUTE)
    trades = tables()["trades"]
    first = trades.between(int(bars.ts[0]), int(bars.ts[0]) + MINUTE)
    assert bars.count[0] == len(first)
    assert bars.taker_buy_volume[0] == pytest.approx(first.amount[first.side > 0].sum())


@functools.cache
def whole_sources(url: str) -> dict[str, StoreSource]:
    return {market: StoreSource(MarketStore(url), market) for market in (SPOT, ETH)}


@settings(max_examples=40, deadline=None)
@example(MONDAY + DAY)
@example(MONDAY + DAY + 5 * HOUR)
@example(SECONDS + 10 * SECOND)
@example(0)
@given(st.one_of(
    st.integers(MONDAY - HOUR, END + HOUR),
    st.integers(0, 4 * 1440).map(lambda k: MONDAY + k * MINUTE),
    st.integers(0, 5400).map(lambda k: TICKS + k * SECOND),
))  # fmt: skip
def test_prefix_an_earlier_end_has_the_same_bars_as_far_as_it_goes(
    full: MarketStore, end: int
) -> None:
    for market, whole in whole_sources(full.url).items():
        earlier = StoreSource(full, market, end)
        for clock, step in CLOCKS.items():
            bars = whole.bars(clock)
            closed = bars.slice(0, int(np.searchsorted(bars.ts, end - step, side="right")))
            assert same(earlier.bars(clock), closed), (market, clock)
        rows, all_rows = earlier.seconds(MONDAY, END), whole.seconds(MONDAY, end // SECOND * SECOND)
        for name in vars(rows):
            np.testing.assert_array_equal(getattr(rows, name), getattr(all_rows, name))
        assert earlier.second_days() == np.unique(all_rows.ts // DAY * DAY).tolist()


@settings(max_examples=8, deadline=None)
@given(end=st.integers(MONDAY + MINUTE, END), seed=st.integers(0, 2**32))
def test_poison_garbage_after_the_end_changes_nothing(
    full: MarketStore, tmp_path_factory: pytest.TempPathFactory, end: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    poisoned = MarketStore(tmp_path_factory.mktemp("poison"))
    for market in (SPOT, ETH):
        with poisoned.transaction() as write:
            for kind in full.kinds(market):
                rows = full._read(market, kind, 0, END * 2)
                write.write(market, poison(rows, end, rng))
            write.set_info(full.info(market))
    for market in (SPOT, ETH):
        clean, dirty = StoreSource(full, market, end), StoreSource(poisoned, market, end)
        assert all(same(clean.bars(clock), dirty.bars(clock)) for clock in CLOCKS)
        a, b = clean.seconds(0, END), dirty.seconds(0, END)
        for name in vars(a):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def poison(rows: Bars | Trades, end: int, rng: np.random.Generator) -> Bars | Trades:
    """The rows with other values in every event that ends after ``end``."""
    length = rows.step if isinstance(rows, Bars) else 1
    late = rows.ts + length > end
    factor = np.where(late, rng.uniform(2, 3, len(rows)), 1.0)
    if isinstance(rows, Trades):
        return replace(rows, price=rows.price * factor, amount=rows.amount * factor)
    changed = {n: getattr(rows, n) * factor for n in ("open", "high", "low", "close")}
    return replace(rows, volume=rows.volume * factor, **changed)


def test_the_look_back_stands_in_where_the_market_has_nothing(full: MarketStore) -> None:
    spot, source = StoreSource(full, SPOT), StoreSource(full, ETH)
    own, bars, other = source.own_bars("1m"), source.bars("1m"), spot.bars("1m")
    first = int(own.ts[0])
    past = bars.between(0, first)
    assert past.ts.tolist() == other.between(0, first).ts.tolist()
    np.testing.assert_allclose(past.close, other.between(0, first).close * np.exp(0.01))
    assert past.volume.tolist() == other.between(0, first).volume.tolist()
    # Inside its own recording a minute without trades is absent, not borrowed.
    recorded = own.between(first, MONDAY + DAY + 5 * HOUR)
    assert same(bars.between(first, MONDAY + DAY + 5 * HOUR), recorded)
    # Between its two recordings the look-back is there again, and after the last one it is not.
    between = bars.between(MONDAY + DAY + 5 * HOUR, MONDAY + DAY + 7 * HOUR)
    assert len(between) == 120
    assert bars.ts[-1] == own.ts[-1]


def test_coverage_says_where_bars_are_the_markets_own(full: MarketStore) -> None:
    source = StoreSource(full, ETH)
    start = MONDAY + DAY
    assert source.coverage("1m").tolist() == [
        [start + MINUTE, start + 5 * HOUR],
        [start + 7 * HOUR, start + 17 * HOUR],
    ]
    assert source.coverage("1h")[0].tolist() == [start + HOUR, start + 5 * HOUR]
    assert len(StoreSource(full, ETH, start + 90 * MINUTE).coverage("1h")) == 0


def test_a_minute_that_closes_after_the_end_is_unknown(full: MarketStore) -> None:
    end = TICKS + HOUR  # 02:30:20
    minutes = StoreSource(full, SPOT, end).own_minutes(MONDAY, MONDAY + DAY)
    assert minutes.ts[-1] == MONDAY + 2 * HOUR + 29 * MINUTE
    closing = StoreSource(full, SPOT, end - 20 * SECOND).own_minutes(MONDAY, MONDAY + DAY)
    assert closing.ts[-1] == minutes.ts[-1]


@pytest.mark.parametrize("kind", ["trades", "1s"])
def test_a_partitions_first_minute_is_known_at_its_close(store: MarketStore, kind: str) -> None:
    """The first trade of a day comes after midnight; the minute that it lies in begins there."""
    day = MONDAY + DAY
    ticks = random_trades(40, 900, day - 5 * MINUTE, 8 * MINUTE)
    ticks = ticks.take((ticks.ts < day) | (ticks.ts > day + 7 * SECOND))
    rows = ticks if kind == "trades" else bars_from_seconds(seconds_from_trades(ticks))
    store.write_bars(SPOT, rows) if isinstance(rows, Bars) else store.write_trades(SPOT, rows)
    whole = StoreSource(store, SPOT).bars("1m")
    for minute in range(-3, 2):
        end = day + (minute + 1) * MINUTE
        known = StoreSource(store, SPOT, end).bars("1m")
        assert known.ts[-1] == day + minute * MINUTE
        assert same(known, whole.slice(0, len(known)))


def test_trades_are_there_or_said_to_be_none(full: MarketStore) -> None:
    source = StoreSource(full, SPOT, TICKS + HOUR)
    trades = source.trades(TICKS, TICKS + 2 * HOUR)
    assert trades is not None
    assert trades.ts[-1] < TICKS + HOUR
    assert len(trades) == int((tables()["trades"].ts < TICKS + HOUR).sum())
    assert source.trades(MONDAY, MONDAY + HOUR) is None


def test_funding_before_the_end(store: MarketStore) -> None:
    store.write_funding(ETH, Funding(MONDAY + np.arange(6) * 8 * HOUR, np.arange(6.0)))
    times, rates = StoreSource(store, ETH, MONDAY + 16 * HOUR).funding(MONDAY + HOUR, END)
    assert (times.tolist(), rates.tolist()) == ([MONDAY + 8 * HOUR], [1.0])


def test_an_unknown_clock_is_a_clear_error(full: MarketStore) -> None:
    with pytest.raises(ConfigError, match="1m"):
        StoreSource(full, SPOT).bars("5m")


def test_the_basis_is_measured_before_it_is_valid(store: MarketStore) -> None:
    spot = random_bars(40, 300, "1m", zero=0.3)
    shifted = {n: getattr(spot, n) * np.exp(0.02) for n in ("open", "high", "low", "close")}
    perpetual = replace(spot, **shifted).slice(100, 300)
    fill(store, "binance:ETHUSDT", {"1m": spot})
    fill(store, "binanceusdm:ETHUSDT", {"1m": perpetual})
    found = discover_lookbacks(store)["binanceusdm:ETHUSDT"]
    assert found is not None
    assert found.basis == pytest.approx(0.02, abs=1e-9)
    traded = perpetual.ts[perpetual.volume > 0]
    assert found.as_of == traded[4] + MINUTE
    assert store.info("binanceusdm:ETHUSDT").lookback == found
    assert discover_lookbacks(store) == {}
    # Later prices cannot change it.
    doubled = np.where(perpetual.ts < found.as_of, 1.0, 2.0)
    late = replace(perpetual, **{n: getattr(perpetual, n) * doubled for n in shifted})
    store.write_bars("binanceusdm:ETHUSDT", late, replace=True)
    assert measure_lookback(store, "binanceusdm:ETHUSDT", "binance:ETHUSDT") == found


def test_a_look_back_that_was_chosen_is_kept(store: MarketStore) -> None:
    fill(store, "binance:ETHUSDT", {"1m": random_bars(41, 100, "1m")})
    fill(store, "binanceusdm:ETHUSDT", {"1m": random_bars(42, 100, "1m")})
    fill(store, SPOT, {"1m": random_bars(43, 100, "1m")})
    chosen = set_lookback(store, "binanceusdm:ETHUSDT", SPOT, minutes=2)
    assert discover_lookbacks(store) == {}
    assert store.info("binanceusdm:ETHUSDT").lookback == chosen


def test_without_a_shared_minute_there_is_no_basis(store: MarketStore) -> None:
    fill(store, ETH, {"1m": random_bars(44, 10, "1m")})
    fill(store, SPOT, {"1m": random_bars(45, 10, "1m", MONDAY + HOUR)})
    with pytest.raises(ApexError, match="no full minute"):
        set_lookback(store, ETH, SPOT)
    with pytest.raises(ApexError, match="its own"):
        set_lookback(store, ETH, ETH)


@pytest.mark.parametrize("symbol", ["ETHUSDT", "BTCUSDT"])
def test_real_ticks_re_aggregate_to_the_real_minutes(real_store: MarketStore, symbol: str) -> None:
    market = f"binance:{symbol}"
    start, end = parse_time("2024-08-08T23:55"), parse_time("2024-08-09T00:05")
    bars = StoreSource(real_store, market).bars("1m").between(start, end)
    file = real_store.read_bars(market, "1m", start, end)
    assert len(bars) == len(file) == 10
    assert np.isfinite(bars.taker_buy_volume).all(), "these minutes come from ticks"
    for name in NAMES[:5]:
        assert getattr(bars, name).tolist() == getattr(file, name).tolist(), name
    np.testing.assert_allclose(bars.volume, file.volume, rtol=1e-13)


def test_real_perpetual_ticks_have_years_of_spot_behind_them(real_store: MarketStore) -> None:
    source = StoreSource(real_store, "binanceusdm:ETHUSDT")
    lookback = source.info.lookback
    assert lookback is not None
    assert lookback.basis == pytest.approx(-0.0005, abs=2e-4)
    assert lookback.as_of == parse_time("2024-08-09")
    before = parse_time("2024-08-08T23:55")
    assert source.bars("1d").between(0, before).ts.size >= 564
    assert source.bars("1h").between(0, before).ts.size >= 13_558
    joint = source.bars("1m").between(before - 5 * MINUTE, before + 5 * MINUTE)
    assert np.diff(joint.ts).tolist() == [MINUTE] * 9
    assert np.abs(np.diff(np.log(joint.close))).max() < 0.003


def test_three_years_of_minutes_load_in_seconds(real_store: MarketStore) -> None:
    source = StoreSource(real_store, "binance:ETHUSDT")
    began = time.process_time()
    count = len(source.bars("1m"))
    took = time.process_time() - began
    assert count == 525_600 + 525_520 + 527_040
    assert took < 3.0
    began = time.process_time()
    source.bars("1m")
    assert time.process_time() - began < 0.01
