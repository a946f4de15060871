"""Orthogonal initial weights from a passed generator."""

from __future__ import annotations

import math

import torch
from torch import nn


def initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    """Every linear layer orthogonal with gain √2 and zero bias (Saxe et al. 2014).

    The gain keeps the scale through the half-wave nonlinearities. ``generator`` None draws from
    torch's global generator.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, math.sqrt(2.0), generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def shrink(layer: nn.Linear, gain: float) -> None:
    """Scale a head's weights down, so that its first outputs are near zero."""
    with torch.no_grad():
        layer.weight.mul_(gain)
