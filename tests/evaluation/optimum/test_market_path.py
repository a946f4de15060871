"""A path made of prices alone is the path of the segments that a run is judged on."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.optimum import (
    TablePolicy,
    account_days,
    filter_policy,
    market_path,
    planted_optimum,
)
from apex_trader.market.fills import FillConfig
from apex_trader.market.source import MarketInfo, MemorySource
from apex_trader.market.synthetic import generate
from apex_trader.market.types import Trades
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.schema import eth_full, eth_minutes
from apex_trader.time import DAY, MINUTE, SECOND, parse_time
from apex_trader.trading.config import RewardConfig, TradingConfig

START = parse_time("2024-01-01")
FILLS = FillConfig()


@pytest.fixture(scope="module", params=["1s", "1m"])
def judged(request):
    """(clock, sources, segments of the second day, the same day's path of prices)."""
    clock = request.param
    made = generate("mean_reversion", 4, clock=clock, days=2, history_days=45, minute_days=31,
                    trades_per_second=1.0)  # fmt: skip
    sources = [market.source() for market in made.values()]
    schema = (eth_full(20) if clock == "1s" else eth_minutes(20)).without(
        "cnn_hidden", "cnn_predictions"
    )
    segment = SegmentBuilder(schema, sources[0], sources[1], FILLS).build(START + DAY)
    interval = 5 * SECOND if clock == "1s" else MINUTE
    path = market_path(sources[0], START + DAY, START + 2 * DAY, interval, FILLS)
    return sources, path_of([segment]), path, interval


def test_times_marks_fills_and_episodes_are_those_of_the_segment(judged) -> None:
    _, built, path, _ = judged
    assert built.startable.sum() > 1_000
    for name in ("ts", "next_row", "fill_ts"):
        np.testing.assert_array_equal(path.arrays[name], built.arrays[name], err_msg=name)
    for name in ("mark", "fill_price"):
        np.testing.assert_allclose(path.arrays[name], built.arrays[name], rtol=0, atol=1e-14)


def test_an_optimum_earns_the_same_on_both(judged) -> None:
    """And in the fast account the same as in the backtest."""
    sources, built, path, interval = judged
    trading = TradingConfig().for_market(sources[0].info)
    optimum = planted_optimum(sources[0].info, trading, FILLS, interval)
    policy = filter_policy(optimum, path, sources[0], sources[1])
    same = filter_policy(optimum, built, sources[0], sources[1])
    np.testing.assert_array_equal(policy.best, same.best)
    record = run_continuous(built, TablePolicy("filter", policy.best), trading, RewardConfig())
    earned = account_days(path, policy, trading)
    assert np.expm1(earned.quote) == pytest.approx(record.daily_returns()[1], abs=1e-12)
    assert record.traded.any()


def test_funding_is_charged_where_it_falls() -> None:
    trades = Trades(
        START + np.arange(60, dtype=np.int64) * SECOND, np.full(60, 100.0), np.ones(60),
        np.ones(60, np.int8),
    )  # fmt: skip
    source = MemorySource(
        MarketInfo("synthetic:ETHUSDT"), {}, all_trades=trades,
        funding_times=np.array([START + 20 * SECOND + 4_000]), funding_rates=np.array([1e-4]),
    )  # fmt: skip
    path = market_path(source, START, START + MINUTE, 5 * SECOND, FILLS)
    charged = np.flatnonzero(path.arrays.funding)
    assert path.arrays.ts[charged].tolist() == [START + 15 * SECOND]


def test_nothing_is_decided_on_a_price_of_long_ago() -> None:
    ts = START + np.concatenate([np.arange(60), np.arange(200, 260)]).astype(np.int64) * SECOND
    trades = Trades(ts, np.full(120, 100.0), np.ones(120), np.ones(120, np.int8))
    source = MemorySource(MarketInfo("synthetic:ETHUSDT"), {}, all_trades=trades)
    path = market_path(source, START, START + 5 * MINUTE, 5 * SECOND, FILLS)
    quiet = (path.arrays.ts > START + 120 * SECOND) & (path.arrays.ts <= START + 200 * SECOND)
    assert not path.startable[quiet].any()
    assert path.startable[~quiet].sum() > 20


def test_without_prices_the_error_says_so() -> None:
    empty = Trades(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int8))
    source = MemorySource(MarketInfo("synthetic:ETHUSDT"), {}, all_trades=empty)
    with pytest.raises(ApexError, match="no prices"):
        market_path(source, START, START + DAY, 5 * SECOND, FILLS)
