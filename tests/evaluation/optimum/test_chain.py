"""The average-reward programme finds the best policy of a chain, at any cost and action set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from apex_trader.evaluation.optimum.chain import Costs, Signal, _evaluate, solve
from apex_trader.trading.config import TradingConfig

UP_DOWN = sparse.csr_matrix(np.array([[0.0, 1.0], [1.0, 0.0]]))


def costs(fee: float, action_set: str = "target", **options: object) -> Costs:
    return Costs.of(TradingConfig(fee=fee, action_set=action_set, **options))


def swings(move: float, seen: float = 1.0) -> Signal:
    """The price rises and falls by turns; an order catches a share of its interval's move."""
    whole = np.array([move, -move])
    return Signal(UP_DOWN, whole, seen * whole)


def test_turning_at_every_swing_earns_the_swing_less_two_legs() -> None:
    assert solve(swings(1e-3), costs(2e-4), 0.0).gain == pytest.approx(1e-3 - 4e-4, abs=1e-12)


def test_swings_that_do_not_pay_are_left_alone() -> None:
    assert solve(swings(3e-4), costs(2e-4), 0.0).gain == pytest.approx(0.0, abs=1e-11)


def test_a_late_order_earns_what_is_left_behind_its_fill() -> None:
    """Held into the swing it loses the part before the fill, behind it gains the rest."""
    assert solve(swings(1e-3, 0.8), costs(2e-4), 0.0).gain == pytest.approx(6e-4 - 4e-4, abs=1e-12)


def test_two_actions_cannot_turn_at_once() -> None:
    """sell_buy closes first: each swing costs one leg, and earns half of the time."""
    both = solve(swings(1e-3), costs(1e-4, "sell_buy"), 0.0)
    assert both.gain == pytest.approx(5e-4 - 1e-4, abs=1e-12)
    spot = solve(swings(1e-3), costs(1e-4, "target", instrument="spot"), 0.0)
    assert spot.gain == pytest.approx(5e-4 - 1e-4, abs=1e-12)


def test_orders_that_never_fill_earn_nothing() -> None:
    assert solve(swings(1e-3), costs(2e-4), 1.0).gain == pytest.approx(0.0, abs=1e-11)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    fee=st.floats(0.0, 1e-3),
    unfilled=st.floats(0.0, 0.5),
    action_set=st.sampled_from(["target", "sell_buy"]),
)
def test_no_other_policy_of_the_chain_earns_more(seed, fee, unfilled, action_set) -> None:
    rng = np.random.default_rng(seed)
    n = 6
    table = rng.dirichlet(np.full(n, 0.5), n)
    whole = rng.normal(0.0, 5e-4, n)
    signal = Signal(sparse.csr_matrix(table), whole, rng.uniform(0.5, 1.0) * whole)
    paid = costs(fee, action_set)
    best = solve(signal, paid, unfilled).gain
    for _ in range(10):
        chosen = np.stack(
            [[rng.choice(np.flatnonzero(row)) for row in paid.allowed()] for _ in range(n)]
        )
        assert _evaluate(signal, chosen, paid, unfilled)[0] <= best + 1e-9
