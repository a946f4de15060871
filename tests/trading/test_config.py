"""A configuration that cannot be used stops at once, by name."""

from __future__ import annotations

import pytest

from apex_trader.errors import ConfigError
from apex_trader.market.source import MarketInfo
from apex_trader.trading.config import RewardConfig, TradingConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instrument", "future"),
        ("action_set", "buy"),
        ("fee", -0.1),
        ("fee", float("nan")),
        ("slippage_bps", -1.0),
        ("exposure", 0.0),
        ("initial_equity", 0.0),
        ("lot_size", -1.0),
        ("tick_size", float("inf")),
        ("min_notional", -5.0),
        ("ruin_fraction", 1.0),
        ("trade_allowance", 0.0),
        ("rate_half_life", 0),
        ("return_half_life", -1),
    ],
)
def test_trading_settings_out_of_range_are_named(field, value):
    with pytest.raises(ConfigError, match=rf"trading\.{field}="):
        TradingConfig(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", 0.0),
        ("core", -1.0),
        ("frequency", -1.0),
        ("choppy_factor", float("nan")),
        ("risk", -1.0),
        ("duration", -1.0),
        ("duration_edges", (3, 2, 4)),
        ("duration_edges", (0, 2, 4)),
        ("duration_factors", (1.0, 1.0)),
        ("duration_factors", (1.0, 1.0, -1.0, 1.0)),
        ("pivot_bonus", -1.0),
        ("pivot_level_weights", (1.0,)),
        ("pivot_potential", -1.0),
        ("cnn_potential", -1.0),
    ],
)
def test_reward_settings_out_of_range_are_named(field, value):
    with pytest.raises(ConfigError, match=rf"reward\.{field}="):
        RewardConfig(**{field: value})


def test_every_reward_weight_may_be_zero():
    RewardConfig(core=0.0, frequency=0.0, choppy_factor=0.0, risk=0.0, duration=0.0,
                 pivot_bonus=0.0, pivot_potential=0.0, cnn_potential=0.0)  # fmt: skip


def test_spot_cannot_borrow():
    with pytest.raises(ConfigError, match="at most 1 for spot"):
        TradingConfig(instrument="spot", exposure=2.0)
    TradingConfig(exposure=2.0)


def test_the_market_gives_the_rules_that_are_not_set():
    info = MarketInfo("x:ETH", tick_size=0.5, lot_size=0.01, min_notional=7.0)
    config = TradingConfig(lot_size=0.1).for_market(info)
    assert (config.lot_size, config.tick_size, config.min_notional) == (0.1, 0.5, 7.0)


def test_only_markets_that_can_be_sold_short_have_a_mirror():
    assert TradingConfig().mirrors
    assert not TradingConfig(instrument="spot").mirrors


def test_the_round_trip_cost_is_both_transactions_fee_and_slippage():
    assert TradingConfig(fee=0.0002, slippage_bps=1.0).round_trip_cost == pytest.approx(0.0006)
