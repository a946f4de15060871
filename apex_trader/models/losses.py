"""Targets of the extractor on its device, their mirror, and the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from apex_trader.models.config import PretrainConfig
from apex_trader.models.extractor import ExtractorOutput
from apex_trader.models.labels import Labels


@dataclass(frozen=True)
class Targets:
    """Labels as tensors: direction [n, 4] int64; magnitude, volatility [n, 4]; pivot [n]."""

    direction: Tensor
    magnitude: Tensor
    volatility: Tensor
    pivot: Tensor

    @classmethod
    def of(cls, labels: Labels, device: torch.device) -> Targets:
        """The labels' tensors on ``device``."""
        arrays = (labels.direction, labels.magnitude, labels.volatility, labels.pivot)
        direction, *rest = (torch.from_numpy(a).to(device) for a in arrays)
        return cls(direction.long(), *rest)

    def take(self, rows: Tensor, mirror: Tensor | None) -> Targets:
        """Targets of ``rows`` [B]; those with ``mirror`` [B] are of the market upside down.

        Down and up change places; size, volatility and the fate of a swing are the same.
        """
        direction = self.direction[rows]
        if mirror is not None:
            direction = torch.where(mirror[:, None], 2 - direction, direction)
        return Targets(direction, self.magnitude[rows], self.volatility[rows], self.pivot[rows])


class Losses(NamedTuple):
    """Scalars: the weighted sum, and its parts before their weights (mixed over horizons)."""

    total: Tensor
    direction: Tensor
    magnitude: Tensor
    volatility: Tensor
    pivot: Tensor


def pretrain_loss(
    output: ExtractorOutput,
    targets: Targets,
    valid: Tensor,
    pivot: Tensor,
    shares: Tensor,
    config: PretrainConfig,
) -> Losses:
    """Cross-entropy of the classes, squared errors of the sizes, cross-entropy of the swing.

    Squared errors, because the heads are expectations. Each horizon is a mean over its own valid
    rows; horizons are then mixed by ``shares``.

    Args:
        output: of B rows. targets: theirs.
        valid: [B, 4] bool; pivot: [B] bool: which labels count.
        shares: [4] of each horizon, summing to 1 (``horizon_shares``).
        config: the weights.
    """
    entropy = functional.cross_entropy(
        output.logits.flatten(0, 1), targets.direction.flatten(), reduction="none"
    ).view_as(valid)
    direction = _masked_mean(entropy, valid) @ shares
    magnitude = _masked_mean((output.magnitude - targets.magnitude).square(), valid) @ shares
    volatility = _masked_mean((output.volatility - targets.volatility).square(), valid) @ shares
    swing = functional.binary_cross_entropy_with_logits(
        output.pivot, targets.pivot, reduction="none"
    )
    swing = _masked_mean(swing[:, None], pivot[:, None])[0]
    total = (
        direction
        + config.magnitude_weight * magnitude
        + config.volatility_weight * volatility
        + config.pivot_weight * swing
    )
    return Losses(total, direction, magnitude, volatility, swing)


def horizon_shares(labels: NDArray[np.float64], half_weight_labels: float) -> NDArray[np.float32]:
    """Each horizon's share of the losses, from its number of independent labels [4].

    Overlapping labels are no news: what a horizon has to teach grows with the independent ones
    (López de Prado 2018, ch. 4, sample uniqueness), and saturates: n / (n + half_weight_labels).
    """
    weight = np.array([saturating(n, half_weight_labels) for n in labels])
    return np.asarray(weight / weight.sum(), np.float32)


def saturating(count: float, half: float) -> float:
    """n / (n + half): how far ``count`` independent observations are believed, 0 to 1."""
    return float(count / max(count + half, 1e-12))


def _masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """[B, k] → each column's mean over its valid rows [k], 0 for one without."""
    weight = valid.to(values.dtype)
    return (values * weight).sum(0) / weight.sum(0).clamp_min(1.0)
