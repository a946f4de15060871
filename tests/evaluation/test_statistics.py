"""Figures against cases worked out by hand, and ratios against empyrical's definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.statistics import (
    MIN_DAYS,
    YEAR,
    closed_trades,
    drawdown,
    summarize,
)
from apex_trader.evaluation.trips import TRIP
from apex_trader.time import DAY
from apex_trader.trading.config import RewardConfig, TradingConfig

SHORT, FLAT, LONG = 0, 1, 2


def record_of(equity, days=None, position=None) -> Record:
    """A record with this equity, one decision a day but where ``days`` says otherwise."""
    equity = np.asarray(equity, np.float64)
    n = len(equity)
    nothing = np.zeros(n)
    return Record(
        name="agent",
        ts=(np.arange(n) if days is None else np.asarray(days)).astype(np.int64) * DAY,
        mark=np.full(n, 100.0),
        action=np.zeros(n, np.uint8),
        position=nothing if position is None else np.asarray(position, np.float64),
        equity=equity,
        gross=equity,
        fee=nothing,
        slippage=nothing,
        funding=nothing,
        traded=np.zeros(n, np.bool_),
        episode=np.zeros(n, np.int32),
        terms={},
        trips=np.zeros(0, TRIP),
    )


def daily(returns) -> Record:
    return record_of(np.cumprod(1.0 + np.asarray(returns)))


def test_a_days_return_is_from_the_evening_before_to_its_own():
    record = record_of([1.0, 1.1, 1.2, 1.08], days=[0, 0, 1, 1])
    days, returns = record.daily_returns()
    assert days.tolist() == [0, DAY]
    assert returns == pytest.approx([0.1, 1.08 / 1.1 - 1.0])


def test_drawdown_counts_from_the_start_too():
    assert drawdown(record_of([0.9, 1.2, 0.6])) == pytest.approx([-0.1, 0.0, -0.5])


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0.01, 100.0)))
def test_drawdown_is_never_above_zero_and_zero_at_every_peak(equity):
    below = drawdown(record_of(equity))
    assert (below <= 0.0).all()
    peaks = equity >= np.maximum(np.maximum.accumulate(equity), 1.0)
    assert (below[peaks] == 0.0).all()


def test_ratios_follow_their_definitions():
    """Sharpe and Sortino against zero, Calmar as yearly growth over the largest drawdown."""
    returns = np.array([0.01, -0.02, 0.015, 0.005, -0.01, 0.02])
    figures = summarize(daily(returns))
    assert figures["sharpe"] == pytest.approx(
        returns.mean() / returns.std(ddof=1) * math.sqrt(YEAR)
    )
    downside = math.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))
    assert figures["sortino"] == pytest.approx(returns.mean() / downside * math.sqrt(YEAR))
    grown = np.prod(1.0 + returns) ** (YEAR / len(returns)) - 1.0
    assert figures["calmar"] == pytest.approx(grown / 0.02)


@pytest.mark.parametrize("days", range(1, MIN_DAYS))
def test_too_few_days_give_no_ratio(days):
    figures = summarize(daily(np.linspace(0.01, -0.01, days)))
    for name in ("sharpe", "sortino", "calmar"):
        assert math.isnan(figures[name])


def test_an_account_that_never_moved_has_no_ratio():
    assert math.isnan(summarize(daily(np.zeros(10)))["sharpe"])


def test_exposure_turnover_and_shares_of_time():
    record = record_of(np.ones(5), days=[0, 0, 0, 1, 1], position=[0, 1, 1, -1, -1])
    figures = summarize(record)
    assert figures["exposure"] == pytest.approx(0.8)
    assert (figures["long"], figures["short"]) == pytest.approx((0.4, 0.4))
    assert figures["turnover"] == pytest.approx((1 + 2) / 2)


def test_the_share_of_winning_trips_is_net_of_all_their_costs(tools):
    """One trip up 1%, one up by less than its two fees: half of them win."""
    path = path_of([tools.prices(100, 101, 101, 101.05, 101.05, 101.05)])
    actions = np.array([LONG, FLAT, LONG, FLAT, FLAT, FLAT], np.uint8)
    trading = TradingConfig(fee=0.001, funding=False)
    record = run_continuous(path, tools.policy(path, actions), trading, RewardConfig())
    figures = summarize(record)
    assert len(closed_trades(record)) == 2
    assert figures["hit_rate"] == 0.5
    assert figures["mean_holding_seconds"] == 5.0
    assert figures["trades"] == 4
    assert figures["fee"] == pytest.approx(record.fee.sum())


def test_no_trade_is_no_winning_trade_either():
    figures = summarize(record_of(np.ones(3)))
    assert math.isnan(figures["hit_rate"])
    assert figures["trades"] == 0.0


def test_an_empty_record_is_refused():
    with pytest.raises(ValueError, match="no decision"):
        summarize(record_of([]))
