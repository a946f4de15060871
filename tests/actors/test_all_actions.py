"""Experience of every action: each is followed by what the policy would do from there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.all_actions import AllActions
from actors.config import RolloutConfig
from actors.policy import BatchedPolicy
from actors.rollout import RolloutWorker
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


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 999), n=st.integers(1, 6), cut=st.sampled_from([0, 1, 4]),
    fee=st.sampled_from([0.0, 2e-3]), exposure=st.sampled_from([0.5, 1.0]),
)  # fmt: skip
def test_what_is_stored_is_what_a_simulator_comes_to(
    make_market, make_network, seed, n, cut, fee, exposure
):
    """Bit for bit, over gaps, days' ends, ruin, cut episodes, orders not filled and payments."""
    market, random = make_market(days=1, seed=seed, drop=40), np.random.default_rng(seed)
    rows = market.path.arrays
    rows.fill_price[random.random(len(rows)) < 0.2] = np.nan
    rows.funding[:] = random.normal(0.0, 1e-3, len(rows))
    near = np.isin(np.arange(len(rows)), [*range(32, 40), *range(62, 70), *range(111, 119)])
    path = replace(market.path, startable=market.path.startable & near)
    market = replace(market, path=path)
    trading = TradingConfig(fee=fee, slippage_bps=1.0, exposure=exposure, ruin_fraction=0.8)
    config = RolloutConfig(
        lanes=6, branches=2, outcomes="all", n_step=n, gamma=GAMMA, episode_steps=cut,
        epsilon_base=0.9, epsilon_exponent=1.0,
    )  # fmt: skip
    worker = RolloutWorker(market, make_network(seed), config, trading, RewardConfig(), seed=seed)
    policy = BatchedPolicy(make_network(seed), market.tables, len(rows))
    ended = 0
    for _ in range(12):
        before = worker.simulator.state_dict()
        got = worker.collect(1).transitions
        for action in range(3):
            other = Simulator(market.path, trading, RewardConfig(), config.lanes)
            other.load_state_dict(before)
            reward, discount, taken = np.zeros(6), np.ones(6), np.zeros(6, np.int64)
            chosen = np.full(6, action)
            for _ in range(n):
                if other.ended.all():
                    break
                step = other.step(chosen, idle=True)
                reward[step.active] += (discount * step.reward)[step.active]
                discount[step.active] *= GAMMA
                discount[step.terminated] = 0.0
                taken += step.active
                chosen = policy.q(other.rows, other.features()).argmax(1)
            ended += int(other.ended.sum())
            np.testing.assert_array_equal(got.reward[:, action], reward.astype(np.float32))
            np.testing.assert_array_equal(got.discount[:, action], discount.astype(np.float32))
            np.testing.assert_array_equal(
                got.next_account[:, action], other.features().astype(np.float16)
            )
            going = discount > 0
            np.testing.assert_array_equal((got.row + taken)[going], got.next_row[going])
            np.testing.assert_array_equal(other.rows[going], got.next_row[going])
    assert ended or cut, "a fall, a gap and the day's end are within reach"
