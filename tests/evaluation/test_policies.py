"""The simplest baselines, as far as an action set and an instrument can express them."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.policies import hold_baselines
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig

HELD = {"flat": 0.0, "buy and hold": 1.0, "sell and hold": -1.0}


@pytest.mark.parametrize(
    ("action_set", "instrument", "expected"),
    [
        ("target", "perpetual", ["flat", "buy and hold", "sell and hold"]),
        ("target", "spot", ["flat", "buy and hold"]),
        # the two actions of sell_buy always enter from flat
        ("sell_buy", "perpetual", ["buy and hold", "sell and hold"]),
        ("sell_buy", "spot", ["flat", "buy and hold"]),
    ],
)
def test_there_is_a_baseline_for_each_position_that_can_be_wanted(action_set, instrument, expected):
    names = [p.name for p in hold_baselines(Actions(action_set, instrument))]
    assert names == expected


@pytest.mark.parametrize("action_set", ["target", "sell_buy"])
def test_a_baseline_takes_its_position_and_keeps_it(tools, action_set):
    path = path_of([tools.prices(100, 101, 99, 103, 104, 98, 97)])
    trading = TradingConfig(action_set=action_set)
    for policy in hold_baselines(Actions.of(trading)):
        record = run_continuous(path, policy, trading, RewardConfig())
        assert (record.position == HELD[policy.name]).all(), policy.name
        assert record.traded.sum() == (HELD[policy.name] != 0.0)


def test_a_baseline_returns_to_its_position_from_any_other():
    for policy in hold_baselines(Actions("target", "perpetual")):
        held = np.array([-1, 0, 1])
        actions = policy.act(np.zeros(3, np.int64), np.zeros((3, 8), np.float32), held)
        wanted = policy.actions.wanted[held + 1, actions]
        assert (wanted == HELD[policy.name]).all()
