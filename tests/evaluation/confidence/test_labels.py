"""A label is exactly what the simulator would have booked for either choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of
from apex_trader.evaluation.confidence.labels import label_orders, transactions, unit_cost
from apex_trader.time import DAY
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.simulator import Simulator
from tests.evaluation.conftest import prices, segment, walk

COSTLY = TradingConfig(fee=0.0005, slippage_bps=2.0)
#: The reward that is the log account's return, nothing else.
CORE = RewardConfig(scale=1.0, frequency=0.0, risk=0.0, duration=0.0, pivot_bonus=0.0)
WANTED = np.array([-1, 0, 1])


def booked(path, rows, held, horizon, trading):
    """[n, 3] log return of asking for short, flat, long from a position, and whether it is known.

    Positions are entered with the mark of the row as price, so that they are held at it.
    """
    simulator = Simulator(path, trading, CORE, lanes=len(rows))
    simulator.reset(np.arange(len(rows)), rows)
    simulator.ledger.position[:] = held
    outcomes = simulator.outcomes(horizon, 1.0)
    return outcomes.reward, outcomes.steps == horizon


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 20),
    st.sampled_from([-1, 0, 1]),
    st.sampled_from([-1, 0, 1]),
    st.booleans(),
)
def test_a_label_is_the_difference_of_two_accounts(seed, horizon, held, target, funding):
    path = path_of(walk(seed % 50))
    rng = np.random.default_rng(seed)
    rows = rng.choice(np.flatnonzero(path.startable), 40)
    trading = TradingConfig(fee=0.0005, slippage_bps=2.0, funding=funding, exposure=0.7)
    positions, targets = np.full(40, held), np.full(40, target)
    labels = label_orders(path, rows, positions, targets, horizon, trading)
    rewards, complete = booked(path, rows, held, horizon, trading)
    assert np.array_equal(labels.known, complete)
    filled = np.isfinite(labels.gain) & (labels.gain != 0.0)
    assert held == target or filled.sum() > 0.8 * complete.sum() - 4
    leaving = trading.exposure * unit_cost(trading) * (abs(target) - abs(held))
    expected = rewards[:, target + 1] - rewards[:, held + 1] - leaving
    assert np.allclose(labels.gain[filled], expected[filled], rtol=0, atol=1e-12)


def test_an_order_that_is_never_filled_beats_nothing():
    mark = np.log(np.linspace(100.0, 110.0, 6))
    path = path_of([segment(mark, np.full(6, np.nan))])
    labels = label_orders(path, np.array([0]), np.array([0]), np.array([1]), 3, COSTLY)
    assert labels.gain.tolist() == [0.0]
    assert not labels.better.any()


def test_entering_must_earn_both_of_its_transactions_and_closing_none():
    """A rise of 5 bp pays one transaction of 3 bp, not two; for leaving there is nothing to pay."""
    trading = TradingConfig(fee=0.0003)
    path = path_of([prices(100.0, 100.0, 100.05)])
    zero = np.array([0, 0, 0, 0])
    held, target = np.array([0, 0, 1, -1]), np.array([1, -1, 0, 0])
    labels = label_orders(path, zero, held, target, 2, trading)
    rise = np.log(100.05 / 100.0)
    assert labels.gain == pytest.approx([rise - 6e-4, -rise - 6e-4, -rise, rise], abs=1e-12)
    assert labels.better.tolist() == [False, False, False, True]


def test_what_an_order_costs_more_than_keeping():
    held, target = np.array([0, 0, 1, -1, 1, -1, 0]), np.array([1, -1, 0, 0, -1, 1, 0])
    assert transactions(held, target).tolist() == [2, 2, 0, 0, 2, 2, 0]


def test_a_label_never_reaches_beyond_its_own_day_or_over_a_gap():
    path = path_of(walk(1))
    rows = np.flatnonzero(path.startable)
    labels = label_orders(path, rows, 0 * rows, 0 * rows + 1, 30, COSTLY)
    assert (labels.end // DAY == path.arrays.ts[rows] // DAY).all()
    assert labels.known[rows == 0].all()
    before_gap = (rows > 80 - 30) & (rows <= 80)
    assert not labels.known[before_gap].any()
    assert np.isnan(labels.gain[before_gap]).all()


def test_labels_of_the_mirrored_market_are_those_of_mirrored_orders():
    days = walk(3)
    upside_down = [
        segment(-d.decisions.mark, -d.outcomes.fill, k, (80,)) for k, d in enumerate(days)
    ]
    straight = [segment(d.decisions.mark, d.outcomes.fill, k, (80,)) for k, d in enumerate(days)]
    rows = np.flatnonzero(path_of(days).startable)
    rng = np.random.default_rng(0)
    held, target = rng.integers(-1, 2, len(rows)), rng.integers(-1, 2, len(rows))
    one = label_orders(path_of(straight), rows, held, target, 10, COSTLY)
    other = label_orders(path_of(upside_down), rows, -held, -target, 10, COSTLY)
    assert np.allclose(one.gain[one.known], other.gain[other.known], rtol=0, atol=1e-12)


def test_a_horizon_of_nothing_is_refused():
    path = path_of(walk(0))
    with pytest.raises(ApexError, match="at least one decision, not 0"):
        label_orders(path, np.array([0]), np.array([0]), np.array([1]), 0, COSTLY)
