"""The learning target: double Q over n steps, with potentials added when the batch is gathered.

Time index as in Sutton & Barto (2018): ``_tm1`` is where a transition starts, ``_t`` where it
ends, n decisions later. B = transitions, A = actions.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from apex_trader.errors import ApexError


class QLoss(NamedTuple):
    """loss []: what is minimised. td_error [B]: target − Q, without gradient."""

    loss: Tensor
    td_error: Tensor


def shaped_reward(
    r_t: Tensor, discount_t: Tensor, potential_tm1: Tensor, potential_t: Tensor
) -> Tensor:
    """[B] n-step reward plus ``discount_t·Φ(s_n) − Φ(s_0)`` (Ng, Harada & Russell 1999).

    r_t [B]: discounted sum of stored rewards. discount_t [B]: γⁿ, and 0 after termination, which
    is what makes Φ(terminal) = 0. Over n steps the potentials telescope, so only the ends count.
    """
    _same_shape("shaped_reward", r_t, discount_t, potential_tm1, potential_t)
    return r_t + discount_t * potential_t - potential_tm1


def double_q_target(
    r_t: Tensor, discount_t: Tensor, q_t_value: Tensor, q_t_selector: Tensor
) -> Tensor:
    """[B] target ``r + discount·Q_target(s_n, argmax Q_online(s_n))`` (van Hasselt et al. 2016).

    q_t_value [B, A]: the target network's values. q_t_selector [B, A]: the online network's.
    The target never carries a gradient.
    """
    _same_shape("double_q_target", r_t, discount_t)
    _same_shape("double_q_target", q_t_value, q_t_selector)
    _batch_of("double_q_target", q_t_value, r_t)
    a_t = q_t_selector.argmax(dim=1, keepdim=True)
    return (r_t + discount_t * q_t_value.gather(1, a_t).squeeze(1)).detach()


def q_loss(
    q_tm1: Tensor, a_tm1: Tensor, target: Tensor, weight: Tensor, huber_delta: float
) -> QLoss:
    """Huber loss of the chosen actions' values, each times its importance weight.

    q_tm1 [B, A]; a_tm1 [B] int64; target [B]; weight [B]: importance weights, divided here by the
    batch's largest so that they only ever scale updates down (Schaul et al. 2016, section 3.4).
    """
    _same_shape("q_loss", a_tm1, target, weight)
    _batch_of("q_loss", q_tm1, target)
    q_a_tm1 = q_tm1.gather(1, a_tm1.unsqueeze(1)).squeeze(1)
    loss = functional.huber_loss(q_a_tm1, target, reduction="none", delta=huber_delta)
    return QLoss((loss * normalised(weight)).mean(), (target - q_a_tm1).detach())


def normalised(weight: Tensor) -> Tensor:
    """[B] weights divided by their largest."""
    return weight / weight.max()


def _same_shape(where: str, first: Tensor, *others: Tensor) -> None:
    # A silent broadcast of [B] against [B, 1] would train on a [B, B] matrix.
    for other in others:
        if other.shape != first.shape:
            shapes = [tuple(x.shape) for x in (first, *others)]
            raise ApexError(f"{where}: shapes differ, {shapes}; all must be equal")


def _batch_of(where: str, values: Tensor, per_row: Tensor) -> None:
    if values.dim() != 2 or values.shape[:1] != per_row.shape:
        raise ApexError(
            f"{where}: action values are {tuple(values.shape)}, rows are {tuple(per_row.shape)}; "
            "expected [B, A] and [B]"
        )
