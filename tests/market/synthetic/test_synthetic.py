"""What holds for every planted market, in memory and in a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.market.fills import order_fills
from apex_trader.market.history import StoreSource
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import (
    SyntheticMarket,
    generate,
    generator_named,
    hidden,
    parameter_table,
    synthesize,
)
from apex_trader.market.types import Bars
from apex_trader.time import CLOCKS, DAY, MINUTE, SECOND, parse_time
from tests.market.synthetic.worlds import BTC, ETH, SMALL, market

PLANTED = ("martingale", "mean_reversion", "lead_lag", "regimes")
START = parse_time("2024-01-01")
SHORT = {**SMALL, "days": 1, "trades_per_second": 1.0}
COLUMNS = ("ts", "open", "high", "low", "close", "volume", "taker_buy_volume", "count")


def assert_same_bars(made: Bars, wanted: Bars) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(made, name), getattr(wanted, name), err_msg=name)


def assert_possible(made: SyntheticMarket) -> None:
    """Order, grids and the relations that any market's columns keep."""
    for clock, bars in made.bars.items():
        assert (np.diff(bars.ts) > 0).all()
        assert (bars.ts % CLOCKS[clock] == 0).all()
        assert (bars.low > 0).all()
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (bars.volume > 0).all()
        assert (bars.taker_buy_volume <= bars.volume * (1 + 1e-12)).all()
        assert (bars.taker_buy_volume >= 0).all()
    trades, tick, lot = made.trades, made.info.tick_size, made.info.lot_size
    if trades is not None:
        assert (np.diff(trades.ts) >= 0).all()
        assert (trades.price > 0).all()
        assert (trades.amount > 0).all()
        np.testing.assert_allclose(trades.price / tick, np.rint(trades.price / tick), rtol=1e-12)
        np.testing.assert_allclose(trades.amount / lot, np.rint(trades.amount / lot), rtol=1e-9)
    assert all(np.isfinite(column).all() for column in made.hidden.values())


@settings(deadline=None, max_examples=12)
@given(st.sampled_from(PLANTED), st.integers(0, 2**40), st.data())
def test_any_allowed_parameters_make_a_possible_market(
    name: str, seed: int, data: st.DataObject
) -> None:
    chosen = {
        "volatility": data.draw(st.floats(0.01, 3.0)),
        "clustering": data.draw(st.floats(0.0, 1.0)),
        "season": data.draw(st.floats(0.0, 1.0)),
        "trades_per_second": data.draw(st.floats(0.2, 3.0)),
        "sweep": data.draw(st.floats(1.0, 10.0)),
        "amount_dispersion": data.draw(st.floats(0.0, 3.0)),
        "flow": data.draw(st.floats(0.0, 5.0)),
        "spread_ticks": data.draw(st.floats(0.0, 20.0)),
        "tick_size": data.draw(st.sampled_from([0.01, 0.1, 0.5])),
        "lot_size": data.draw(st.sampled_from([0.0001, 0.001, 0.01])),
        "clock": data.draw(st.sampled_from(["1s", "1m"])),
    }
    made = generate(name, seed, history_days=2, minute_days=1, days=1, **chosen)
    assert set(made) == {ETH, BTC}
    for one in made.values():
        assert_possible(one)


@pytest.mark.parametrize("name", PLANTED)
def test_the_same_seed_gives_the_same_bits_and_another_does_not(name: str) -> None:
    first, again, other = (generate(name, seed, **SHORT)[ETH] for seed in (7, 7, 8))
    assert first.trades is not None
    assert again.trades is not None
    assert other.trades is not None
    for column in ("ts", "price", "amount", "side", "id"):
        np.testing.assert_array_equal(getattr(first.trades, column), getattr(again.trades, column))
    assert_same_bars(first.bars["1m"], again.bars["1m"])
    assert len(first.trades) != len(other.trades) or (first.trades.ts != other.trades.ts).any()


def test_the_tape_does_not_change_the_latent_price() -> None:
    """A parameter of trading alone leaves the market's course as it is."""
    one = hidden("regimes", 4, **SHORT)[ETH]["log_price"]
    two = hidden("regimes", 4, **{**SHORT, "trades_per_second": 9.0, "flow": 0.0})[ETH]
    np.testing.assert_array_equal(one, two["log_price"])


@pytest.mark.parametrize("name", PLANTED)
def test_seconds_and_minutes_of_tick_days_are_those_of_the_trades(name: str) -> None:
    made = market(name)[ETH]
    assert made.trades is not None
    assert made.seconds is not None
    seconds = seconds_from_trades(made.trades)
    for column in ("ts", "open", "high", "low", "close", "volume", "vwap", "count"):
        np.testing.assert_array_equal(getattr(seconds, column), getattr(made.seconds, column))
    covered = np.array([[START, START + DAY]])
    minutes = resample(bars_from_seconds(seconds), "1m", covered)
    assert_same_bars(made.bars["1m"].between(START, START + DAY), minutes)


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("clock", ["1s", "1m"])
def test_the_hidden_state_is_recomputed_from_the_label(name: str, clock: str) -> None:
    made = generate(name, 5, **SHORT, clock=clock)
    for market_name, one in made.items():
        assert one.info.synthetic is not None
        label = dict(one.info.synthetic)
        again = hidden(str(label.pop("generator")), int(str(label.pop("seed"))), **label)
        assert set(again[market_name]) == set(one.hidden)
        for column, values in one.hidden.items():
            np.testing.assert_array_equal(again[market_name][column], values)


