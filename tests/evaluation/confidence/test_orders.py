"""Orders are collected from an account that does all it wants and from one that never enters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apex_trader.evaluation.backtest import run_episodes
from apex_trader.evaluation.confidence.features import EDGE
from apex_trader.evaluation.confidence.orders import by_target, collect_orders
from apex_trader.trading.config import RewardConfig, TradingConfig
from tests.evaluation.confidence.conftest import Knowing, features_of, told_market

REWARD = RewardConfig()


@pytest.mark.parametrize("action_set", ["target", "sell_buy"])
def test_the_orders_that_pass_are_those_of_the_agents_own_episodes(action_set):
    trading = TradingConfig(fee=0.0002, action_set=action_set)
    path, forecast, _ = told_market(0, 3, 2.0)
    agent = Knowing(forecast, trading)
    orders = collect_orders(path, agent, features_of(trading), REWARD)
    own = orders.where(orders.passed)
    records = run_episodes(path, agent, trading, REWARD)
    filled = np.isin(path.arrays.ts[own.row], np.concatenate([r.ts[r.traded] for r in records]))
    assert filled.all()
    assert len(own) == sum(r.traded.sum() for r in records)
    for record in records:
        before = np.concatenate([[0.0], record.position[:-1]])[record.traded]
        mine = own.where(np.isin(own.ts, record.ts))
        order = np.argsort(mine.ts)
        assert np.array_equal(mine.position[order], before)
        assert np.array_equal(mine.target[order], record.position[record.traded])


def test_the_account_that_never_enters_asks_from_flat_at_every_decision_that_it_likes():
    trading = TradingConfig(fee=0.0002)
    path, forecast, _ = told_market(1, 2, 2.0)
    orders = collect_orders(path, Knowing(forecast, trading), features_of(trading), REWARD)
    refused = orders.where(~orders.passed)
    assert (refused.position == 0).all()
    likes = path.startable & (np.abs(forecast) > 2 * trading.fee)
    assert sorted(refused.row.tolist()) == np.flatnonzero(likes).tolist()
    assert (refused.features[:, EDGE] > 0).all()


def test_an_agent_that_wants_nothing_has_no_orders():
    trading = TradingConfig(fee=0.01)
    path, forecast, _ = told_market(2, 1, 1.0)
    assert len(collect_orders(path, Knowing(forecast, trading), features_of(trading), REWARD)) == 0


def test_an_account_told_positions_costs_what_the_agents_own_does():
    trading = TradingConfig(fee=0.0007, action_set="sell_buy", exposure=0.3)
    assert by_target(trading) == replace(trading, action_set="target")
