"""The target: double Q over n steps, of one or several outcomes; weights that only scale down."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from learner.targets import double_q_target, normalised, q_loss


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


def test_each_outcome_has_a_target_of_its_own() -> None:
    """What holds for one outcome of a transition holds for each of several."""
    rng = torch.Generator().manual_seed(0)
    r_t, discount_t = torch.rand(4, 3, generator=rng), torch.rand(4, 3, generator=rng)
    value, selector = (torch.rand(4, 3, 3, generator=rng) for _ in range(2))
    whole = double_q_target(r_t, discount_t, value, selector)
    for k in range(3):
        own = double_q_target(r_t[:, k], discount_t[:, k], value[:, k], selector[:, k])
        torch.testing.assert_close(whole[:, k], own)


def test_the_loss_is_quadratic_near_the_target_and_linear_beyond_delta() -> None:
    q = torch.tensor([[0.5], [10.0]])
    result = q_loss(q, torch.zeros(2, 1), torch.ones(2), huber_delta=1.0)
    torch.testing.assert_close(result.loss, torch.tensor((0.5 * 0.25 + (10 - 0.5)) / 2))
    torch.testing.assert_close(result.td_error, torch.tensor([[-0.5], [-10.0]]))


def test_the_outcomes_of_a_transition_count_as_one() -> None:
    q = torch.tensor([[0.5, 0.0, -0.5], [0.25, 0.25, 0.25]])
    losses = [q_loss(q[:, k : k + 1], torch.zeros(2, 1), torch.ones(2), 1.0).loss for k in range(3)]
    whole = q_loss(q, torch.zeros(2, 3), torch.ones(2), 1.0).loss
    torch.testing.assert_close(whole, torch.stack(losses).mean())


@given(weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20), scale=st.floats(0.01, 100))
def test_importance_weights_only_scale_down_and_their_unit_does_not_matter(
    weights: list[float], scale: float
) -> None:
    weight = torch.tensor(weights)
    assert normalised(weight).max() == 1.0
    torch.testing.assert_close(normalised(weight * scale), normalised(weight))


def test_a_smaller_weight_learns_less() -> None:
    q = torch.zeros(2, 1, requires_grad=True)
    q_loss(q, torch.ones(2, 1), torch.tensor([4.0, 1.0]), 10.0).loss.backward()
    assert q.grad is not None
    torch.testing.assert_close(q.grad[0, 0], 4 * q.grad[1, 0])


def test_a_shape_that_would_broadcast_is_an_error() -> None:
    column, row, q = torch.ones(3, 1), torch.ones(3), torch.ones(3, 2)
    with pytest.raises(ApexError, match="shapes differ"):
        double_q_target(row, column, q, q)
    with pytest.raises(ApexError, match="one more dimension"):
        double_q_target(row, row, torch.ones(2, 2), torch.ones(2, 2))
    with pytest.raises(ApexError, match="shapes differ"):
        q_loss(q, column, row, 1.0)
    with pytest.raises(ApexError, match="one more dimension"):
        q_loss(row, row, row, 1.0)
