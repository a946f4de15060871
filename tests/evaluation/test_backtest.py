"""A backtest's record is what the simulator booked, over gaps and nights as well."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import (
    episode_starts,
    path_of,
    run_continuous,
    run_episodes,
)
from apex_trader.evaluation.journal import exit_costs
from apex_trader.evaluation.policies import hold_baselines
from apex_trader.trading.account import Rules
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.simulator import Simulator

COSTLY = TradingConfig(fee=0.0005, slippage_bps=2.0)
FREE = TradingConfig(fee=0.0, slippage_bps=0.0, funding=False)
REWARD = RewardConfig()
SHORT, FLAT, LONG = 0, 1, 2


def leaving(simulator: Simulator, lane: int = 0) -> np.ndarray:
    """[3] what leaving the lane's position at its last mark costs, as a share of the start."""
    mark = simulator.path.arrays.mark[simulator.rows[lane]]
    quantity = float(simulator.ledger.quantity[lane])
    return exit_costs(quantity, mark, Rules.of(COSTLY)) / COSTLY.initial_equity


def test_every_unbroken_run_of_decisions_is_one_episode(tools):
    path = path_of(tools.walk(0))
    assert episode_starts(path).tolist() == [0, 81, 240, 321]


def test_days_are_put_in_time_order(tools):
    first, second = tools.walk(0)
    assert np.array_equal(path_of([second, first]).arrays.ts, path_of([first, second]).arrays.ts)


@pytest.mark.parametrize("seed", range(4))
def test_equity_is_the_start_plus_pnl_less_costs(tools, seed):
    """The identity over a whole period, gaps and midnight funding and the exit among it."""
    path = path_of(tools.walk(seed))
    policy = tools.scripted(path, seed)
    record = run_continuous(path, policy, COSTLY, REWARD)
    lane, simulator = np.zeros(1, np.int64), Simulator(path, COSTLY, REWARD, lanes=1)
    total = 0.0
    for number, start in enumerate(episode_starts(path)):
        if number == 0:
            simulator.reset(lane, np.array([start]))
        else:
            total += float(simulator.carry(lane, np.array([start]))[0])
        while not simulator.ended[0]:
            step = simulator.step(policy.actions[simulator.rows])
            total += float(step.pnl[0] - step.costs[0].sum())
    exit_ = leaving(simulator)
    earned = 1.0 + total / COSTLY.initial_equity
    assert record.equity[-1] == pytest.approx(earned - exit_.sum(), abs=1e-9)
    ledger = simulator.ledger[0]
    books = (("fee", "fee"), ("slippage", "slippage"), ("funding", "paid"))
    for (name, column), last in zip(books, exit_, strict=True):
        paid = float(ledger[column]) / COSTLY.initial_equity + last
        assert getattr(record, name).sum() == pytest.approx(paid, abs=1e-12), name
    assert record.funding.sum() != 0.0


@pytest.mark.parametrize("seed", range(4))
def test_the_round_trips_profits_add_up_to_the_change_of_equity(tools, seed):
    path = path_of(tools.walk(seed))
    record = run_continuous(path, tools.scripted(path, seed), COSTLY, REWARD)
    change = (record.equity[-1] - 1.0) * COSTLY.initial_equity
    assert record.trips["profit"].sum() == pytest.approx(change, abs=1e-7)
    assert (record.trips["end"] >= record.trips["start"]).all()
    assert len(record.trips) > 20


def test_without_costs_gross_and_net_are_the_same(tools):
    path = path_of(tools.walk(1))
    record = run_continuous(path, tools.scripted(path, 1), FREE, REWARD)
    assert np.allclose(record.gross, record.equity, rtol=0, atol=1e-12)


def test_costs_only_ever_cost(tools):
    path = path_of(tools.walk(2))
    policy = tools.scripted(path, 2)
    net = run_continuous(path, policy, COSTLY, REWARD)
    assert net.equity[-1] < net.gross[-1]
    assert (net.fee >= 0).all()
    assert (net.slippage >= 0).all()


def test_a_position_lives_through_the_night(tools):
    """Buy and hold over two days earns the move from the first fill to the last mark."""
    days = tools.walk(3)
    path = path_of(days)
    long = next(p for p in hold_baselines(Actions.of(FREE)) if p.name == "buy and hold")
    record = run_continuous(path, long, FREE, REWARD)
    bought = np.exp(path.arrays.fill_price[np.flatnonzero(~np.isnan(path.arrays.fill_price))[0]])
    first, last = np.exp(path.arrays.mark[[0, -1]])
    quantity = 1.0 / first  # sized at the decision's mark
    assert record.equity[-1] == pytest.approx(1.0 + quantity * (last - bought), abs=1e-9)
    assert record.traded.sum() == 1