def test_the_hidden_price_is_the_traded_one() -> None:
    made = market("martingale")[ETH]
    assert made.seconds is not None
    row = (made.seconds.ts - START) // SECOND
    error = np.log(made.seconds.open) - made.hidden["log_price"][row]
    assert np.abs(error).max() < 12 * made.hidden["volatility"].max()


@pytest.mark.parametrize("name", PLANTED)
def test_a_store_gives_back_what_memory_holds(name: str, tmp_path: Path) -> None:
    store = MarketStore(tmp_path)
    summary = synthesize(name, store, seed=1, **SHORT)
    made = generate(name, 1, **SHORT)
    for market_name, one in made.items():
        source = StoreSource(store, market_name)
        assert source.info == one.info
        for clock in ("1m", "1h", "1d"):
            assert_same_bars(source.bars(clock), one.bars[clock])
        trades = source.trades(START, START + DAY)
        assert trades is not None
        assert one.trades is not None
        np.testing.assert_array_equal(trades.price, one.trades.price)
        assert summary.rows[market_name]["trades"] == len(one.trades)
    assert "trades" in str(summary)


def test_writing_again_adds_nothing_and_another_world_is_refused(tmp_path: Path) -> None:
    store = MarketStore(tmp_path)
    synthesize("martingale", store, seed=1, **SHORT)
    before = sorted(path.name for path in tmp_path.rglob("*.parquet"))
    synthesize("martingale", store, seed=1, **SHORT)
    assert sorted(path.name for path in tmp_path.rglob("*.parquet")) == before
    with pytest.raises(ConfigError, match="exchange"):
        synthesize("martingale", store, seed=2, **SHORT)
    synthesize("martingale", store, seed=2, **SHORT, exchange="second")
    assert store.markets() == [
        "second:BTCUSDT", "second:ETHUSDT", "synthetic:BTCUSDT", "synthetic:ETHUSDT",
    ]  # fmt: skip


def test_the_default_history_fills_every_window_of_the_state() -> None:
    made = generate("martingale", 1, days=1, trades_per_second=0.5)[ETH]
    before = {clock: int((bars.ts < START).sum()) for clock, bars in made.bars.items()}
    assert before["1d"] >= 300
    assert before["1h"] >= 300
    assert before["1m"] >= 20_000
    for clock in ("1m", "1h", "1d"):
        assert (np.diff(made.bars[clock].ts) == CLOCKS[clock]).all()


def test_minute_markets_have_no_ticks_but_a_hidden_state_each_minute() -> None:
    made = generate("mean_reversion", 1, clock="1m", days=20, history_days=40)[ETH]
    assert made.trades is None
    assert made.seconds is None
    assert "1s" not in made.bars
    minutes = made.bars["1m"]
    assert minutes.ts[-1] == START + 20 * DAY - 60 * SECOND
    hidden_minutes = made.hidden["ts"]
    assert np.isin(minutes.ts, hidden_minutes).all()
    deviation = made.hidden["deviation"]
    ahead = made.hidden["log_price"][20:] - made.hidden["log_price"][:-20]
    assert np.polyfit(deviation[:-20], ahead, 1)[0] == pytest.approx(-0.5, abs=0.1)


def test_edges_of_minute_markets_pay_on_the_next_open() -> None:
    """Minute decisions with 0.02% per side; the next bar's open is a minute away."""
    reverting = generate("mean_reversion", 1, clock="1m", days=20, history_days=40)[ETH]
    assert minute_profit(reverting, "deviation", -1.0) > 1.0
    assert minute_profit(reverting, "deviation", 1.0) < 0
    following = generate("lead_lag", 1, clock="1m", days=20, history_days=40)[ETH]
    assert minute_profit(following, "pending", 1.0) > 2.0


def minute_profit(made: SyntheticMarket, column: str, sign: float) -> float:
    """Net log return over the minutes of turning with a hidden column beyond 20 bp."""
    bars = made.bars["1m"]
    decisions = bars.ts + MINUTE
    signal = sign * made.hidden[column][np.searchsorted(made.hidden["ts"], decisions)]
    fill, _ = order_fills(decisions, bars)
    turns = np.flatnonzero((np.abs(signal) > 2e-3) & ~np.isnan(fill))
    wanted = np.sign(signal[turns])
    changed = np.r_[True, wanted[1:] != wanted[:-1]]
    position, price = wanted[changed], fill[turns][changed]
    return float(np.sum(position[:-1] * np.diff(price)) - 2e-4 * (2 * len(price) - 1))


@pytest.mark.parametrize("name", PLANTED)
def test_a_source_reads_as_a_segment_builder_expects(name: str) -> None:
    source = market(name)[ETH].source()
    assert source.second_days() == [START]
    assert len(source.bars("1h")) == 4 * 24
    assert len(source.seconds(START, START + 3600 * SECOND)) > 2000
    assert source.info.synthetic is not None
    assert source.info.synthetic["generator"] == name


def test_tables_name_every_parameter_of_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "synthetic_markets.md").read_text()
    for name in (*PLANTED, "densified"):
        for parameter in parameter_table(name):
            assert f"`{parameter.name}`" in text
        assert generator_named(name).summary
