"""Targets of the extractor on its device, their mirror, and the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
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
    """Scalars: the weighted sum, and its parts unweighted (means over horizons)."""

    total: Tensor
    direction: Tensor
    magnitude: Tensor
    volatility: Tensor
    pivot: Tensor


def pretrain_loss(
    output: ExtractorOutput, targets: Targets, valid: Tensor, pivot: Tensor, config: PretrainConfig
) -> Losses:
    """Cross-entropy of the classes, squared errors of the sizes, cross-entropy of the swing.

    Squared errors, because the heads are expectations. Each horizon is a mean over its own valid
    rows, so that a long horizon with many unknown labels counts as much as a short one.

    Args:
        output: of B rows. targets: theirs.
        valid: [B, 4] bool; pivot: [B] bool: which labels count.
        config: the weights.
    """
    entropy = functional.cross_entropy(
        output.logits.flatten(0, 1), targets.direction.flatten(), reduction="none"
    ).view_as(valid)
    direction = _masked_mean(entropy, valid)
    magnitude = _masked_mean((output.magnitude - targets.magnitude).square(), valid)
    volatility = _masked_mean((output.volatility - targets.volatility).square(), valid)
    swing = functional.binary_cross_entropy_with_logits(
        output.pivot, targets.pivot, reduction="none"
    )
    swing = _masked_mean(swing[:, None], pivot[:, None])
    total = (
        direction
        + config.magnitude_weight * magnitude
        + config.volatility_weight * volatility
        + config.pivot_weight * swing
    )
    return Losses(total, direction, magnitude, volatility, swing)


def _masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over columns of each column's mean over its valid rows (0 for one without)."""
    weight = valid.to(values.dtype)
    return ((values * weight).sum(0) / weight.sum(0).clamp_min(1.0)).mean()
