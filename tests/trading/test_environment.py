"""The Gymnasium environment: its contract, and that it is the simulator and nothing else."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from apex_trader.errors import ApexError, ConfigError
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import PRIMARY_COLUMNS, Block, Schema
from apex_trader.time import HOUR, MINUTE
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.environment import ENVIRONMENT_ID, TradingEnv, gathered
from apex_trader.trading.path import MarketPath
from apex_trader.trading.rewards import TERMS
from apex_trader.trading.simulator import Simulator

WIDTH = 6


def market_state(rows):
    """Features that tell the rows apart."""
    return np.sin(np.outer(rows + 1, np.arange(1, WIDTH + 1))).astype(np.float32)


@pytest.fixture
def path(make):
    return MarketPath.from_segments([make.walk(rows=60, gaps=(30,), level=7.0)])


@pytest.mark.parametrize("action_set", ["target", "sell_buy"])
def test_it_keeps_gymnasiums_contract(path, action_set):
    env = gymnasium.make(ENVIRONMENT_ID, path=path, market_state=market_state,
                         trading=TradingConfig(action_set=action_set))  # fmt: skip
    check_env(env.unwrapped, skip_render_check=True)
    assert env.action_space.n == {"target": 3, "sell_buy": 2}[action_set]


def test_it_is_the_simulator_and_nothing_else(path):
    env = TradingEnv(path, market_state)
    simulator = Simulator(path)
    simulator.reset(np.array([0]), np.array([3]))
    observation, info = env.reset(options={"row": 3})
    assert observation.shape == (WIDTH + 8,)
    assert info["equity"] == 10_000.0
    for action in (2, 2, 0, 1, 0, 2):
        step = simulator.step(np.array([action]))
        observation, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_array_equal(observation[WIDTH:], step.next_account[0])
        np.testing.assert_array_equal(observation[:WIDTH], market_state(step.next_row)[0])
        assert reward == step.reward[0]
        assert (terminated, truncated) == (bool(step.terminated[0]), bool(step.truncated[0]))
        assert info["equity"] == step.equity[0]
        assert info["row"] == step.next_row[0]
        assert list(info["terms"]) == list(TERMS)
        assert sum(info["terms"].values()) == pytest.approx(reward)


def test_an_episode_ends_at_the_gap_or_after_max_steps(path):
    env = TradingEnv(path, market_state)
    env.reset(options={"row": 28})
    assert [env.step(1)[3] for _ in range(2)] == [False, True]
    short = TradingEnv(path, market_state, max_steps=2)
    short.reset(options={"row": 0})
    assert [short.step(1)[3] for _ in range(2)] == [False, True]


def test_the_seed_decides_where_an_episode_starts(path):
    env = TradingEnv(path, market_state)
    rows = [env.reset(seed=5)[1]["row"], *(env.reset()[1]["row"] for _ in range(30))]
    again = [env.reset(seed=5)[1]["row"], *(env.reset()[1]["row"] for _ in range(30))]
    assert rows == again
    assert len(set(rows)) > 10
    assert not {30, 59} & set(rows)


def test_it_serves_vector_environments(path):
    envs = gymnasium.make_vec(ENVIRONMENT_ID, 3, "sync", path=path, market_state=market_state,
                              reward=RewardConfig(scale=1.0))  # fmt: skip
    observations, _ = envs.reset(seed=1)
    assert observations.shape == (3, WIDTH + 8)
    for _ in range(40):
        observations, rewards, *_ = envs.step(envs.action_space.sample())
        assert np.isfinite(rewards).all()


def test_what_cannot_be_done_is_refused(path, make):
    with pytest.raises(ConfigError, match="max_steps"):
        TradingEnv(path, market_state, max_steps=0)
    with pytest.raises(ApexError, match="'row'"):
        TradingEnv(path, market_state).reset(options={"start": 3})
    nowhere = MarketPath.from_segments([make.walk(rows=2, gaps=(0,))])
    with pytest.raises(ApexError, match="no decision"):
        TradingEnv(nowhere, market_state)


def test_its_market_state_is_the_one_gather_that_all_parts_share(make):
    torch.set_num_threads(1)
    schema = Schema("tiny", MINUTE, (Block("primary_1m", "1m", 4, PRIMARY_COLUMNS),), (), HOUR)
    segment = make.walk(rows=40, interval=MINUTE)
    n = np.arange(40, dtype=np.int32)
    table = np.random.default_rng(0).normal(size=(43, 8)).astype(np.float32)
    decisions = replace(segment.decisions, row={"1m": n + 3}, start={"1m": n},
                        scale={"1m": np.ones((40, 2), np.float32)})  # fmt: skip
    segment = replace(segment, tables={"primary_1m": table}, decisions=decisions,
                      schema=schema.fingerprint)  # fmt: skip
    tables = MarketTables.from_segments([segment], schema)
    env = TradingEnv(MarketPath.from_segments([segment]), gathered(tables))
    observation, _ = env.reset(options={"row": 7})
    assert observation.shape == (32 + 8,)
    np.testing.assert_array_equal(observation[:32], np.clip(table[7:11].ravel(), -5, 5))
    observation = env.step(2)[0]
    np.testing.assert_array_equal(observation[:32], np.clip(table[8:12].ravel(), -5, 5))


def test_with_a_potential_the_rewards_of_an_episode_telescope(path):
    """n steps add γⁿΦ(s_n) − Φ(s_0), which is what a learner adds that gathers Φ itself."""

    def potential(rows, position):
        return position * np.cos(rows)

    plain = TradingEnv(path, market_state)
    shaped = TradingEnv(path, market_state, potential=potential, gamma=0.9)
    start, _ = plain.reset(options={"row": 3})
    shaped.reset(options={"row": 3})
    added, actions = 0.0, (2, 2, 0, 1, 0, 2)
    for k, action in enumerate(actions):
        state, reward, *_, info = plain.step(action)
        same, more, *_, told = shaped.step(action)
        np.testing.assert_array_equal(state, same)
        assert more - reward == pytest.approx(told["shaping"], abs=1e-12)
        added += 0.9**k * (more - reward)
    first = potential(3, start[WIDTH])
    last = potential(info["row"], state[WIDTH])
    assert added == pytest.approx(0.9 ** len(actions) * last - first)
    assert last != 0.0


def test_ruin_is_worth_no_potential(make):
    """Φ(terminal) = 0: the whole potential of the state before goes."""
    crash = MarketPath.from_segments([make.walk(rows=20)])
    trading = TradingConfig(ruin_fraction=0.9999, fee=0.001)
    env = TradingEnv(
        crash, market_state, trading, potential=lambda rows, p: np.full(len(rows), 7.0)
    )
    env.reset(options={"row": 0})
    *_, terminated, _, info = env.step(2)
    assert terminated
    assert info["shaping"] == -7.0


def test_the_next_episode_is_in_the_market_that_was_set(path, make):
    env = TradingEnv(path, market_state)
    env.reset(seed=0)
    other = MarketPath.from_segments([make.walk(rows=9, level=8.0)])
    env.set_market(other, lambda rows: market_state(rows) * 0.0)
    observation, info = env.reset(seed=1)
    assert info["row"] < 9
    assert not observation[:WIDTH].any()
    with pytest.raises(ApexError, match="no decision"):
        env.set_market(MarketPath.from_segments([make.walk(rows=2, gaps=(0,))]), market_state)


def test_a_discount_that_is_none_is_refused(path):
    with pytest.raises(ConfigError, match="gamma"):
        TradingEnv(path, market_state, gamma=1.5)
