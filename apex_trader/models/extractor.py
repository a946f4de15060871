"""The multi-timeframe CNN: windows → hidden features and predictions of the coming move."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from apex_trader.errors import ConfigError
from apex_trader.models.clock_stacks import ClockStacks, packed_offsets, window_blocks
from apex_trader.models.config import CNNConfig
from apex_trader.models.initialise import initialise, shrink
from apex_trader.state.schema import CLIP, HIDDEN_SIZE, HORIZONS, PREDICTION_COLUMNS, Schema

#: Classes of a horizon, in the order of the logits.
DOWN, FLAT, UP = 0, 1, 2
CLASSES = 3
#: softplus(0.54) = 1: an untrained head expects a move of about one σ.
_ONE_SIGMA = 0.54
PREDICTION_SIZE = HORIZONS * len(PREDICTION_COLUMNS)
#: Width of a CNN row: hidden features, then predictions.
ROW_SIZE = HIDDEN_SIZE + PREDICTION_SIZE


def inverse_magnitude(mean: float) -> float:
    """The bias with which the magnitude head says ``mean`` whatever it sees."""
    return math.log(math.expm1(max(mean, 1e-3))) - _ONE_SIGMA


class ExtractorOutput(NamedTuple):
    """What the CNN says of B decision times, float32.

    hidden [B, 512]: layer-normalised features, clipped to ±5.
    logits [B, 4, 3]: per horizon down, flat, up.
    magnitude [B, 4]: expected |move| over σ of the horizon, positive.
    volatility [B, 4]: expected ln of realised over current volatility.
    pivot [B]: logit that the latest swing will be confirmed one level up.
    """

    hidden: Tensor
    logits: Tensor
    magnitude: Tensor
    volatility: Tensor
    pivot: Tensor

    def predictions(self) -> Tensor:
        """[B, 16]: the columns of ``cnn_predictions``, horizon by horizon, clipped to ±5."""
        p = self.logits.softmax(2)
        direction = p[:, :, UP] - p[:, :, DOWN]
        columns = (direction, p.amax(2), self.magnitude, self.volatility)
        return torch.stack(columns, 2).flatten(1).clamp(-CLIP, CLIP)

    def rows(self) -> Tensor:
        """[B, 528]: hidden features, then predictions; what the state receives."""
        return torch.cat((self.hidden, self.predictions()), 1)


class CNNExtractor(nn.Module):
    """Windows of every clock → 512 hidden features, and four horizons' predictions from them.

    Sees the windows alone: pivots and regime reach the agent by themselves. The predictions are
    linear in the hidden layer, so whatever they know lies open in it to the agent.

    Args:
        schema: needs at least one block of windows and four horizons.
        config: widths.
        generator: source of the initial weights, torch's global one when None.

    Raises:
        ConfigError: the schema has no windows, or not four horizons.
    """

    def __init__(
        self, schema: Schema, config: CNNConfig, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.blocks = window_blocks(schema)
        if not self.blocks:
            raise ConfigError("state.without", schema.name, "a schema that keeps some windows")
        if len(schema.horizons) != HORIZONS:
            raise ConfigError("state.horizons", schema.horizons, f"{HORIZONS} horizons")
        offsets = packed_offsets(self.blocks)
        self.input_size = sum(block.size for block in self.blocks)
        self.stacks = ClockStacks(self.blocks, offsets, config.stack, config.clock_dropout)
        self.trunk = nn.Sequential(
            nn.Linear(self.stacks.width, config.trunk),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.trunk, HIDDEN_SIZE),
            nn.GELU(),
            nn.LayerNorm(HIDDEN_SIZE, elementwise_affine=False),
        )
        self.direction = nn.Linear(HIDDEN_SIZE, HORIZONS * CLASSES)
        self.scale = nn.Linear(HIDDEN_SIZE, 2 * HORIZONS)
        self.pivot = nn.Linear(HIDDEN_SIZE, 1)
        initialise(self, generator)
        for head in (self.direction, self.scale, self.pivot):
            shrink(head, 0.01)

    @property
    def block_names(self) -> tuple[str, ...]:
        """The blocks of the input, in order."""
        return tuple(block.name for block in self.blocks)

    def forward(self, windows: Tensor) -> ExtractorOutput:
        """Windows [B, input_size] float32, concatenated in the schema's order."""
        hidden = self.trunk(self.stacks(windows)).float().clamp(-CLIP, CLIP)
        logits = self.direction(hidden).float().view(-1, HORIZONS, CLASSES)
        magnitude, volatility = self.scale(hidden).float().chunk(2, 1)
        magnitude = functional.softplus(magnitude + _ONE_SIGMA)
        return ExtractorOutput(
            hidden, logits, magnitude, volatility, self.pivot(hidden).float().squeeze(1)
        )
