"""What one update of the real learner shows, and the learner as it was before."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.experience import Sample
from learner.update import Learner


@dataclass(frozen=True)
class UpdateEffect:
    """td [B]: |TD errors|. gradient [P]: of every weight, clipped. metrics: ``learner/…``."""

    td: NDArray[np.float32]
    gradient: Tensor
    metrics: dict[str, float]

    def differs(self, other: UpdateEffect) -> tuple[float, float]:
        """(mean change of |TD|, change of the gradient over the other's norm)."""
        td = float(np.abs(self.td - other.td).mean())
        norm = float(other.gradient.norm())
        return td, float((self.gradient - other.gradient).norm()) / max(norm, 1e-30)


def update_effect(learner: Learner, sample: Sample) -> UpdateEffect:
    """One update on a sample; weights, moments and random draws are put back afterwards."""
    before = copy.deepcopy(learner.state_dict())
    td = np.array(learner.update(sample).value)
    zero = [torch.zeros_like(p) if p.grad is None else p.grad for p in learner.network.parameters()]
    gradient = torch.cat([g.detach().flatten() for g in zero]).cpu().double()
    effect = UpdateEffect(td, gradient, learner.read_metrics())
    learner.load_state_dict(before)
    return effect
