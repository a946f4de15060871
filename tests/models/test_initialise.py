from __future__ import annotations

import torch
from torch import nn

from apex_trader.models.initialise import initialise


def test_weights_are_orthogonal_and_come_from_the_generator_alone() -> None:
    layers = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        layer = nn.Linear(8, 8)
        initialise(layer, torch.Generator().manual_seed(5))
        layers.append(layer)
    torch.testing.assert_close(layers[0].weight, layers[1].weight, rtol=0, atol=0)
    product = layers[0].weight @ layers[0].weight.T
    torch.testing.assert_close(product, 2.0 * torch.eye(8))
    assert not layers[0].bias.any()
