"""Round trips against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.time import SECOND
from apex_trader.trading.config import RewardConfig, TradingConfig

SHORT, FLAT, LONG = 0, 1, 2
FEE = 0.001


def trips(tools, values, actions, fee=FEE):
    path = path_of([tools.prices(*values)])
    policy = tools.policy(path, np.array([*actions, FLAT], np.uint8))
    trading = TradingConfig(fee=fee, funding=False, initial_equity=1_000.0)
    return run_continuous(path, policy, trading, RewardConfig()).trips


def test_a_trip_pays_for_its_entry_and_its_exit(tools):
    """Bought at 100 (10 coins), sold at 110: 100 of gain, fees of 1 and 1.1."""
    (trip,) = trips(tools, [100, 105, 110, 120], [LONG, LONG, FLAT])
    assert trip["profit"] == pytest.approx(100 - 1.0 - 1.1)
    assert trip["gain"] == pytest.approx(97.9 / 1_000)
    assert trip["side"] == 1
    assert trip["closed"]


def test_a_trip_that_only_its_fees_make_a_loss_is_a_loss(tools):
    """The exit's fee counts: before it the trip was 0.5 up."""
    (trip,) = trips(tools, [100, 100.15, 100.15], [LONG, FLAT])
    assert trip["profit"] == pytest.approx(1.5 - 1.0 - 1.0015)
    assert trip["gain"] < 0


def test_a_turn_closes_one_trip_and_opens_the_next(tools):
    long, short = trips(tools, [100, 110, 99, 99], [LONG, SHORT, FLAT], fee=0.0)
    assert (long["side"], short["side"]) == (1, -1)
    assert long["profit"] == pytest.approx(100.0)
    assert short["profit"] == pytest.approx(1_100 / 110 * 11)
    assert long["end"] == short["start"]


def test_trips_run_from_fill_to_fill(tools):
    (trip,) = trips(tools, [100, 100, 100, 100], [LONG, LONG, FLAT])
    assert trip["start"] == tools.first_day + SECOND
    assert trip["end"] == tools.first_day + 2 * tools.interval + SECOND


def test_an_open_position_is_valued_at_the_last_mark_less_its_exit(tools):
    """10 coins from 100 to 102; fees of 1 to enter and 1.02 to leave."""
    (trip,) = trips(tools, [100, 101, 102], [LONG, LONG])
    assert trip["profit"] == pytest.approx(20.0 - 1.0 - 1.02)
    assert not trip["closed"]


def test_no_position_no_trip(tools):
    assert len(trips(tools, [100, 101, 102], [FLAT, FLAT])) == 0


def test_a_position_that_is_ruined_in_its_first_step_is_a_trip(tools):
    """Sold at 100 with 5 times leverage, 120 at the next decision: liquidated there."""
    path = path_of([tools.prices(100, 120, 120)])
    policy = tools.policy(path, np.array([SHORT, FLAT, FLAT], np.uint8))
    trading = TradingConfig(fee=FEE, funding=False, initial_equity=1_000.0, exposure=5.0)
    record = run_continuous(path, policy, trading, RewardConfig())
    (trip,) = record.trips
    assert trip["profit"] == pytest.approx(-1_000.0 - 5.0 - 6.0)
    assert trip["side"] == -1
    assert trip["end"] > trip["start"]
    assert trip["profit"] == pytest.approx((record.equity[-1] - 1.0) * 1_000.0)
