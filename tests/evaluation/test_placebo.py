"""Positions against other days' market: skill shows, chance and mere holding do not."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.baselines import wanted_policy
from apex_trader.evaluation.placebo import placebo
from apex_trader.evaluation.record import Record
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath

FREE = TradingConfig(fee=0.0, funding=False)


def account(path: MarketPath, wanted: np.ndarray) -> Record:
    policy = wanted_policy("a", wanted.astype(np.int8), Actions.of(FREE))
    return run_continuous(path, policy, FREE, RewardConfig())


def moves(path: MarketPath) -> np.ndarray:
    """[n] sign of what follows each decision's fill, up to the next decision."""
    rows = path.arrays
    later = np.where(rows.next_row >= 0, rows.next_row, np.arange(len(path)))
    return np.sign(rows.mark[later] - np.nan_to_num(rows.fill_price, nan=7.0))


def test_knowing_the_next_move_now_and_then_is_found(tools):
    path = path_of(tools.walk(1, days=20, rows=60))
    random = np.random.default_rng(0)
    guess = random.choice([-1, 1], len(path))
    seeing = np.where(random.random(len(path)) < 0.3, moves(path), guess)
    found = placebo(path, account(path, seeing), 500, random)
    assert found.p_value.value < 0.01
    assert found.actual.value > found.high.value
    assert found.days == 20


def test_where_there_is_no_edge_none_is_found(tools):
    """Guesses are significant at 10% about one time in ten."""
    random = np.random.default_rng(1)
    path = path_of(tools.walk(2, days=12, rows=40))
    found = [
        placebo(path, account(path, random.choice([-1, 0, 1], len(path))), 99, random).p_value.value
        for _ in range(80)
    ]
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.08)


def test_holding_all_day_is_no_timing(tools):
    path = path_of(tools.walk(3, days=8, rows=40))
    missed = np.isnan(path.arrays.fill_price)
    path.arrays.fill_price[missed], path.arrays.fill_ts[missed] = path.arrays.mark[missed], 1
    found = placebo(path, account(path, np.ones(len(path))), 50, np.random.default_rng(0))
    assert found.p_value.value == 1.0
    assert found.actual.value == pytest.approx(found.mean.value)


def test_what_it_says_was_earned_was_earned_within_the_days(tools):
    """Without gaps, at no cost, closed at night: the account's own log return."""
    path = path_of([tools.segment(w.decisions.mark, w.decisions.mark, k)
                    for k, w in enumerate(tools.walk(4, days=6, rows=40))])  # fmt: skip
    wanted = np.random.default_rng(2).choice([-1, 1], len(path))
    wanted[[39 + 40 * day - 1 for day in range(6)]] = 0
    wanted[[39 + 40 * day for day in range(6)]] = 0
    record = account(path, wanted)
    found = placebo(path, record, 20, np.random.default_rng(0))
    core = record.terms["core"].sum() / RewardConfig().scale
    assert found.actual.value * 6 == pytest.approx(core, abs=1e-9)


@pytest.mark.parametrize("block", [1, 3, 7])
def test_blocks_shuffle_every_day_once(tools, block):
    path = path_of(tools.walk(5, days=9, rows=20))
    found = placebo(path, account(path, np.ones(len(path))), 30, np.random.default_rng(0), block)
    assert found.block == block
    assert found.low.value == pytest.approx(found.high.value)  # all days, whatever their order


def test_few_days_or_no_position_have_no_placebo(tools):
    path = path_of(tools.walk(6, days=3, rows=20))
    few = placebo(path, account(path, np.ones(len(path))), 30, np.random.default_rng(0))
    assert few.p_value.reason == "not enough data: 3 of at least 5 days"
    path = path_of(tools.walk(6, days=6, rows=20))
    none = placebo(path, account(path, np.zeros(len(path))), 30, np.random.default_rng(0))
    assert none.p_value.reason == "no position was held"
