"""The simulator: whole episodes, no look-ahead, the mirror; lanes do not touch one another."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, MismatchError
from apex_trader.time import DAY, SECOND
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.rewards import TERMS
from apex_trader.trading.simulator import Simulator, Step, movement_flags

FIVE = 5 * SECOND


def run(simulator: Simulator, actions: np.ndarray) -> list[Step]:
    """Steps [n, L] actions from rows 0."""
    lanes = np.arange(simulator.lanes)
    simulator.reset(lanes, np.zeros(simulator.lanes, np.int64))
    return [simulator.step(row, idle=True) for row in actions]


def random_actions(seed: int, steps: int, lanes: int, size: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, size, (steps, lanes))


def one_lane(make, *, fill_delay=SECOND, actions=(2, 2, 2), config=None, reward=None, **walk):
    path = MarketPath.from_segments([make.walk(fill_delay=fill_delay, **walk)])
    simulator = Simulator(path, config or TradingConfig(), reward or RewardConfig())
    return simulator, run(simulator, np.array(actions)[:, None])


def test_an_episode_that_reaches_the_days_end_is_truncated_not_terminated(make):
    simulator, steps = one_lane(make, rows=4)
    assert [bool(s.truncated[0]) for s in steps] == [False, False, True]
    assert not any(s.terminated[0] for s in steps)
    assert simulator.ended[0]
    with pytest.raises(ApexError, match="reset them"):
        simulator.step(np.array([1]))


def test_no_transition_crosses_a_gap(make):
    _, steps = one_lane(make, rows=10, gaps=(2,), actions=(2, 2))
    assert steps[-1].truncated[0]
    assert steps[-1].next_row[0] == 2


def test_only_ruin_terminates(make):
    mark = np.array([0.0, 0.0, -4.0, -4.0])
    path = MarketPath.from_segments([make.segment(mark, mark.copy())])
    simulator = Simulator(path, TradingConfig(ruin_fraction=0.1))
    first, second = run(simulator, np.array([[2], [2]]))
    assert not first.ended[0]
    assert second.terminated[0]
    assert not second.truncated[0]
    assert simulator.position[0] == 0


def test_equity_is_what_profits_and_costs_make_it(make):
    path = MarketPath.from_segments([make.walk(seed=3, rows=200, level=7.0, unfilled=0.1)])
    config = TradingConfig(slippage_bps=0.5, lot_size=0.001, tick_size=0.01, min_notional=5.0)
    simulator = Simulator(path, config, lanes=8)
    steps = run(simulator, random_actions(3, 199, 8))
    change = sum(s.pnl - s.costs.sum(1) for s in steps)
    np.testing.assert_allclose(
        simulator.equity, 10_000.0 + change, rtol=0, atol=1e-9 * config.initial_equity
    )
    np.testing.assert_array_equal(steps[-1].equity, simulator.equity)


def test_an_order_that_is_not_filled_keeps_the_position(make):
    mark = np.zeros(4)
    fill = np.array([np.nan, 0.0, np.nan, 0.0])
    path = MarketPath.from_segments([make.segment(mark, fill)])
    simulator = Simulator(path)
    simulator.reset(np.array([0]), np.array([0]))
    seen = []
    for action in (2, 2, 0):
        step = simulator.step(np.array([action]))
        seen.append((int(simulator.position[0]), bool(step.traded[0])))
    assert seen == [(0, False), (1, True), (1, False)]


def test_the_reward_is_the_sum_of_its_terms_and_every_weight_may_be_zero(make):
    walk = make.walk(rows=100)
    path = MarketPath.from_segments([walk])
    actions = random_actions(0, 99, 4)
    steps = run(Simulator(path, lanes=4), actions)
    for step in steps:
        np.testing.assert_allclose(step.reward, step.terms.sum(1), atol=1e-15)
    names = ("core", "frequency", "risk", "duration", "pivot_bonus")
    nothing = RewardConfig(**dict.fromkeys(names, 0.0))
    assert not any(s.reward.any() for s in run(Simulator(path, None, nothing, lanes=4), actions))
    for name, term in zip(names[:4], TERMS, strict=False):
        only = Simulator(path, None, replace(nothing, **{name: 1e-4}), lanes=4)
        total = np.abs(np.stack([s.terms for s in run(only, actions)])).sum((0, 1))
        assert total[TERMS.index(term)] > 0
        assert (np.delete(total, TERMS.index(term)) == 0).all()


def test_the_core_adds_up_to_the_log_return_of_a_held_position(make):
    config = TradingConfig(fee=0.001, funding=False)
    walk = make.walk(seed=5, rows=60)
    _, steps = one_lane(make, seed=5, rows=60, config=config, actions=(0,) * 59)
    total = sum(s.terms[0, 0] for s in steps) / RewardConfig().scale
    move = walk.decisions.mark[-1] - walk.outcomes.fill[0]
    assert total == pytest.approx(-move - 0.001, abs=1e-12)


def test_every_term_follows_from_what_the_states_before_and_after_show(make):
    """Rate, moments and choppiness are in the account's features: the reward is Markov in them."""
    chop = np.random.default_rng(1).random(200)
    segment = make.walk(seed=1, rows=200, choppiness=chop)
    trading = TradingConfig(trade_allowance=20.0)
    reward = RewardConfig(frequency=1e-3, risk=1e-3, choppy_factor=2.0)
    path = MarketPath.from_segments([segment])
    sigma = path.arrays.sigma_decision
    actions = np.repeat(random_actions(1, 67, 8), 3, axis=0)[:199]
    used = 0
    for step in run(Simulator(path, trading, reward, lanes=8), actions):
        before, after = step.account.astype(np.float64), step.next_account.astype(np.float64)
        excess = np.maximum(after[:, 3] - 1.0, 0.0)
        frequency = -(excess**2) * (1.0 + 2.0 * chop[step.row])
        np.testing.assert_allclose(step.terms[:, 1], frequency, rtol=1e-5, atol=1e-6)
        core = step.terms[:, 0] / reward.scale
        deviation = before[:, 5] * sigma[step.row]
        mean = before[:, 4] * deviation
        variance = np.maximum(deviation, sigma[step.row]) ** 2
        second = mean**2 + variance
        ratio = (second * (core - mean) - 0.5 * mean * (core**2 - second)) / variance**1.5
        np.testing.assert_allclose(step.terms[:, 2], ratio, rtol=1e-4, atol=1e-5)
        used += (excess > 0).sum()
    assert used > 100


