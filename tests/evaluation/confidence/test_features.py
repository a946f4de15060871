"""Features are what an order is worth in the noise it must be seen in, and they mirror exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.evaluation.confidence.features import (
    COST,
    EDGE,
    VOLATILITY,
    OrderFeatures,
    adds_risk,
)
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig

TRADING = TradingConfig(fee=0.0002, slippage_bps=1.0, exposure=0.5)
FEATURES = OrderFeatures(Actions.of(TRADING), TRADING, scale=1_000.0, horizon=100)


def one(features, q, position, chosen, sigma=2e-4):  # type: ignore[no-untyped-def]
    return features.of(
        np.array([q], np.float32), np.array([position]), np.array([chosen]), np.array([sigma])
    )[0]


def test_an_entry_by_hand():
    """Worth 0.5 more than staying flat: 1e-3 a unit of exposure, over σ√H = 2e-3."""
    row = one(FEATURES, [0.0, 0.25, 0.75], 0, 2)
    assert row[EDGE] == pytest.approx(0.5)
    assert row[COST] == pytest.approx(2 * 3e-4 / 2e-3)
    assert row[VOLATILITY] == pytest.approx(np.log(2e-4))


def test_a_flip_is_measured_for_each_of_its_two_units_and_closing_costs_nothing_more():
    flip, close = one(FEATURES, [1.0, 0.5, 0.0], 1, 0), one(FEATURES, [0.0, 1.0, 0.0], 1, 1)
    assert flip[EDGE] == pytest.approx(1.0 / (1_000 * 0.5 * 2 * 2e-3))
    assert flip[COST] == pytest.approx(3e-4 / 2e-3)
    assert close[COST] == 0.0


def test_keeping_the_position_is_no_order():
    for position, action in ((-1, 0), (0, 1), (1, 2)):
        assert one(FEATURES, [1.0, 2.0, 3.0], position, action).tolist() == [0.0, 0.0, 0.0]


def test_where_every_action_trades_the_other_one_is_what_an_entry_is_compared_with():
    trading = TradingConfig(action_set="sell_buy")
    features = OrderFeatures(Actions.of(trading), trading, 1.0, 1)
    assert one(features, [0.1, 0.4], 0, 1, 1.0)[EDGE] == pytest.approx(0.3)


def test_on_spot_keeping_flat_is_worth_the_better_of_the_two_actions_that_do():
    trading = TradingConfig(instrument="spot")
    features = OrderFeatures(Actions.of(trading), trading, 1.0, 1)
    assert one(features, [0.3, 0.1, 0.4], 0, 2, 1.0)[EDGE] == pytest.approx(0.1)
    assert one(features, [0.5, 0.1, 0.4], 0, 0, 1.0).tolist() == [0.0, 0.0, 0.0]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["target", "sell_buy"]))
def test_features_of_the_mirrored_market_are_the_same(seed, action_set):
    trading = TradingConfig(fee=0.0004, action_set=action_set)
    actions = Actions.of(trading)
    features = OrderFeatures(actions, trading, 1_000.0, 50)
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(20, actions.size)).astype(np.float32)
    positions, chosen = rng.integers(-1, 2, 20), q.argmax(1)
    sigma = np.exp(rng.normal(-8, 1, 20))
    straight = features.of(q, positions, chosen, sigma)
    mirrored = features.of(q[:, actions.mirror], -positions, actions.mirror[chosen], sigma)
    assert np.array_equal(straight, mirrored)


def test_a_market_without_noise_has_finite_features():
    assert np.isfinite(one(FEATURES, [0.0, 0.0, 1.0], 0, 2, 0.0)).all()


def test_entering_and_flipping_add_risk_and_closing_and_keeping_do_not():
    held, wanted = (grid.ravel() for grid in np.meshgrid([-1, 0, 1], [-1, 0, 1]))
    adds = {(h, w) for h, w, a in zip(held, wanted, adds_risk(held, wanted), strict=True) if a}
    assert adds == {(0, 1), (0, -1), (1, -1), (-1, 1)}
