"""One strided convolution stack per clock over the windows of a flat state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

from apex_trader.models.config import StackConfig
from apex_trader.state.schema import Block, Schema


def window_blocks(schema: Schema) -> tuple[Block, ...]:
    """The schema's blocks on bar clocks that span several rows, in its order."""
    return tuple(b for b in schema.blocks if b.clock in schema.clocks and b.window > 1)


def packed_offsets(blocks: Iterable[Block]) -> dict[str, slice]:
    """Where each block lies when only these blocks are concatenated."""
    out, start = {}, 0
    for block in blocks:
        out[block.name] = slice(start, start + block.size)
        start += block.size
    return out


class ClockStack(nn.Module):
    """Windows of one clock, their columns as channels: [B, size] → [B, features].

    Each convolution's kernel is its stride, counted from the newest row back, which makes it a
    matrix product over reshaped windows: on a CPU 2.6 times faster than ``Conv1d`` forwards, 2
    times with its gradient. A window that a stride does not divide is padded with zeros, the
    value of a missing row, on its old side.
    """

    def __init__(
        self, blocks: tuple[Block, ...], offsets: Mapping[str, slice], config: StackConfig
    ) -> None:
        super().__init__()
        self.window = blocks[0].window
        self.places = [(offsets[b.name].start, offsets[b.name].stop, b.width) for b in blocks]
        rows, channels = self.window, sum(b.width for b in blocks)
        convolutions = []
        self.strides: list[int] = []
        for stride, out in zip(config.strides, config.channels, strict=True):
            stride = min(stride, rows)
            self.strides.append(stride)
            convolutions.append(nn.Linear(stride * channels, out))
            rows, channels = -(-rows // stride), out
        self.convolutions = nn.ModuleList(convolutions)
        self.activation = nn.GELU()
        self.head = nn.Linear(rows * channels, config.features)

    def forward(self, flat: Tensor) -> Tensor:
        """Flat state [B, size] → [B, features]."""
        batch = flat.shape[0]
        views = [flat[:, a:b].reshape(batch, self.window, width) for a, b, width in self.places]
        x = torch.cat(views, 2) if len(views) > 1 else views[0]
        for convolution, stride in zip(self.convolutions, self.strides, strict=True):
            rows, channels = x.shape[1], x.shape[2]
            short = -rows % stride
            if short:
                x = functional.pad(x, (0, 0, short, 0))
            x = x.reshape(batch, (rows + short) // stride, stride * channels)
            x = self.activation(convolution(x))
        out: Tensor = self.head(x.reshape(batch, -1))
        return out


class ClockStacks(nn.Module):
    """A stack for every (clock, window length) in use; their features one after the other."""

    def __init__(
        self, blocks: tuple[Block, ...], offsets: Mapping[str, slice], config: StackConfig
    ) -> None:
        super().__init__()
        stacks = {}
        self.clocks: list[str] = []
        for (clock, window), group in groupby(
            sorted(blocks, key=lambda b: (b.clock, b.window)), key=lambda b: (b.clock, b.window)
        ):
            stacks[f"clock_{clock}_{window}"] = ClockStack(tuple(group), offsets, config)
            self.clocks.append(clock)
        self.stacks = nn.ModuleDict(stacks)
        self.width = len(stacks) * config.features

    def features(self, flat: Tensor) -> Tensor:
        """Flat state [B, size] → [B, stacks, features], before the nonlinearity."""
        return torch.stack([stack(flat) for stack in self.stacks.values()], 1)

    def forward(self, flat: Tensor) -> Tensor:
        """Flat state [B, size] → [B, width]. Not normalised: inputs are scale-free already, and
        how far a price has gone, not its pattern alone, is what a trade's costs are held against.
        """
        return functional.gelu(self.features(flat).flatten(1))