@pytest.mark.parametrize("delay", [SECOND, FIVE])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), row=st.integers(1, 38))
def test_nothing_at_or_after_a_decision_changes_its_account_features(make, delay, seed, row):
    """Bars fill at the next decision's own time (delay FIVE): still nothing of it is known."""
    segment = make.walk(seed=seed, rows=40, fill_delay=delay)
    now = segment.decisions.ts[row]
    garbage = np.random.default_rng(seed)
    mark, fill = segment.decisions.mark.copy(), segment.outcomes.fill.copy()
    mark[row + 1 :] += garbage.normal(0, 0.1, len(mark) - row - 1)
    late = segment.outcomes.fill_ts >= now
    fill[late] += garbage.normal(0, 0.1, late.sum())
    paid_from = segment.decisions.ts + FIVE >= now
    funding = np.where(paid_from, 0.01, 0.0).astype(np.float32)
    poisoned = replace(
        segment,
        decisions=replace(segment.decisions, mark=mark),
        outcomes=replace(segment.outcomes, fill=fill, funding=funding),
    )
    actions = random_actions(seed, row, 3)
    seen = []
    for market in (segment, poisoned):
        simulator = Simulator(MarketPath.from_segments([market]), lanes=3)
        seen.append([s.next_account for s in run(simulator, actions)])
    np.testing.assert_array_equal(seen[0], seen[1])


