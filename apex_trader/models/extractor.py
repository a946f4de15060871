"""The multi-timeframe CNN: windows → hidden features and predictions of the coming move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from apex_trader.errors import ConfigError
from apex_trader.models.clock_stacks import ClockStacks, packed_offsets, window_blocks
from apex_trader.models.config import CNNConfig
from apex_trader.models.initialise import initialise, shrink
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.schema import CLIP, HIDDEN_SIZE, HORIZONS, PREDICTION_COLUMNS, Schema

#: Classes of a horizon, in the order of the logits.
DOWN, FLAT, UP = 0, 1, 2
CLASSES = 3
#: Hidden features that are the linear path's own: what it says of every class.
LINEAR_SIZE = HORIZONS * CLASSES
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

    def balanced(self, mirrored: ExtractorOutput) -> ExtractorOutput:
        """These predictions averaged with those of the mirrored market, turned back.

        A market and its mirror image are equally likely, so the mean of both answers is never
        worse on average (log loss and squared errors are convex), and of opposite markets exactly
        opposite things are said. The hidden features stay what they are.
        """
        return ExtractorOutput(
            self.hidden,
            (self.logits + mirrored.logits.flip(2)) / 2,
            (self.magnitude + mirrored.magnitude) / 2,
            (self.volatility + mirrored.volatility) / 2,
            (self.pivot + mirrored.pivot) / 2,
        )

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

    Wide and deep (Cheng et al. 2016, sec. 3): beside the convolution stacks and the trunk there is
    a linear path from every input to the logits. On few days it finds what a linear model finds,
    and the deep path adds to it. Its answers are the last ``LINEAR_SIZE`` hidden features.

    Each clock is believed by its ``trust``, 0 to 1: a clock that closed only a few bars in the
    time of fitting tells the dates apart and teaches nothing else. While fitting, that share of
    the rows sees the clock's features; afterwards they are multiplied by it.

    Sees the windows alone: pivots and regime reach the agent by themselves. The predictions are
    linear in the hidden layer, so whatever they know lies open in it to the agent.

    Args:
        schema: needs at least one block of windows and four horizons.
        config: widths.
        generator: source of the initial weights, torch's global one when None.

    Raises:
        ConfigError: the schema has no windows, or not four horizons.
    """

    trust: Tensor
    input_scale: Tensor

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
        self.stacks = ClockStacks(self.blocks, offsets, config.stack)
        self.drop_clocks = nn.Dropout1d(config.clock_dropout)
        deep = HIDDEN_SIZE - LINEAR_SIZE
        self.trunk = nn.Sequential(
            nn.Linear(self.stacks.width, config.trunk),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.trunk, deep),
            nn.GELU(),
            nn.LayerNorm(deep, elementwise_affine=False),
        )
        self.linear = nn.Linear(self.input_size, LINEAR_SIZE, bias=False)
        self.direction = nn.Linear(deep, LINEAR_SIZE)
        self.scale = nn.Linear(deep, 2 * HORIZONS)
        self.pivot = nn.Linear(deep, 1)
        self.register_buffer("trust", torch.ones(len(self.stacks.clocks)))
        self.register_buffer("input_scale", torch.ones(self.input_size), persistent=False)
        initialise(self, generator)
        for head in (self.direction, self.scale, self.pivot):
            shrink(head, 0.01)
        nn.init.zeros_(self.linear.weight)
        self.register_load_state_dict_post_hook(_rescale)  # type: ignore[no-untyped-call]
        self._scale_inputs()

    @property
    def block_names(self) -> tuple[str, ...]:
        """The blocks of the input, in order."""
        return tuple(block.name for block in self.blocks)

    def believe(self, trust: Mapping[str, float]) -> None:
        """Sets the trust in each clock, by its name, each above 0.

        What the linear path says stays as it is.
        """
        before = self.input_scale.clone()
        self.trust.copy_(torch.tensor([trust[clock] for clock in self.stacks.clocks]))
        self._scale_inputs()
        with torch.no_grad():
            self.linear.weight.mul_(before / self.input_scale)

    def _scale_inputs(self) -> None:
        """√(trust / inputs) of every input: the linear path's steps are as short as its trust."""
        trust = dict(zip(self.stacks.clocks, self.trust.tolist(), strict=True))
        parts = [torch.full((b.size,), trust[b.clock] / self.input_size) for b in self.blocks]
        self.input_scale.copy_(torch.cat(parts).sqrt())

    def forward(self, windows: Tensor) -> ExtractorOutput:
        """Windows [B, input_size] float32, concatenated in the schema's order."""
        clocks = self.stacks.features(windows)
        if self.training:
            seen = torch.rand(clocks.shape[:2], device=clocks.device) < self.trust
            clocks = self.drop_clocks(clocks * seen[:, :, None])
        else:
            clocks = clocks * self.trust[:, None]
        deep = self.trunk(functional.gelu(clocks.flatten(1))).float().clamp(-CLIP, CLIP)
        linear = self.linear(windows * self.input_scale).float().clamp(-CLIP, CLIP)
        logits = (self.direction(deep).float() + linear).view(-1, HORIZONS, CLASSES)
        magnitude, volatility = self.scale(deep).float().chunk(2, 1)
        return ExtractorOutput(
            torch.cat((deep, linear), 1),
            logits,
            functional.softplus(magnitude + _ONE_SIGMA),
            volatility,
            self.pivot(deep).float().squeeze(1),
        )


def _rescale(network: nn.Module, _: object) -> None:
    """After loading: the inputs' scale follows the loaded trust."""
    assert isinstance(network, CNNExtractor)
    network._scale_inputs()


def both_sides(
    network: CNNExtractor, tables: MarketTables, rows: Tensor
) -> tuple[ExtractorOutput, ExtractorOutput]:
    """What a fitted network says of decision rows [B]: of the market as it is, and mirrored."""
    outputs = []
    for side in (False, True):
        mirror = torch.full((len(rows),), side, device=rows.device)
        outputs.append(network(gather(tables, rows, mirror, blocks=network.block_names)))
    plain, mirrored = outputs
    return plain.balanced(mirrored), mirrored.balanced(plain)
