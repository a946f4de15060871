from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from apex_trader.models.clock_stacks import (
    ClockStack,
    ClockStacks,
    packed_offsets,
    window_blocks,
)
from apex_trader.models.config import StackConfig
from apex_trader.state.schema import Block, eth_full, eth_minutes
from apex_trader.state.schema import window_blocks as bar_blocks

CONFIG = StackConfig((5, 2), (6, 7), 9)


def reference(stack: ClockStack, windows: list[torch.Tensor]) -> torch.Tensor:
    """The same stack with ``conv1d`` over [B, channels, rows], padded on the old side."""
    x = torch.cat(windows, 2).transpose(1, 2)
    for layer, stride in zip(stack.convolutions, stack.strides, strict=True):
        x = functional.pad(x, (-x.shape[2] % stride, 0))
        kernel = layer.weight.view(layer.out_features, stride, -1).transpose(1, 2)
        x = functional.gelu(functional.conv1d(x, kernel, layer.bias, stride=stride))
    return stack.head(x.transpose(1, 2).flatten(1))


@pytest.mark.parametrize("rows", [30, 32, 7, 3])
def test_the_matrix_products_are_a_strided_convolution(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    blocks = bar_blocks("1m", rows)
    flat = torch.randn(4, sum(b.size for b in blocks), generator=generator)
    stack = ClockStack(blocks, packed_offsets(blocks), CONFIG)
    windows = [part.view(4, rows, b.width) for b, part in
               zip(blocks, flat.split([b.size for b in blocks], 1), strict=True)]  # fmt: skip
    torch.testing.assert_close(stack(flat), reference(stack, windows))


def test_a_short_window_equals_a_long_one_whose_old_rows_are_missing() -> None:
    # 32 rows padded to 35 by the stride of 5, against 35 rows whose oldest 3 are zero
    short, long = bar_blocks("1m", 32), bar_blocks("1m", 35)
    ours = ClockStack(short, packed_offsets(short), CONFIG)
    theirs = ClockStack(long, packed_offsets(long), CONFIG)
    theirs.load_state_dict(ours.state_dict())
    x = [torch.randn(2, 32, b.width) for b in short]
    padded = [functional.pad(w, (0, 0, 3, 0)) for w in x]
    flat = torch.cat([w.flatten(1) for w in x], 1)
    longer = torch.cat([w.flatten(1) for w in padded], 1)
    torch.testing.assert_close(ours(flat), theirs(longer))


def test_every_clock_has_one_stack_and_single_rows_have_none() -> None:
    for schema, clocks in ((eth_full(20), 4), (eth_minutes(20), 3)):
        blocks = window_blocks(schema)
        stacks = ClockStacks(blocks, schema.offsets, CONFIG)
        assert len(stacks.stacks) == clocks
        assert {b.name for b in blocks}.isdisjoint({"pivots", "regime", "cnn_hidden"})
        assert stacks(torch.zeros(2, schema.market_size)).shape == (2, clocks * 9)


def test_windows_of_unequal_length_on_one_clock_get_stacks_of_their_own() -> None:
    primary, reference_block = bar_blocks("1m", 12)
    shorter = Block(reference_block.name, "1m", 6, reference_block.columns, "reference")
    blocks = (primary, shorter)
    stacks = ClockStacks(blocks, packed_offsets(blocks), CONFIG)
    assert len(stacks.stacks) == 2
    assert stacks(torch.zeros(3, 12 * 8 + 6 * 2)).shape == (3, 18)