@pytest.mark.parametrize("action_set", ["target", "sell_buy"])
@pytest.mark.parametrize("delay", [SECOND, FIVE])
def test_the_mirrored_market_with_mirrored_actions_gives_the_same_stored_rewards(
    make, action_set, delay
):
    rng = np.random.default_rng(7)
    funding = np.where(np.arange(300) % 50 == 9, 1e-4, 0.0)
    events = make.events([(r, 2 + r % 4, 1 - 2 * (r % 2), r - 60) for r in range(70, 290, 3)])
    segment = make.walk(seed=7, rows=300, fill_delay=delay, unfilled=0.1, funding=funding,
                        events=events, choppiness=rng.random(300))  # fmt: skip
    config = TradingConfig(action_set=action_set, slippage_bps=0.5)
    reward = RewardConfig(frequency=1e-4, risk=1e-4, duration=1e-4, pivot_bonus=1e-4)
    up = Simulator(MarketPath.from_segments([segment]), config, reward, lanes=16)
    down = Simulator(MarketPath.from_segments([make.mirrored(segment)]), config, reward, lanes=16)
    actions = random_actions(8, 299, 16, up.actions.size)
    terms = np.zeros(len(TERMS))
    for one, image in zip(run(up, actions), run(down, up.actions.mirror[actions]), strict=True):
        np.testing.assert_array_equal(one.terms, image.terms)
        np.testing.assert_array_equal(one.next_account[:, 1:], image.next_account[:, 1:])
        np.testing.assert_array_equal(one.next_account[:, 0], -image.next_account[:, 0])
        np.testing.assert_array_equal(one.profit, image.profit)
        terms += np.abs(one.terms).sum(0)
    assert (terms > 0).all()


def test_the_mirror_holds_to_rounding_at_real_price_levels(make):
    segment = make.walk(seed=9, rows=200, level=7.9)
    image = make.mirrored(segment)
    shift = replace(
        image,
        decisions=replace(image.decisions, mark=image.decisions.mark + 15.8),
        outcomes=replace(image.outcomes, fill=image.outcomes.fill + 15.8),
    )
    actions = random_actions(9, 199, 8)
    up = run(Simulator(MarketPath.from_segments([segment]), lanes=8), actions)
    down = run(Simulator(MarketPath.from_segments([shift]), lanes=8), 2 - actions)
    for one, other in zip(up, down, strict=True):
        np.testing.assert_allclose(one.reward, other.reward, atol=1e-9)
        mirror = [-1, 1, 1, 1, 1, 1, 1, 1]
        np.testing.assert_allclose(one.next_account, other.next_account * mirror, atol=1e-5)


def test_a_confirmed_pivot_pays_the_position_that_was_held_when_its_bar_closed(make):
    # The bar of the low opens at row 2 and closes at row 14; the state knows it from row 30 on.
    events = make.events([(30, 3, -1, 2)])
    reward = RewardConfig(scale=1.0, pivot_bonus=0.5, pivot_level_weights=(1.0, 3.0, 1.0, 1.0))
    path = MarketPath.from_segments([make.walk(rows=60, events=events)])
    simulator = Simulator(path, None, reward, lanes=4)
    actions = np.ones((40, 4), np.int64)
    actions[13:20, 0] = 2  # long at row 14: right
    actions[:13, 1] = 2  # long until row 13 only
    actions[:40, 2] = 0  # short: wrong
    steps = run(simulator, actions)
    paid = np.stack([s.terms[:, TERMS.index("pivot")] for s in steps])
    assert paid[29, 0] == pytest.approx(1.5)
    paid[29, 0] = 0.0
    assert not paid.any()


