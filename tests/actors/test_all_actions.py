"""Experience of every action: each is followed by what the policy would do from there."""

from __future__ import annotations

import numpy as np
import pytest

from actors.all_actions import AllActions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.simulator import Simulator

GAMMA = 0.9


def preferring(rows, accounts):
    """Q that prefers an action by market time and position alone, so that both must be right."""
    q = np.zeros((len(rows), 3), np.float32)
    q[np.arange(len(rows)), (rows + accounts[:, 0].astype(np.int64)) % 3] = 1.0
    return q


@pytest.fixture
def simulator(make_market):
    """Lanes that have traded, so that positions and accounts differ."""
    made = Simulator(make_market().path, TradingConfig(), RewardConfig(), 6)
    made.reset(np.arange(6), np.zeros(6, np.int64))
    random = np.random.default_rng(2)
    for _ in range(12):
        made.step(random.integers(0, 3, 6))
    return made


@pytest.mark.parametrize("n", [1, 2, 5])
def test_each_action_is_followed_greedily_from_where_it_leads(simulator, n):
    recorder = AllActions(n, GAMMA)
    before = simulator.state_dict()
    rows, _ = recorder.asks(simulator, preferring)
    values = simulator.lanes + len(rows)
    recorder.answer(np.zeros((values, 3), np.float32), np.zeros(values))
    recorder.push(simulator.step(np.zeros(6, np.int64)), np.zeros(6, bool))
    found = recorder.take()
    for action in range(3):
        other = Simulator(simulator.path, simulator.config, simulator.reward_config, 6)
        other.load_state_dict(before)
        reward, chosen = np.zeros(6), np.full(6, action)
        for k in range(n):
            step = other.step(chosen, idle=True)
            reward += np.where(step.active, GAMMA**k * step.reward, 0.0)
            chosen = preferring(other.rows, other.features()).argmax(1)
        np.testing.assert_allclose(found.reward[:, action], reward, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(found.next_account[:, action], other.features())
