"""What dearer and slower trading leaves, and the fee at which nothing is left."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.baselines import wanted_policy
from apex_trader.evaluation.curves import break_even_fee, curve_point, latencies, refilled
from apex_trader.market.fills import FillConfig
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.schema import eth_minutes
from apex_trader.time import MINUTE, SECOND
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig

REWARD = RewardConfig()
BASE = TradingConfig(fee=0.0002, funding=False, initial_equity=1e6)


def traded(tools, values, wanted, trading=BASE):
    path = path_of([tools.prices(*values)])
    policy = wanted_policy("a", np.array(wanted, np.int8), Actions.of(trading))
    return path, run_continuous(path, policy, trading, REWARD)


def test_the_break_even_fee_is_the_one_worked_out_by_hand(tools):
    """Bought at 100, sold at 101: 1 = fee · (100 + 101)."""
    path, record = traded(tools, [100, 100.5, 101, 101], [1, 1, 0, 0])
    found = break_even_fee(path, record, BASE, REWARD)
    assert found.value == pytest.approx(1 / 201, abs=2e-7)


def test_at_the_break_even_fee_nothing_is_left(tools):
    path = path_of(tools.walk(0))
    random = np.random.default_rng(0)
    rows = path.arrays
    wanted = np.sign(np.roll(rows.mark, -6) - rows.mark).astype(np.int8)
    wanted[random.random(len(path)) < 0.4] = 0
    policy = wanted_policy("a", wanted, Actions.of(BASE))
    record = run_continuous(path, policy, BASE, REWARD)
    fee = break_even_fee(path, record, BASE, REWARD).value
    assert fee is not None
    again = run_continuous(path, policy, replace(BASE, fee=fee), REWARD)
    assert again.equity[-1] == pytest.approx(1.0, abs=1e-4)


def test_without_trades_or_profit_there_is_no_such_fee(tools):
    path, record = traded(tools, [100, 101, 102], [0, 0, 0])
    assert break_even_fee(path, record, BASE, REWARD).reason == "no order was filled"
    path, record = traded(tools, [100, 99, 98], [1, 1, 1])
    assert break_even_fee(path, record, BASE, REWARD).reason == "it loses before fees"


def test_a_point_says_what_it_was_made_with(tools):
    path, record = traded(tools, [100, 101, 102, 103], [1, 1, 1, 1])
    point = curve_point(path, record, 0.0002, 1.0)
    assert (point.fee, point.latency, point.trades) == (0.0002, 1.0, 1)
    assert point.net_return == pytest.approx(0.03 - 0.0002 - 0.0002 * 1.03, abs=1e-6)
    assert point.sharpe.value is None
    assert point.unfilled == 0.0


@pytest.fixture(scope="module")
def minutes(small_market: Path):
    store = MarketStore(str(small_market))
    sources = [StoreSource(store, name) for name in ("synthetic:ETHUSDT", "synthetic:BTCUSDT")]
    schema = eth_minutes(rows=32).without("cnn_hidden", "cnn_predictions")
    builder = SegmentBuilder(schema, *sources)
    return builder, path_of([builder.build(day) for day in builder.days()[:2]])


def test_the_same_latency_fills_the_same(minutes):
    builder, path = minutes
    again = refilled(path, builder.primary, "1m", builder.fills)
    assert np.array_equal(again.arrays.fill_price, path.arrays.fill_price, equal_nan=True)
    assert np.array_equal(again.arrays.fill_ts, path.arrays.fill_ts)


def test_bars_fill_at_once_without_latency_and_a_bar_later_with_any(minutes):
    builder, path = minutes
    at_once = refilled(path, builder.primary, "1m", FillConfig(latency=0))
    later = refilled(path, builder.primary, "1m", FillConfig(latency=3 * SECOND))
    filled = at_once.arrays.fill_ts > 0
    assert (at_once.arrays.fill_ts[filled] == at_once.arrays.ts[filled]).all()
    filled = later.arrays.fill_ts > 0
    assert (later.arrays.fill_ts[filled] == later.arrays.ts[filled] + MINUTE).all()
    assert np.array_equal(path.arrays.mark, later.arrays.mark)


def test_no_latency_reaches_over_the_next_decision():
    wanted = [0.0, 1.0, 2.0, 3.0]
    fills = FillConfig(latency=SECOND, max_fill_wait=3 * SECOND)
    assert latencies(wanted, fills, 5 * SECOND, bars=False) == [0.0, 1.0, 2.0]
    assert latencies(wanted, fills, MINUTE, bars=True) == wanted
    assert math.isclose(latencies([2.0], fills, 5 * SECOND, bars=False)[0], 2.0)