def test_a_lane_that_began_after_the_pivot_gets_nothing_for_it(make):
    events = make.events([(30, 3, -1, 2)])
    path = MarketPath.from_segments([make.walk(rows=60, events=events)])
    simulator = Simulator(path)
    simulator.reset(np.array([0]), np.array([0]))
    for _ in range(20):
        simulator.step(np.array([2]))
    simulator.reset(np.array([0]), np.array([16]))
    paid = [simulator.step(np.array([2])).terms[0, TERMS.index("pivot")] for _ in range(20)]
    assert not np.any(paid)


def test_lanes_do_not_touch_one_another(make):
    path = MarketPath.from_segments([make.walk(seed=4, rows=80, unfilled=0.2)])
    actions = random_actions(4, 79, 5)
    together = run(Simulator(path, lanes=5), actions)
    for lane in range(5):
        alone = run(Simulator(path), actions[:, lane : lane + 1])
        for one, all_lanes in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one.reward[0], all_lanes.reward[lane])
            np.testing.assert_array_equal(one.next_account[0], all_lanes.next_account[lane])


def test_ended_lanes_idle_when_asked_to(make):
    path = MarketPath.from_segments([make.walk(rows=6)])
    simulator = Simulator(path, lanes=2)
    simulator.reset(np.array([0, 1]), np.array([0, 3]))
    for _ in range(2):
        step = simulator.step(np.array([2, 2]))
    assert step.ended.tolist() == [False, True]
    equity = simulator.equity[1]
    with pytest.raises(ApexError, match="have ended"):
        simulator.step(np.array([2, 2]))
    idle = simulator.step(np.array([2, 0]), idle=True)
    assert idle.active.tolist() == [True, False]
    assert idle.reward[1] == 0.0
    assert idle.next_row[1] == idle.row[1] == 5
    assert not idle.ended[1]
    assert simulator.equity[1] == equity


def test_account_features_before_a_step_are_those_after_the_one_before(make):
    simulator, steps = one_lane(make, rows=30, actions=(2, 2, 0, 1, 0, 0))
    for before, after in itertools.pairwise(steps):
        np.testing.assert_array_equal(before.next_account, after.account)
    np.testing.assert_array_equal(simulator.features(), steps[-1].next_account)
    given_away = steps[-1].next_account
    given_away[:] = 9.0
    assert simulator.features().max() <= 5.0


def test_a_winning_round_trip_is_flagged_net_of_its_costs(make):
    mark = np.array([0.0, 0.0, 0.0003, 0.0003, 0.0003, 0.0015, 0.0015])
    path = MarketPath.from_segments([make.segment(mark, mark.copy())])
    simulator = Simulator(path, TradingConfig(fee=0.0002))
    steps = run(simulator, np.array([[2], [2], [1], [2], [2], [1]]))
    assert [bool(s.profit[0]) for s in steps] == [False, False, False, False, False, True]


def test_spot_never_goes_short(make):
    path = MarketPath.from_segments([make.walk(rows=60, level=7.0)])
    config = TradingConfig(instrument="spot")
    simulator = Simulator(path, config, lanes=4)
    simulator.reset(np.arange(4), np.zeros(4, np.int64))
    for actions in random_actions(2, 59, 4):
        step = simulator.step(actions)
        assert (simulator.position >= 0).all()
        assert (step.costs[:, 2] == 0).all()


def test_a_backtests_account_is_carried_over_gaps_and_days(make):
    one = make.walk(seed=1, rows=5, level=7.0, funding=np.array([0, 0, 0, 0, 1e-3]))
    two = make.walk(seed=2, rows=5, level=7.1, day=make.day + DAY)
    path = MarketPath.from_segments([one, two])
    simulator = Simulator(path)
    steps = run(simulator, np.array([[2]] * 4))
    before, quantity = simulator.equity[0], simulator.ledger.quantity[0]
    pnl = simulator.carry(np.array([0]), np.array([5]))
    jump = np.exp(two.decisions.mark[0]) - np.exp(one.decisions.mark[-1])
    midnight = quantity * np.exp(two.decisions.mark[0]) * 1e-3
    assert pnl[0] == pytest.approx(quantity * jump - midnight, rel=1e-6)
    assert simulator.equity[0] == pytest.approx(before + pnl[0])
    assert simulator.position[0] == 1
    assert steps[-1].truncated[0]
    assert not simulator.step(np.array([2])).ended[0]
    with pytest.raises(ApexError, match="forward"):
        simulator.carry(np.array([0]), np.array([0]))


