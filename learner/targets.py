"""The learning target: double Q over n steps, with potentials added when the batch is gathered.

Time index as in Sutton & Barto (2018): ``_tm1`` is where a transition starts, ``_t`` where it
ends, n decisions later. B = transitions, A = actions, K = outcomes of a transition: 1 or A.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from apex_trader.errors import ApexError


class QLoss(NamedTuple):
    """loss []: what is minimised. td_error [B, K]: target − Q, without gradient."""

    loss: Tensor
    td_error: Tensor


def double_q_target(
    r_t: Tensor, discount_t: Tensor, q_t_value: Tensor, q_t_selector: Tensor
) -> Tensor:
    """[…] target ``r + discount·Q_target(s_n, argmax Q_online(s_n))`` (van Hasselt et al. 2016).

    r_t, discount_t […]. q_t_value […, A]: the target network's values. q_t_selector […, A]: the
    online network's. The target never carries a gradient.
    """
    _same_shape("double_q_target", r_t, discount_t)
    _same_shape("double_q_target", q_t_value, q_t_selector)
    _rows_of("double_q_target", q_t_value, r_t)
    a_t = q_t_selector.argmax(dim=-1, keepdim=True)
    return (r_t + discount_t * q_t_value.gather(-1, a_t).squeeze(-1)).detach()


def q_loss(q: Tensor, target: Tensor, weight: Tensor, huber_delta: float) -> QLoss:
    """Huber loss of values against their targets, each transition times its importance weight.

    q, target [B, K]: of the action taken (K = 1), or of every action, whose mean counts. weight
    [B]: importance weights, divided here by the batch's largest so that they only ever scale
    updates down (Schaul et al. 2016, section 3.4).
    """
    _same_shape("q_loss", q, target)
    _rows_of("q_loss", q, weight)
    loss = functional.huber_loss(q, target, reduction="none", delta=huber_delta).mean(1)
    return QLoss((loss * normalised(weight)).mean(), (target - q).detach())


def normalised(weight: Tensor) -> Tensor:
    """[B] weights divided by their largest."""
    return weight / weight.max()


def _same_shape(where: str, first: Tensor, *others: Tensor) -> None:
    # A silent broadcast of [B] against [B, 1] would train on a [B, B] matrix.
    for other in others:
        if other.shape != first.shape:
            shapes = [tuple(x.shape) for x in (first, *others)]
            raise ApexError(f"{where}: shapes differ, {shapes}; all must be equal")


def _rows_of(where: str, values: Tensor, per_row: Tensor) -> None:
    if values.dim() < 2 or values.shape[:-1] != per_row.shape:
        raise ApexError(
            f"{where}: values are {tuple(values.shape)}, rows are {tuple(per_row.shape)}; "
            "expected one more dimension"
        )
