"""What baselines know, and that the random one trades as often and as long as the agent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.baselines import (
    CrossConfig,
    executed_positions,
    expected_move_policy,
    moving_average_cross,
    pivot_trend,
    random_match,
    rule_baselines,
    shuffled_spells,
    wanted_policy,
)
from apex_trader.time import MINUTE, SECOND
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath

TARGET = Actions("target", "perpetual")
TRADING = TradingConfig(fee=0.0005)
REWARD = RewardConfig()
QUICK = CrossConfig(fast=MINUTE, slow=5 * MINUTE)


def spells(position: np.ndarray) -> tuple[list[int], list[int]]:
    """(sorted lengths of spells in a position, of those without)."""
    cuts = np.flatnonzero(np.diff(position)) + 1
    parts = np.split(position, cuts)
    return (sorted(len(p) for p in parts if p[0]), sorted(len(p) for p in parts if not p[0]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-1, 1), max_size=80), st.integers(0, 9))
def test_shuffled_spells_keep_every_holding_time_and_every_order(sequence, seed):
    position = np.array(sequence, np.int8)
    shuffled = shuffled_spells(position, np.random.default_rng(seed))
    assert spells(shuffled) == spells(position) if len(position) else len(shuffled) == 0
    changes = [np.count_nonzero(np.diff(p, prepend=0)) for p in (position, shuffled)]
    assert changes[0] == changes[1]


def test_random_sides_are_as_often_long_as_the_agents():
    position = np.tile(np.array([1, 0, 1, 0, 1, 0, -1, 0], np.int8), 2_000)
    share = [
        (shuffled_spells(position, np.random.default_rng(seed)) == 1).sum() / (position != 0).sum()
        for seed in range(3)
    ]
    assert np.mean(share) == pytest.approx(0.75, abs=0.02)


def test_a_random_account_trades_as_often_and_as_long_as_the_record(tools):
    path = path_of(tools.walk(4, days=3))
    path.arrays.fill_price[np.isnan(path.arrays.fill_price)] = 7.0  # every order fills
    path.arrays.fill_ts[path.arrays.fill_ts == 0] = 1
    record = run_continuous(path, tools.scripted(path, 4), TRADING, REWARD)
    policy = random_match(path, record, TRADING, np.random.default_rng(0))
    other = run_continuous(path, policy, TRADING, REWARD)
    assert other.traded.sum() == record.traded.sum()
    assert spells(other.position) == spells(record.position)
    assert not np.array_equal(other.position, record.position)


def test_the_positions_of_a_record_replayed_are_the_record(tools):
    path = path_of(tools.walk(3))
    record = run_continuous(path, tools.scripted(path, 3), TRADING, REWARD)
    again = wanted_policy("again", executed_positions(path, record), TARGET)
    assert np.allclose(run_continuous(path, again, TRADING, REWARD).equity, record.equity)


def known_until(path: MarketPath, row: int) -> MarketPath:
    """The same path with other prices and trends from ``row`` on."""
    arrays, trend = path.arrays.copy(), path.trend.copy()
    arrays["mark"][row:], arrays["fill_price"][row:] = 3.0, 3.0
    trend[row:] = -trend[row:] + 0.3
    return replace(path, arrays=arrays.view(np.recarray), trend=trend)


@pytest.mark.parametrize("row", [30, 170, 400])
def test_no_rule_knows_what_comes(tools, row):
    whole = path_of(tools.walk(5))
    path = replace(whole, trend=np.random.default_rng(0).normal(size=len(whole)).astype(np.float32))
    for make in (
        lambda p: moving_average_cross(p, TARGET, QUICK),
        lambda p: pivot_trend(p, TARGET),
    ):
        now, later = make(path).best, make(known_until(path, row)).best
        assert np.array_equal(now[:row], later[:row])
        assert not np.array_equal(now[row:], later[row:])


def test_averages_cross_where_a_count_by_hand_says(tools):
    price = np.concatenate([np.linspace(100, 110, 120), np.linspace(110, 95, 120)])
    path = path_of([tools.prices(*price)])
    wanted = moving_average_cross(path, TARGET, QUICK).best[:, 1].astype(int) - 1
    mark, step = np.log(price), 5 * SECOND
    for row in (59, 60, 119, 140, 239):
        fast, slow = (
            mark[max(0, row + 1 - span // step) : row + 1].mean()
            for span in (QUICK.fast, QUICK.slow)
        )
        assert wanted[row] == (np.sign(fast - slow) if row >= 60 else 0), row
    assert wanted[239] == -1


@pytest.mark.parametrize("instrument", ["perpetual", "spot"])
def test_averages_that_are_not_full_yet_do_not_trade_to_and_fro(tools, instrument):
    """With two actions there is none that stays flat: the first decision enters, no more."""
    path = path_of([tools.prices(*np.linspace(100, 110, 50))])
    trading = TradingConfig(action_set="sell_buy", instrument=instrument)
    policy = moving_average_cross(path, Actions.of(trading), CrossConfig())
    record = run_continuous(path, policy, trading, REWARD)
    assert len(np.unique(record.position)) == 1


def test_the_pivot_trend_is_followed_and_kept_while_there_is_none(tools):
    path = path_of([tools.prices(100, 101, 102, 103)])
    path = replace(path, trend=np.array([0.5, 0.0, -1.0, 0.0], np.float32))
    record = run_continuous(path, pivot_trend(path, TARGET), TRADING, REWARD)
    assert record.position.tolist() == [1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    ("move", "held", "wanted"),
    [(0.0006, 0, 1), (0.0004, 0, 0), (-0.0004, 1, 1), (-0.0006, 1, -1), (-0.0011, 1, -1),
     (0.0004, 1, 1), (np.nan, -1, -1)],
)  # fmt: skip
def test_an_expected_move_is_traded_where_it_pays_for_the_order(move, held, wanted):
    """At 5 bp an order. Where leaving pays, so does the turn: it earns what it is left for."""
    policy = expected_move_policy("p", np.array([move]), TradingConfig(fee=0.0005))
    assert int(policy.best[0, held + 1]) - 1 == wanted


@pytest.mark.parametrize("action_set", ["target", "sell_buy"])
@pytest.mark.parametrize("instrument", ["perpetual", "spot"])
def test_every_baseline_runs_on_every_action_set(tools, action_set, instrument):
    path = path_of(tools.walk(6))
    trading = TradingConfig(action_set=action_set, instrument=instrument)
    names = []
    for policy in rule_baselines(path, trading, QUICK):
        record = run_continuous(path, policy, trading, REWARD)
        assert instrument == "perpetual" or (record.position >= 0).all()
        names.append(record.name)
    assert names[-2:] == ["moving averages", "pivot trend"]


def test_averages_of_impossible_times_are_refused():
    with pytest.raises(ConfigError, match=r"cross\.fast"):
        CrossConfig(fast=MINUTE, slow=MINUTE)