def test_a_position_pays_the_funding_of_the_whole_gap_that_it_is_carried_over(make):
    paid = np.array([0, 0, 0, 1e-4, 2e-4, 4e-4, 0, 8e-4, 0, 0])
    path = MarketPath.from_segments(
        [make.walk(seed=3, rows=10, level=7.0, gaps=(3,), funding=paid)]
    )
    simulator = Simulator(path)
    run(simulator, np.array([[2]] * 3))
    quantity = simulator.ledger.quantity[0]
    pnl = simulator.carry(np.array([0]), np.array([7]))
    price = np.exp(path.arrays.mark[[3, 7]])
    funding = quantity * price[1] * (1e-4 + 2e-4 + 4e-4)  # rows 3 to 6; row 7 pays when it is left
    assert pnl[0] == pytest.approx(quantity * (price[1] - price[0]) - funding, rel=1e-6)
    assert simulator.ledger.paid[0] == pytest.approx(funding, rel=1e-6)


def test_a_saved_simulator_goes_on_with_the_same_bits(make):
    events = make.events([(40, 3, -1, 2)])
    path = MarketPath.from_segments([make.walk(rows=80, events=events, fill_delay=FIVE)])
    actions = random_actions(6, 79, 3)
    simulator = Simulator(path, lanes=3)
    whole = run(simulator, actions)
    run(simulator, actions[:30])
    other = Simulator(path, lanes=3)
    other.load_state_dict(simulator.state_dict())
    for row, expected in zip(actions[30:], whole[30:], strict=True):
        step = other.step(row)
        np.testing.assert_array_equal(step.terms, expected.terms)
        np.testing.assert_array_equal(step.next_account, expected.next_account)
        np.testing.assert_array_equal(step.equity, expected.equity)


def test_a_state_of_other_segments_or_lanes_is_refused(make):
    path = MarketPath.from_segments([make.walk(rows=20)])
    saved = Simulator(path, lanes=2).state_dict()
    other = MarketPath.from_segments([make.walk(rows=20, day=make.day + DAY)])
    with pytest.raises(MismatchError, match="other segments"):
        Simulator(other, lanes=2).load_state_dict(saved)
    with pytest.raises(MismatchError, match="number of lanes"):
        Simulator(path, lanes=3).load_state_dict(saved)


def test_what_cannot_be_done_is_refused(make):
    path = MarketPath.from_segments([make.walk(rows=20)])
    simulator = Simulator(path, lanes=2)
    for row in (19, 20, -1):
        with pytest.raises(ApexError, match="startable"):
            simulator.reset(np.array([0]), np.array([row]))
    simulator.reset(np.array([0, 1]), np.array([0, 0]))
    for actions in ([0, 3], [0, -1], [0]):
        with pytest.raises(ApexError, match="short, flat, long"):
            simulator.step(np.array(actions))
    with pytest.raises(ApexError, match="at least one lane"):
        Simulator(path, lanes=0)


def test_large_moves_are_measured_against_the_volatility_known_at_their_start(make):
    mark = np.array([0.0, 0.0, 0.0007, 0.0, -0.0013])
    path = MarketPath.from_segments([make.segment(mark, mark.copy(), sigma=2e-4)])
    row, after = np.array([0, 1, 0, 0]), np.array([1, 2, 4, 4])
    flags = movement_flags(path, row, after, np.array([1, 1, 3, 9]), threshold=3.0)
    assert flags.tolist() == [False, True, True, False]
