"""The market encoder: everything that depends on the market alone, encoded once per time."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from apex_trader.errors import ConfigError
from apex_trader.models.clock_stacks import ClockStacks, window_blocks
from apex_trader.models.config import EncoderConfig
from apex_trader.models.initialise import initialise
from apex_trader.state.schema import PREDICTION_NAMES, Block, Schema
from apex_trader.time import CLOCKS

#: Blocks of a single row whose scales are the networks' own, so they are normalised first.
_CNN_BLOCKS = ("cnn_hidden", "cnn_predictions")
#: What the predictions are seen from and magnified by on the wide path, by the end of their names:
#: so that what says nothing stands near 0, and what is usual spans about one unit.
_WIDE = {"direction": (0.0, 4.0), "confidence": (0.5, 4.0), "magnitude": (1.0, 1.0),
         "volatility": (0.0, 1.0)}  # fmt: skip
#: Ages of the closes between which the latest moves are taken, bars.
_LAGS = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 65, 100, 150, 220, 299)


class VectorBranch(nn.Module):
    """One block of a single row through a small MLP: [B, size] → [B, features]."""

    def __init__(self, place: slice, features: int, normalise: bool) -> None:
        super().__init__()
        self.start, self.stop = place.start, place.stop
        size = self.stop - self.start
        self.norm = nn.LayerNorm(size) if normalise else nn.Identity()
        self.layer = nn.Linear(size, features)
        self.out_norm = nn.LayerNorm(features)

    def forward(self, flat: Tensor) -> Tensor:
        """Flat state [B, market_size] → [B, features]."""
        x = self.norm(flat[:, self.start : self.stop])
        return nn.functional.gelu(self.out_norm(self.layer(x)))


class Predictions(nn.Module):
    """The CNN's predictions as they are, but for a fixed origin and scale: [B, market_size] →
    [B, width]. Nothing in it is learned; without that block its width is 0."""

    origin: Tensor
    scale: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        names = [c.name for c in PREDICTION_NAMES] if schema.has("cnn_predictions") else []
        place = schema.offsets["cnn_predictions"] if names else slice(0, 0)
        self.start, self.stop, self.width = place.start, place.stop, len(names)
        found = torch.tensor([_WIDE[name.rsplit("_", 1)[1]] for name in names]).reshape(-1, 2)
        self.register_buffer("origin", found[:, 0].clone(), persistent=False)
        self.register_buffer("scale", found[:, 1].clone(), persistent=False)

    def forward(self, flat: Tensor) -> Tensor:
        """Flat state [B, market_size] → [B, width]."""
        return (flat[:, self.start : self.stop] - self.origin) * self.scale


class LatestMoves(nn.Module):
    """Moves of both symbols over the last bars of the fastest clock that has closes:
    [B, market_size] → [B, width].

    Between closes at lags that grow by about a half each, every one over the deviation of a random
    walk in its time: what happened when, in the fewest numbers. Nothing in it is learned.
    """

    newer: Tensor
    older: Tensor
    scale: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        newer, older, scale = [], [], []
        for block in _fastest_closes(schema):
            names = [c.name for c in block.columns]
            lags = [lag for lag in _LAGS if lag < block.window]
            start = schema.offsets[block.name].start + names.index("close")
            for near, far in itertools.pairwise(lags):
                newer.append(start + (block.window - 1 - near) * block.width)
                older.append(start + (block.window - 1 - far) * block.width)
                # closes are anchored: over σ·√W / 2
                scale.append(0.5 * math.sqrt(block.window / (far - near)))
        self.width = len(scale)
        self.register_buffer("newer", torch.tensor(newer, dtype=torch.long), persistent=False)
        self.register_buffer("older", torch.tensor(older, dtype=torch.long), persistent=False)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def forward(self, flat: Tensor) -> Tensor:
        """Flat state [B, market_size] → [B, width]."""
        return (flat[:, self.newer] - flat[:, self.older]) * self.scale


def _fastest_closes(schema: Schema) -> list[Block]:
    """Blocks with closes on the clock of the shortest bars that has any: ticks have none."""
    closes = [b for b in schema.blocks if any(c.name == "close" for c in b.columns)]
    fastest = min((CLOCKS[b.clock] for b in closes), default=0)
    return [b for b in closes if CLOCKS[b.clock] == fastest]


class MarketEncoder(nn.Module):
    """Market part of a state → encoding z: [B, market_size] float32 → [B, width].

    Wide and deep (Cheng et al. 2016, section 3). Deep: a strided convolution stack per clock
    (blocks of one clock are its channels), a small MLP per block of a single row, late fusion to
    ``config.width`` features of unit variance times ``config.deep_gain``. Wide: the CNN's
    predictions and the latest moves, straight to the heads. Rewards are nearly all noise, and a
    deep path at full gain learns that noise from thousands of inputs sooner than what some fifty
    say; at a hundredth it moves a hundredth as far a step, and still goes where gradients agree.
    The control flow is static, so it compiles into one graph.

    Args:
        schema: any schema; blocks it lacks have no branch.
        config: widths and gain.
        generator: source of the initial weights, torch's global one when None.

    Raises:
        ConfigError: the schema has no block.
    """

    def __init__(
        self, schema: Schema, config: EncoderConfig, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not schema.blocks:
            raise ConfigError("state.without", schema.name, "a schema with at least one block")
        self.market_size = schema.market_size
        self.predictions, self.moves = Predictions(schema), LatestMoves(schema)
        self.deep_gain = config.deep_gain
        self.width = config.width + self.predictions.width + self.moves.width
        windows = window_blocks(schema)
        self.windows = ClockStacks(windows, schema.offsets, config.stack) if windows else None
        branches = {}
        for block in schema.blocks:
            if block in windows:
                continue
            hidden = block.name == "cnn_hidden"
            features = config.hidden_features if hidden else config.vector_features
            branches[block.name] = VectorBranch(
                schema.offsets[block.name], features, block.name in _CNN_BLOCKS
            )
        self.branches = nn.ModuleDict(branches)
        joined = self.windows.width if self.windows is not None else 0
        joined += sum(branch.layer.out_features for branch in branches.values())
        self.fusion = nn.Sequential(
            nn.Linear(joined, config.fusion),
            nn.LayerNorm(config.fusion),
            nn.GELU(),
            nn.Linear(config.fusion, config.width),
            nn.LayerNorm(config.width),
        )
        initialise(self, generator)

    def forward(self, state: Tensor) -> Tensor:
        """[B, market_size] float32 → z [B, width]."""
        parts = [branch(state) for branch in self.branches.values()]
        if self.windows is not None:
            parts.append(self.windows(state))
        deep: Tensor = self.fusion(torch.cat(parts, 1))
        wide = torch.cat((self.predictions(state), self.moves(state)), 1)
        # autocast may have made the deep features narrower than the state
        return torch.cat((self.deep_gain * deep, wide.to(deep.dtype)), 1)
