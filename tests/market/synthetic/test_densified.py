"""Trades inside minute bars re-aggregate to them, bit for bit, and add no edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.history import StoreSource
from apex_trader.market.importers import import_files
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import SyntheticMarket, generate, synthesize
from apex_trader.market.synthetic.densified import densify
from apex_trader.market.types import Bars
from apex_trader.time import DAY, HOUR, MINUTE, SECOND, parse_time
from tests.market.synthetic.worlds import BTC, ETH, market, seen
from tests.real_market import real_file

OHLCV = ("ts", "open", "high", "low", "close", "volume")
START = parse_time("2024-01-01")


def assert_same(made: Bars, wanted: Bars) -> None:
    for name in OHLCV:
        np.testing.assert_array_equal(getattr(made, name), getattr(wanted, name), err_msg=name)


@pytest.fixture(scope="module")
def minutes() -> dict[str, Bars]:
    """A day of martingale minutes."""
    made = market("martingale", 5, days=2, trades_per_second=6.0)
    return {name: made[name].bars["1m"].between(START, START + 2 * DAY) for name in (ETH, BTC)}


@pytest.fixture(scope="module")
def filled(minutes: dict[str, Bars]) -> dict[str, SyntheticMarket]:
    return densify(minutes, 0, sweep=2.0, cluster=1.0)


def test_every_minute_is_kept_bit_for_bit(
    minutes: dict[str, Bars], filled: dict[str, SyntheticMarket]
) -> None:
    for name in (ETH, BTC):
        assert_same(filled[name].bars["1m"], minutes[name])


def test_volumes_add_up_in_any_order(
    minutes: dict[str, Bars], filled: dict[str, SyntheticMarket]
) -> None:
    trades = filled[ETH].trades
    assert trades is not None
    minute = np.searchsorted(minutes[ETH].ts, trades.ts // MINUTE * MINUTE)
    shuffled = np.random.default_rng(0).permutation(len(trades))
    for order in (slice(None), slice(None, None, -1), shuffled):
        total = np.bincount(minute[order], trades.amount[order])
        np.testing.assert_array_equal(total, minutes[ETH].volume)


def test_amounts_are_lots_up_to_a_volumes_last_digit(filled: dict[str, SyntheticMarket]) -> None:
    trades = filled[ETH].trades
    assert trades is not None
    lots = trades.amount * 10_000
    np.testing.assert_allclose(lots, np.rint(lots), atol=1e-6)
    assert lots.min() > 0.999


def test_trades_lie_in_order_on_the_grid(filled: dict[str, SyntheticMarket]) -> None:
    trades = filled[ETH].trades
    assert trades is not None
    assert (np.diff(trades.ts) >= 0).all()
    np.testing.assert_array_equal(trades.price, np.rint(trades.price * 100) / 100)
    same = (trades.ts[1:] == trades.ts[:-1]).mean()
    assert 0.4 < same < 0.8
    rows = filled[ETH].seconds
    assert rows is not None
    assert 0.7 < len(rows) / (2 * DAY / SECOND) < 0.99
    assert rows.volume.std() > rows.volume.mean()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(minutes: dict[str, Bars]) -> None:
    hours = {name: bars.slice(0, 120) for name, bars in minutes.items()}
    first, again, other = (densify(hours, seed)[ETH].trades for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first.price, again.price)
    np.testing.assert_array_equal(first.amount, again.amount)
    assert len(first) != len(other) or (first.ts != other.ts).any()


def test_the_symbols_move_together_inside_minutes(filled: dict[str, SyntheticMarket]) -> None:
    ts = np.arange(START + HOUR, START + 2 * DAY, 10 * SECOND)
    eth, btc = (np.diff(seen(filled[name], ts)) for name in (ETH, BTC))
    assert np.corrcoef(eth, btc)[0, 1] == pytest.approx(0.77, abs=0.05)


def one_minute(
    open_: float, high: float, low: float, close: float, volume: float, ts: int = START
) -> Bars:
    row = [np.array([v]) for v in (open_, high, low, close, volume, np.nan, np.nan)]
    return Bars(np.array([ts]), *row)


PRICES = st.tuples(*[st.integers(0, 1000)] * 4)


@st.composite
def minute_bars(draw: st.DrawFn, step: float) -> Bars:
    """Awkward minutes on a grid of prices: flat ones, of one lot, of one or of an unknown number of
    trades, without volume, off the lots' grid, with minutes missing between them."""
    places = sorted(draw(st.sets(st.integers(0, 8), min_size=1, max_size=4)))
    rows = []
    for _ in places:
        low, inner, other, high = sorted(draw(PRICES))
        if draw(st.booleans()):
            inner = other = high = low
        ends = [inner, other] if draw(st.booleans()) else [other, inner]
        lots = draw(st.one_of(st.integers(0, 5), st.integers(6, 10**9)))
        volume = lots / 10_000 + draw(st.sampled_from([0.0, 1e-5, 3.3e-9])) * (lots > 0)
        least = len({low, high} - set(ends)) + 1 + (ends[0] != ends[1] or low != high)
        count = draw(st.one_of(st.just(np.nan), st.integers(least, 300).map(float)))
        level = 1 + draw(st.sampled_from([0, 10**5]))
        price = [(value + level) * step for value in (ends[0], high, low, ends[1])]
        rows.append([*price, volume, np.nan, count])
    ts = START + np.array(places, np.int64) * MINUTE
    return Bars(ts, *np.array(rows, np.float64).T, "1m")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_possible_bars_are_kept(data: st.DataObject) -> None:
    """Of both symbols, which need not trade in the same minutes; also on coarse ticks."""
    step = data.draw(st.sampled_from([0.01, 1.0, 0.5]))
    bars = {name: data.draw(minute_bars(step)) for name in (ETH, BTC)}
    made = densify(bars, data.draw(st.integers(0, 10**6)), tick_size=step, trades_per_second=1.0)
    for name, wanted in bars.items():
        traded = wanted.take(wanted.volume > 0)
        trades = made[name].trades
        assert trades is not None
        assert len(np.unique(trades.ts // MINUTE)) == len(traded)
        if len(traded):
            assert_same(made[name].bars["1m"], traded)
        assert (trades.amount > 0).all()
        assert (np.diff(trades.ts) >= 0).all()
        drawn = np.array([np.sum(trades.ts // MINUTE * MINUTE == ts) for ts in traded.ts])
        lots = np.floor(traded.volume * 10_000 + 1e-6)
        told = ~np.isnan(traded.count) & (lots >= traded.count)
        np.testing.assert_array_equal(drawn[told], traded.count[told])


def test_a_minute_of_one_lot_at_one_price_is_one_trade() -> None:
    made = densify({ETH: one_minute(10.0, 10.0, 10.0, 10.0, 0.0001)}, 0)[ETH]
    assert made.trades is not None
    np.testing.assert_array_equal(made.trades.amount, [0.0001])


def test_a_bar_with_less_volume_than_its_prices_need_is_kept() -> None:
    bar = one_minute(10.0, 11.0, 9.0, 10.5, 0.0001)
    made = densify({ETH: bar}, 0)[ETH]
    assert_same(made.bars["1m"], bar)
    assert made.trades is not None
    assert len(made.trades) == 4


def test_minutes_without_volume_have_no_trades() -> None:
    bars = [one_minute(10.0, 10.5, 9.9, 10.1, volume, START + k * MINUTE)
            for k, volume in enumerate((5.0, 0.0, 7.0))]  # fmt: skip
    joined = Bars(*(np.concatenate([getattr(b, n) for b in bars])
                    for n in (*OHLCV, "taker_buy_volume", "count")))  # fmt: skip
    made = densify({ETH: joined}, 0)[ETH]
    np.testing.assert_array_equal(made.bars["1m"].ts, [START, START + 2 * MINUTE])


def test_a_minute_of_one_symbol_alone_is_filled(minutes: dict[str, Bars]) -> None:
    made = densify({ETH: minutes[ETH].slice(0, 60), BTC: minutes[BTC].slice(30, 90)}, 0)
    assert_same(made[ETH].bars["1m"], minutes[ETH].slice(0, 60))
    assert_same(made[BTC].bars["1m"], minutes[BTC].slice(30, 90))


@pytest.fixture
def store(tmp_path: Path, minutes: dict[str, Bars]) -> MarketStore:
    made = MarketStore(tmp_path)
    for name, bars in minutes.items():
        source = name.replace("synthetic", "plain")
        made.set_info(MarketInfo(source, tick_size=0.01))
        made.write_bars(source, bars.slice(0, 1500))
    return made


def test_filled_markets_are_labelled_and_look_back_on_their_source(store: MarketStore) -> None:
    summary = synthesize("densified", store, seed=3, source="plain", start="2024-01-01", days=2)
    assert summary.rows["densified:ETHUSDT"]["trades"] > 0
    info = store.info("densified:ETHUSDT")
    assert info.synthetic is not None
    assert info.synthetic["generator"] == "densified"
    assert info.synthetic["seed"] == 3
    assert info.lookback is not None
    assert (info.lookback.market, info.lookback.basis) == ("plain:ETHUSDT", 0.0)
    own = StoreSource(store, "densified:ETHUSDT").own_bars("1m")
    assert_same(own, store.read_bars("plain:ETHUSDT", "1m"))


def test_nothing_is_claimed_of_time_that_the_minutes_do_not_reach(store: MarketStore) -> None:
    synthesize("densified", store, seed=3, source="plain", start="2024-01-01", days=2)
    end = START + 1500 * MINUTE
    assert store.coverage("densified:ETHUSDT", "trades").tolist() == [[START, end]]


def test_days_without_minutes_and_wrong_symbols_are_named(store: MarketStore) -> None:
    with pytest.raises(ApexError, match="no minute bars from 2020-01-01"):
        generate("densified", 0, store=store, source="plain", start="2020-01-01", days=1)
    with pytest.raises(ApexError, match="plain:ETHUSD"):
        generate("densified", 0, store=store, source="plain", symbols="ETHUSD")
    with pytest.raises(ConfigError, match="one or two symbols"):
        generate("densified", 0, store=store, source="plain", symbols="A,B,C")
    with pytest.raises(ApexError, match="pass the store"):
        generate("densified", 0)


def test_real_minutes_are_kept_bit_for_bit(tmp_path: Path) -> None:
    """Also the outage of 2023-03-24: minutes without volume, then none at all."""
    store = MarketStore(tmp_path)
    symbols = ("ETHUSDT", "BTCUSDT")
    import_files(store, [real_file(f"binance_{s}_1m_2023.parquet") for s in symbols])
    synthesize("densified", store, seed=0, start="2023-03-24", days=1)
    for symbol in symbols:
        own = StoreSource(store, f"densified:{symbol}").own_bars("1m")
        day = parse_time("2023-03-24")
        real = store.read_bars(f"binance:{symbol}", "1m", day, day + DAY)
        traded = real.volume > 0
        assert (~traded).sum() == 72
        for name in OHLCV:
            np.testing.assert_array_equal(getattr(own, name), getattr(real, name)[traded])
