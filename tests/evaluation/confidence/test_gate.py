"""The gate only ever keeps an account out of a position; it never holds one in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.confidence.calibrators import Constant, Linear, Logistic
from apex_trader.evaluation.confidence.confidence import Belongs, Confidence, Fit
from apex_trader.evaluation.confidence.features import adds_risk
from apex_trader.evaluation.confidence.gate import GatedPolicy
from apex_trader.evaluation.confidence.orders import by_target
from apex_trader.evaluation.record import Record
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig
from tests.evaluation.confidence.conftest import Knowing, features_of, told_market

REWARD = RewardConfig()
SHORT, FLAT, LONG = 0, 1, 2


def confidence(slope: float = 3.0) -> Confidence:
    """Surer with more edge; of closing orders it is never sure at all."""
    entering = Logistic(Linear(0.0, (slope,), (0.5,), (1.0,)), 0.01)
    return Confidence(
        Fit(entering, {}, 1, 1), Fit(Constant(0.01, 0.01), {}, 1, 1), (),
        Belongs("step-000001", "", None, ""), {},
    )  # fmt: skip


class Drawn:
    """Random values at every row: every order from every position comes about."""

    name = "agent"

    def __init__(self, rows: int, actions: int, seed: int) -> None:
        self.q = np.random.default_rng(seed).normal(0.0, 2.0, (rows, actions)).astype(np.float32)

    def values(self, rows, accounts):  # type: ignore[no-untyped-def]
        return self.q[rows]

    def act(self, rows, accounts, positions):  # type: ignore[no-untyped-def]
        return self.q[rows].argmax(1).astype(np.uint8)


def gated(agent, path, trading, gate, sure=None) -> GatedPolicy:  # type: ignore[no-untyped-def]
    sigma = np.asarray(path.arrays["sigma_decision"])
    return GatedPolicy(agent, sure or confidence(), features_of(trading), sigma, gate)


def same_account(one: Record, other: Record) -> bool:
    columns = ("ts", "position", "equity", "gross", "fee", "slippage", "funding", "traded")
    return all(np.array_equal(getattr(one, c), getattr(other, c)) for c in columns)


@pytest.mark.parametrize("action_set", ["target", "sell_buy"])
@pytest.mark.parametrize("instrument", ["perpetual", "spot"])
def test_a_gate_of_nothing_changes_nothing(action_set, instrument):
    trading = TradingConfig(fee=0.0002, action_set=action_set, instrument=instrument)
    path, _, _ = told_market(0, 2, 1.0)
    agent = Drawn(len(path), Actions.of(trading).size, 0)
    policy = gated(agent, path, trading, 0.0)
    own = run_continuous(path, agent, trading, REWARD)
    assert same_account(run_continuous(path, policy, by_target(trading), REWARD), own)
    assert policy.asked == policy.passed > 50
    assert own.traded.sum() > 100


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0.0, 1.0),
    st.sampled_from(["target", "sell_buy"]),
    st.sampled_from(["perpetual", "spot"]),
)
def test_the_gate_lets_close_refuses_to_flat_and_never_adds_risk(seed, gate, action_set, kind):
    trading = TradingConfig(action_set=action_set, instrument=kind)
    path, _, _ = told_market(0, 1, 0.0, rows=40)
    agent = Drawn(40, Actions.of(trading).size, seed)
    rng = np.random.default_rng(seed)
    rows = np.arange(40)
    positions = rng.integers(0 if kind == "spot" else -1, 2, 40)
    accounts = np.zeros((40, 8), np.float32)
    policy = gated(agent, path, trading, gate)
    asked, sure = policy.decide(rows, accounts, positions)
    done = policy.act(rows, accounts, positions).astype(int) - 1
    adds = adds_risk(positions, asked)
    assert (np.abs(done) <= np.abs(asked)).all()
    assert (done[~adds] == asked[~adds]).all()
    assert (done[adds & (sure >= gate)] == asked[adds & (sure >= gate)]).all()
    assert (done[adds & (sure < gate)] == 0).all()
    assert np.isnan(sure[asked == positions]).all()


def test_closing_is_never_blocked_however_unsure():
    """Confidence in every closing order is 0.01, the gate is 1: the agent still gets out."""
    trading = TradingConfig()
    path, _, _ = told_market(0, 1, 0.0, rows=40)
    agent = Drawn(40, 3, 1)
    agent.q[:] = [0.0, 1.0, 0.0]
    policy = gated(agent, path, trading, 1.0)
    held = np.array([-1, 1, 0])
    assert policy.act(np.arange(3), np.zeros((3, 8), np.float32), held).tolist() == [FLAT] * 3


def test_a_flip_that_is_refused_closes():
    trading = TradingConfig()
    path, _, _ = told_market(0, 1, 0.0, rows=40)
    agent = Drawn(40, 3, 1)
    agent.q[:] = [1e-6, 0.0, 0.0]
    policy = gated(agent, path, trading, 0.9)
    assert policy.act(np.arange(1), np.zeros((1, 8), np.float32), np.array([1])).tolist() == [FLAT]
    assert (policy.asked, policy.passed) == (1, 0)
    lenient = gated(agent, path, trading, 0.1)
    assert lenient.act(np.arange(1), np.zeros((1, 8), np.float32), np.array([1])).tolist() == [0]


def test_a_higher_gate_enters_less_and_holds_less():
    trading = TradingConfig(fee=0.0001)
    path, forecast, _ = told_market(3, 3, 1.5)
    agent = Knowing(forecast, trading)
    held, entered = [], []
    for gate in (0.0, 0.5, 0.8, 1.0):
        record = run_continuous(path, gated(agent, path, trading, gate), trading, REWARD)
        held.append(np.abs(record.position).mean())
        entered.append((np.diff(np.abs(record.position), prepend=0.0) > 0).sum())
    assert held == sorted(held, reverse=True)
    assert held[0] > held[2] > held[3] == 0.0
    assert entered[0] > 0 == entered[-1]


def test_the_mirrored_market_is_decided_on_with_the_same_confidence():
    trading = TradingConfig(fee=0.0001)
    path, forecast, _ = told_market(4, 1, 1.0)
    rows = np.flatnonzero(path.startable)
    rng = np.random.default_rng(0)
    positions = rng.integers(-1, 2, len(rows))
    accounts = np.zeros((len(rows), 8), np.float32)
    accounts[:, 0] = positions
    mirrored = accounts * np.array([-1, 1, 1, 1, 1, 1, 1, 1], np.float32)
    one = gated(Knowing(forecast, trading), path, trading, 0.7)
    other = gated(Knowing(-forecast, trading), path, trading, 0.7)
    targets, sure = one.decide(rows, accounts, positions)
    turned, as_sure = other.decide(rows, mirrored, -positions)
    assert np.array_equal(targets, -turned)
    assert np.array_equal(sure, as_sure, equal_nan=True)
    assert np.isfinite(sure).sum() > 50
