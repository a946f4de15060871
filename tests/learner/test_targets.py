"""The target: double Q over n steps, potentials that telescope, weights that only scale down."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from learner.targets import double_q_target, normalised, q_loss, shaped_reward


def test_the_online_network_selects_and_the_target_network_values() -> None:
    q_t_selector = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]])
    q_t_value = torch.tensor([[10.0, 20.0, 99.0], [7.0, 99.0, 99.0]])
    target = double_q_target(
        torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.9]), q_t_value, q_t_selector
    )
    torch.testing.assert_close(target, torch.tensor([1 + 0.5 * 20, 2 + 0.9 * 7]))


def test_nothing_follows_termination() -> None:
    huge = torch.full((1, 3), 1e6)
    target = double_q_target(torch.tensor([0.25]), torch.zeros(1), huge, huge)
    assert target.item() == 0.25


def test_the_target_carries_no_gradient() -> None:
    q = torch.ones(2, 3, requires_grad=True)
    target = double_q_target(torch.ones(2), torch.ones(2), q, q)
    assert not target.requires_grad


@given(
    rewards=st.lists(st.floats(-1, 1), min_size=1, max_size=6),
    gamma=st.floats(0.5, 1.0),
    seed=st.integers(0, 99),
)
def test_potentials_telescope_over_the_steps(rewards: list[float], gamma: float, seed: int) -> None:
    n = len(rewards)
    phi = torch.rand(n + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    each = [r + gamma * phi[i + 1] - phi[i] for i, r in enumerate(rewards)]
    step_by_step = sum(gamma**i * term for i, term in enumerate(each))
    stored = sum(gamma**i * r for i, r in enumerate(rewards))
    at_the_ends = shaped_reward(
        torch.tensor([stored], dtype=torch.float64), torch.tensor([gamma**n]), phi[:1], phi[-1:]
    )
    torch.testing.assert_close(at_the_ends[0], torch.as_tensor(step_by_step), rtol=1e-6, atol=1e-6)


def test_a_terminal_state_has_no_potential() -> None:
    shaped = shaped_reward(
        torch.tensor([1.0]), torch.zeros(1), torch.tensor([0.3]), torch.tensor([1e9])
    )
    torch.testing.assert_close(shaped, torch.tensor([0.7]))


def test_the_loss_is_quadratic_near_the_target_and_linear_beyond_delta() -> None:
    q = torch.tensor([[0.5, 0.0], [0.0, 10.0]])
    result = q_loss(q, torch.tensor([0, 1]), torch.zeros(2), torch.ones(2), huber_delta=1.0)
    torch.testing.assert_close(result.loss, torch.tensor((0.5 * 0.25 + (10 - 0.5)) / 2))
    torch.testing.assert_close(result.td_error, torch.tensor([-0.5, -10.0]))


def test_only_the_action_taken_is_learnt() -> None:
    q = torch.zeros(2, 3, requires_grad=True)
    q_loss(q, torch.tensor([2, 0]), torch.ones(2), torch.ones(2), 1.0).loss.backward()
    assert q.grad is not None
    assert (q.grad != 0).tolist() == [[False, False, True], [True, False, False]]


@given(weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20), scale=st.floats(0.01, 100))
def test_importance_weights_only_scale_down_and_their_unit_does_not_matter(
    weights: list[float], scale: float
) -> None:
    weight = torch.tensor(weights)
    assert normalised(weight).max() == 1.0
    torch.testing.assert_close(normalised(weight * scale), normalised(weight))


def test_a_smaller_weight_learns_less() -> None:
    q = torch.zeros(2, 2, requires_grad=True)
    weight = torch.tensor([4.0, 1.0])
    q_loss(q, torch.zeros(2, dtype=torch.int64), torch.ones(2), weight, 10.0).loss.backward()
    assert q.grad is not None
    torch.testing.assert_close(q.grad[0, 0], 4 * q.grad[1, 0])


def test_a_shape_that_would_broadcast_is_an_error() -> None:
    column, row, q = torch.ones(3, 1), torch.ones(3), torch.ones(3, 2)
    with pytest.raises(ApexError, match="shapes differ"):
        shaped_reward(row, row, column, row)
    with pytest.raises(ApexError, match="shapes differ"):
        double_q_target(row, column, q, q)
    with pytest.raises(ApexError, match=r"expected \[B, A\]"):
        double_q_target(row, row, torch.ones(2, 2), torch.ones(2, 2))
    with pytest.raises(ApexError, match="shapes differ"):
        q_loss(q, torch.zeros(3, dtype=torch.int64), column, row, 1.0)