@pytest.mark.parametrize("wish", [SHORT, LONG])
def test_a_position_that_is_open_at_the_end_is_worth_what_leaving_it_there_brings(tools, wish):
    """Held to the end, or closed at the very same last price: the same equity, costs and trip."""
    hold, leave = (
        path_of([tools.prices(100, 105, 110)]),
        path_of([tools.prices(100, 105, 110, 110)]),
    )
    kept = run_continuous(hold, tools.policy(hold, np.full(3, wish, np.uint8)), COSTLY, REWARD)
    actions = np.array([wish, wish, FLAT, FLAT], np.uint8)
    closed = run_continuous(leave, tools.policy(leave, actions), COSTLY, REWARD)
    for name in ("equity", "gross"):
        assert getattr(kept, name)[-1] == pytest.approx(getattr(closed, name)[-1], abs=1e-12)
    for name in ("fee", "slippage"):
        assert getattr(kept, name).sum() == pytest.approx(getattr(closed, name).sum(), abs=1e-12)
        assert getattr(kept, name)[-1] > 0.0
    assert kept.trips["profit"] == pytest.approx(closed.trips["profit"], abs=1e-9)
    assert kept.trips["closed"].tolist() == [False]
    assert kept.traded.sum() == 1  # the exit is a valuation, not an order


def test_a_flat_end_costs_nothing_more(tools):
    path = path_of([tools.prices(100, 105, 110, 120)])
    policy = tools.policy(path, np.array([LONG, FLAT, FLAT, FLAT], np.uint8))
    record = run_continuous(path, policy, COSTLY, REWARD)
    assert record.fee[-1] == 0.0
    assert record.equity[-1] == record.equity[-2]


def test_the_exit_slips_to_the_worse_tick():
    """Sold at 100 less 2 bp = 99.98, on a tick of 0.1: 99.9."""
    rules = Rules.of(TradingConfig(fee=0.001, slippage_bps=2.0, tick_size=0.1))
    fee, slippage, funding = exit_costs(3.0, np.log(100.0), rules)
    assert (fee, slippage, funding) == pytest.approx((0.001 * 3 * 99.9, 3 * 0.1, 0.0))
    bought = exit_costs(-3.0, np.log(100.0), rules)
    assert bought[:2] == pytest.approx((0.001 * 3 * 100.1, 3 * 0.1))


def test_episodes_are_independent_and_begin_flat(tools):
    """Every episode is what it would be alone; together they differ from one account."""
    path = path_of(tools.walk(4))
    policy = tools.scripted(path, 4)
    together = run_episodes(path, policy, COSTLY, REWARD)
    starts = episode_starts(path)
    assert [r.ts[0] for r in together] == path.arrays.ts[starts].tolist()
    for record, start in zip(together, starts, strict=True):
        simulator = Simulator(path, COSTLY, REWARD, lanes=1)
        simulator.reset(np.zeros(1, np.int64), np.array([start]))
        while not simulator.ended[0]:
            simulator.step(policy.actions[simulator.rows])
        alone = float(simulator.equity[0]) / COSTLY.initial_equity - leaving(simulator).sum()
        assert record.equity[-1] == pytest.approx(alone, abs=1e-12)
        assert record.trips["profit"].sum() == pytest.approx(
            (alone - 1.0) * COSTLY.initial_equity, abs=1e-7
        )
    assert len(np.concatenate([r.ts for r in together])) == path.startable.sum()


def test_a_continuous_run_of_one_episode_is_that_episode(tools):
    path = path_of([tools.prices(100, 101, 99, 103, 104)])
    policy = tools.scripted(path, 5, hold=1)
    whole = run_continuous(path, policy, COSTLY, REWARD)
    (alone,) = run_episodes(path, policy, COSTLY, REWARD)
    for name in ("ts", "equity", "gross", "position", "fee", "funding"):
        assert np.array_equal(getattr(whole, name), getattr(alone, name)), name


def test_a_run_stops_at_ruin(tools):
    crash = tools.prices(100, 100, 5, 5, 5, 5)
    path = path_of([crash])
    long = tools.policy(path, np.full(len(path), LONG, np.uint8))
    record = run_continuous(path, long, FREE, REWARD)
    assert len(record) == 2
    assert record.equity[-1] == pytest.approx(0.05)
    assert record.position[-1] == 0.0
    assert record.ruined


def test_ruin_over_a_gap_ends_the_run_and_shows_in_the_equity(tools):
    """A crash while nothing could be decided: the loss is in the record's last row."""
    mark = np.log(np.array([100, 100, 100, 5, 5, 5], np.float64))
    path = path_of([tools.segment(mark, mark.copy(), gaps=(2,))])
    long = tools.policy(path, np.full(len(path), LONG, np.uint8))
    record = run_continuous(path, long, FREE, REWARD)
    assert len(record) == 2
    assert record.equity[-1] == pytest.approx(0.05)
    assert record.position[-1] == 0.0
    assert record.trips["profit"].sum() == pytest.approx(-0.95 * FREE.initial_equity)
    assert record.ruined


def test_a_period_without_a_decision_is_an_error(tools):
    with pytest.raises(ApexError, match="no decision can be made in this period"):
        path_of([tools.prices(100)])
