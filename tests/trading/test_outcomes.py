"""What every action would lead to: the same as taking it, and nobody moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Simulator
from tests.trading.test_simulator import random_actions

GAMMA = 0.9


def wander(path: MarketPath, config: TradingConfig, lanes: int, seed: int, steps: int) -> Simulator:
    simulator = Simulator(path, config, RewardConfig(), lanes)
    simulator.reset(np.arange(lanes), np.zeros(lanes, np.int64))
    for actions in random_actions(seed, steps, lanes, simulator.actions.size):
        if simulator.ended.all():
            break
        simulator.step(actions, idle=True)
    return simulator


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), steps=st.integers(0, 30), horizon=st.integers(1, 5),
    action_set=st.sampled_from(["target", "sell_buy"]), gap=st.integers(5, 45),
    followed=st.booleans(),
)  # fmt: skip
def test_an_outcome_is_what_the_action_brings_repeated_or_followed_by_others(
    make, seed, steps, horizon, action_set, gap, followed
):
    config = TradingConfig(action_set=action_set, slippage_bps=0.5, ruin_fraction=0.97)
    walk = make.walk(seed=seed, rows=50, level=7.0, unfilled=0.1, gaps=(gap,), sigma=0.004)
    path = MarketPath.from_segments([walk])
    simulator = wander(path, config, 6, seed, steps)
    ended = np.flatnonzero(simulator.ended)
    simulator.reset(ended, np.full(len(ended), 3))

    def then(rows, accounts):
        """Any actions, by market time and position."""
        return (rows * 7 + seed + accounts[:, 0].astype(np.int64)) % simulator.actions.size

    found = simulator.outcomes(horizon, GAMMA, then if followed else None)
    for action in range(simulator.actions.size):
        other = Simulator(path, config, RewardConfig(), 6)
        other.load_state_dict(simulator.state_dict())
        reward, discount = np.zeros(6), np.ones(6)
        profit, taken = np.zeros(6, bool), np.zeros(6, np.int64)
        for k in range(horizon):
            if other.ended.all():
                break
            chosen = np.full(6, action)
            if followed and k > 0:
                chosen = then(other.rows, other.features())
            step = other.step(chosen, idle=True)
            reward += np.where(step.active, discount * step.reward, 0.0)
            discount = np.where(
                step.terminated, 0.0, np.where(step.active, discount * GAMMA, discount)
            )
            profit |= step.active & step.profit
            taken += step.active
        np.testing.assert_allclose(found.reward[:, action], reward, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.discount[:, action], discount, rtol=1e-12)
        np.testing.assert_array_equal(found.account[:, action], other.features())
        np.testing.assert_array_equal(found.profit[:, action], profit)
        going = found.discount[:, action] > 0
        np.testing.assert_array_equal(found.next_row[going], other.rows[going])
        np.testing.assert_array_equal(found.steps[going], taken[going])


def test_looking_at_outcomes_changes_nothing_that_comes(make):
    path = MarketPath.from_segments([make.walk(seed=3, rows=60, level=7.0)])
    one, other = (wander(path, TradingConfig(), 4, 1, 10) for _ in range(2))
    for actions in random_actions(5, 40, 4):
        one.outcomes(3, GAMMA)
        a, b = one.step(actions), other.step(actions)
        np.testing.assert_array_equal(a.reward, b.reward)
        np.testing.assert_array_equal(a.next_account, b.next_account)
    np.testing.assert_array_equal(one.equity, other.equity)


def test_a_lane_that_ended_has_no_outcomes(make):
    path = MarketPath.from_segments([make.walk(rows=4)])
    simulator = wander(path, TradingConfig(), 1, 0, 3)
    with pytest.raises(ApexError, match="have not ended"):
        simulator.outcomes(2, GAMMA)
