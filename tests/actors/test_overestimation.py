"""Predicted against realised: a network whose Q is known, on a market whose rewards are known."""

import numpy as np
import pytest
import torch
from torch import nn

from actors.evaluation import Evaluator
from actors.overestimation import discounted
from apex_trader.evaluation.backtest import episode_starts, path_of
from apex_trader.state.gather import gather
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.simulator import Simulator

GAMMA = 0.9
#: Decisions left from which on a tail is known: the least whole number from 3 / (1 − γ) on.
LEFT = 30
REWARD = RewardConfig(pivot_potential=3e-4, cnn_potential=2e-4)
TRADING = TradingConfig()


class Known(nn.Module):
    """Short, flat and long are worth −3, 0 and 3 times a price feature of the moment, less what a
    change of position loses, and ``level`` more."""

    def __init__(self, level=0.0):
        super().__init__()
        self.register_buffer("level", torch.tensor(level))
        self.encoder = nn.Linear(1, 1)
        self.encoder.width = 1

    def encode(self, state):
        return state[:, 4:5]

    def q(self, z, account):
        side = torch.tensor([-1.0, 0.0, 1.0])
        return 3.0 * z * side - (side - account[:, :1]).abs() + self.level


class Bull(Known):
    """Is long and says so, whatever comes."""

    def q(self, z, account):
        return z * 0.0 + torch.tensor([0.0, 1.0, 2.0])


@pytest.fixture(scope="module")
def judge(make_segment, make_market):
    """judge(network, gamma, …): figures on two days of one market."""

    def run(network, gamma=GAMMA, trading=TRADING, **options):
        segments = [make_segment(day, **options) for day in range(2)]
        tables = make_market(**options).tables
        evaluator = Evaluator(segments, tables, network, trading, REWARD, gamma)
        return evaluator.evaluate(network.state_dict(), updates=1)

    return run


def potential(tables, row, position):
    """Φ in reward units, written out: the trend, and direction · confidence of four horizons."""
    start = tables.schema.offsets["cnn_predictions"].start
    with torch.inference_mode():
        state = gather_row(tables, row)[start : start + 16]
    said = np.mean([state[4 * h] * state[4 * h + 1] for h in range(4)])
    trend = float(tables.trend[row])
    weights = REWARD.pivot_potential, REWARD.cnn_potential
    return REWARD.scale * position * (weights[0] * trend + weights[1] * said)


def gather_row(tables, row):
    """The market part of a state."""
    return gather(tables, torch.tensor([row]))[0].numpy().astype(np.float64)


def lived(path, tables, network, start, trading=TRADING):
    """One account stepped by itself: (Q of each action, reward, Φ before it), and if it ended in
    ruin."""
    simulator = Simulator(path, trading, REWARD, lanes=1)
    simulator.reset(np.array([0]), np.array([start]))
    steps, step = [], None
    while not simulator.ended[0]:
        row, account = int(simulator.rows[0]), simulator.features()
        state = torch.from_numpy(gather_row(tables, row)).float()[None]
        q = network.q(network.encode(state), torch.from_numpy(account))[0].numpy()
        phi = potential(tables, row, float(account[0, 0]))
        step = simulator.step(np.array([q.argmax()], np.uint8))
        steps.append((float(q.max()), float(step.reward[0]), phi))
    return steps, bool(step.terminated[0])


def brute_force(path, tables, network, gamma=GAMMA, left=LEFT, trading=TRADING):
    """(mean predicted, mean realised): every sum written out, decision by decision."""
    predicted, realised = [], []
    for start in episode_starts(path):
        steps, ruined = lived(path, tables, network, start, trading)
        for t in range(len(steps)):
            if ruined or len(steps) - t >= left:
                later = [gamma**k * steps[t + k][1] for k in range(len(steps) - t)]
                predicted.append(steps[t][0])
                realised.append(sum(later) - steps[t][2])
    return np.mean(predicted), np.mean(realised)


def test_what_is_realised_is_the_discounted_sum_of_the_learners_own_reward(
    judge, make_segment, make_market
):
    path, tables = path_of([make_segment(0), make_segment(1)]), make_market().tables
    predicted, realised = brute_force(path, tables, Known())
    found = judge(Known())
    assert found["eval/q_predicted"] == pytest.approx(predicted, rel=1e-5)
    assert found["eval/q_realised"] == pytest.approx(realised, rel=1e-5)
    assert found["eval/q_overestimation"] == pytest.approx(predicted - realised, rel=1e-5)
    assert abs(realised) > 1e-3


@pytest.mark.parametrize("level", [7.5, -2.0])
def test_a_constant_added_to_q_is_reported_as_overestimated_by_that_constant(judge, level):
    plain, moved = judge(Known()), judge(Known(level))
    assert moved["eval/q_realised"] == plain["eval/q_realised"]
    difference = moved["eval/q_overestimation"] - plain["eval/q_overestimation"]
    assert difference == pytest.approx(level, abs=1e-4)


def test_episodes_too_short_for_the_discount_are_not_compared(judge):
    """Their tails are unknown; without a discount every tail is."""
    for gamma in (0.97, 1.0):  # 100 decisions, and no end
        assert not [name for name in judge(Known(), gamma) if name.startswith("eval/q_")]
    assert "eval/q_realised" in judge(Known(), gamma=0.957)  # 69.8 decisions, of 70


def test_behind_ruin_there_is_nothing_to_wait_for(judge, make_segment, make_market):
    """All decisions of an account that is liquidated count, however few: γ = 0.97 asks for 100."""
    trading = TradingConfig(exposure=3.0)
    path = path_of([make_segment(day, drop=40) for day in range(2)])
    tables = make_market(drop=40).tables
    ends = [lived(path, tables, Bull(), s, trading)[1] for s in episode_starts(path)]
    assert any(ends)
    predicted, realised = brute_force(path, tables, Bull(), 0.97, 100, trading)
    found = judge(Bull(), 0.97, trading, drop=40)
    assert found["eval/q_predicted"] == pytest.approx(predicted, rel=1e-5)
    assert found["eval/q_realised"] == pytest.approx(realised, rel=1e-4)
    assert found["eval/q_overestimation"] > 0


def test_a_discounted_sum_counts_the_present_whole():
    np.testing.assert_allclose(discounted(np.array([1.0, 2.0, 4.0]), 0.5), [3.0, 4.0, 4.0])
    np.testing.assert_array_equal(discounted(np.array([1.0, 2.0]), 0.0), [1.0, 2.0])
