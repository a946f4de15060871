"""The mean of recent weights: what is judged and traded, while learning goes on with the newest."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """An average of a network's weights over its updates (Polyak & Juditsky 1992, section 1).

    Returns are mostly noise, and the newest weights follow the newest batches; their mean does not.
    Until ``window`` updates it is the mean of all so far, after that it forgets exponentially, at a
    rate of 1 / window.

    network: holds the average; no gradients.
    """

    def __init__(self, network: Network, window: int) -> None:
        self.network: Network = copy.deepcopy(network).requires_grad_(False)
        self._window = window
        self._own: list[Tensor] = list(self.network.parameters())
        self._rate = torch.ones((), device=self._own[0].device)

    def begin(self, updates: int) -> None:
        """Before the step that follows ``updates`` others; a captured graph reads what is set."""
        self._rate.fill_(1.0 / min(updates + 1, self._window))

    @torch.no_grad()
    def follow(self, weights: list[Tensor]) -> None:
        """Take the weights after a step, in the order of ``nn.Module.parameters``."""
        moved = torch._foreach_sub(weights, self._own)
        torch._foreach_mul_(moved, self._rate)
        torch._foreach_add_(self._own, moved)
