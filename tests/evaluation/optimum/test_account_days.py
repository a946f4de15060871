"""The fast account has the books of the real backtest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.optimum import TablePolicy, account_days
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    action_set=st.sampled_from(["target", "sell_buy"]),
    instrument=st.sampled_from(["perpetual", "spot"]),
    fee=st.sampled_from([0.0, 5e-4, 0.02]),
    slippage=st.sampled_from([0.0, 2.0]),
    lot=st.sampled_from([0.0, 0.5]),
)
def test_days_of_equity_are_those_of_the_backtest(
    tools, seed, action_set, instrument, fee, slippage, lot
) -> None:
    """Gaps, nights, funding, orders that are not filled, ruin, and the exit at the end."""
    path = path_of(tools.walk(seed, days=3, rows=60))
    trading = TradingConfig(
        instrument, action_set, fee=fee, slippage_bps=slippage, lot_size=lot, tick_size=0.01
    )
    table = np.random.default_rng(seed).integers(0, Actions.of(trading).size, (len(path), 3))
    policy = TablePolicy("random", table.astype(np.uint8))
    record = run_continuous(path, policy, trading, RewardConfig())
    earned = account_days(path, policy, trading)
    days, daily = record.daily_returns()
    lived = len(days)
    assert earned.days[:lived].tolist() == days.tolist()
    assert np.expm1(earned.quote[:lived]) == pytest.approx(daily, abs=1e-12)
    assert not earned.quote[lived:].any()
    assert len(earned.days) == 3


def test_the_log_account_is_the_sum_of_rewards_and_the_night(tools) -> None:
    path = path_of(tools.walk(1, days=1, rows=60))
    trading = TradingConfig(fee=5e-4)
    table = np.tile(np.array([0, 2, 0], np.uint8), (len(path), 1))
    policy = TablePolicy("turns", table)
    record = run_continuous(path, policy, trading, RewardConfig(scale=1.0))
    gap = record.mark[np.flatnonzero(np.diff(record.episode))]
    assert len(gap) == 1
    total = account_days(path, policy, trading).log.sum()
    carried = total - record.terms["core"].sum() + 5e-4
    row = int(np.flatnonzero(path.arrays.next_row < 0)[0])
    now, later = path.arrays[row], path.arrays[row + 1]
    held = np.sign(carried) if carried else 0.0
    moved = later.mark - now.mark - now.funding
    assert abs(carried) == pytest.approx(abs(moved), abs=1e-12)
    assert held != 0.0
