"""Pathwise, no policy earns more than the hindsight optimum, and its own policy earns just that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.evaluation.backtest import episode_starts, path_of, run_continuous
from apex_trader.evaluation.optimum import TablePolicy, hindsight
from apex_trader.trading.account import Rules
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Simulator

CORE_ALONE = RewardConfig(
    scale=1.0, frequency=0.0, risk=0.0, duration=0.0, pivot_bonus=0.0, pivot_potential=0.0,
    cnn_potential=0.0,
)  # fmt: skip


def log_return(path: MarketPath, policy, trading: TradingConfig, carried: bool) -> float:
    """Return of the real simulator's log account, from flat to flat."""
    simulator = Simulator(path, trading, CORE_ALONE, lanes=1)
    lane, total, legs = np.zeros(1, np.int64), 0.0, 0.0
    rules = Rules.of(trading)
    for number, start in enumerate(episode_starts(path)):
        if number and carried:
            simulator.carry(lane, np.array([start]))
        else:
            total += settled(simulator) - legs
            simulator.reset(lane, np.array([start]))
        while not simulator.ended[0]:
            rows, positions = simulator.rows, simulator.position
            simulator.step(policy.act(rows, simulator.features(), positions))
        legs = trading.exposure * abs(simulator.position[0]) * (rules.fee + rules.slippage)
        if simulator.equity[0] <= rules.ruin_equity:
            break
    return total + settled(simulator) - legs


def settled(simulator: Simulator) -> float:
    return float(simulator.ledger.log_equity[0] + simulator.ledger.deferred[0])


tradings = st.builds(
    TradingConfig,
    instrument=st.just("perpetual"),
    action_set=st.just("target"),
    fee=st.sampled_from([0.0, 2e-4, 1e-3]),
    slippage_bps=st.sampled_from([0.0, 1.5]),
    exposure=st.sampled_from([0.5, 1.0, 3.0]),
    lot_size=st.sampled_from([0.0, 0.01, 5.0]),
    min_notional=st.sampled_from([0.0, 9_900.0]),
    funding=st.booleans(),
)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), trading=tradings, carried=st.booleans(), hold=st.integers(1, 9))
def test_no_policy_beats_it(tools, seed, trading, carried, hold) -> None:
    """Lots, orders too small and orders not filled, gaps and nights, funding and costs."""
    path = path_of(tools.walk(seed, rows=60))
    best = hindsight(path, trading, carried)
    for k in range(3):
        other = tools.scripted(path, seed + k, hold)
        assert log_return(path, other, trading, carried) <= best.log_return + 1e-9


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    carried=st.booleans(),
    action_set=st.sampled_from(["target", "sell_buy"]),
    instrument=st.sampled_from(["perpetual", "spot"]),
    exposure=st.sampled_from([0.5, 1.0]),
)
def test_its_policy_earns_what_it_says(tools, seed, carried, action_set, instrument, exposure):
    path = path_of(tools.walk(seed, rows=60))
    trading = TradingConfig(instrument, action_set, exposure=exposure, slippage_bps=1.0)
    best = hindsight(path, trading, carried)
    earned = log_return(path, best.policy, trading, carried)
    assert earned == pytest.approx(best.log_return, abs=1e-9)
    for k in range(3):
        table = np.random.default_rng(seed + k).integers(0, Actions.of(trading).size, len(path) * 3)
        other = TablePolicy("random", table.reshape(-1, 3).astype(np.uint8))
        assert log_return(path, other, trading, carried) <= best.log_return + 1e-9


def test_it_beats_an_exhaustive_search_nowhere_and_meets_it(tools) -> None:
    """All 3^7 sequences of a short day, one by one."""
    path = path_of([tools.prices(100, 100.5, 99.9, 100.2, 100.9, 100.1, 100.4, 100.0)])
    trading = TradingConfig(fee=5e-4)
    best = hindsight(path, trading).log_return
    found = -np.inf
    for code in range(3**7):
        wishes = np.array([code // 3**k % 3 for k in range(7)] + [1], np.uint8)
        found = max(found, log_return(path, tools.policy(path, wishes), trading, True))
    assert best == pytest.approx(found, abs=1e-12)


def test_costs_above_every_move_keep_it_out(tools) -> None:
    path = path_of(tools.walk(3, rows=60))
    best = hindsight(path, TradingConfig(fee=0.09, funding=False))
    record = run_continuous(path, best.policy, TradingConfig(fee=0.09, funding=False), CORE_ALONE)
    assert best.log_return == 0.0
    assert not record.traded.any()
