from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from apex_trader.errors import ConfigError
from apex_trader.models.config import EncoderConfig, StackConfig
from apex_trader.models.encoder import MarketEncoder
from apex_trader.state.schema import Schema, eth_full, eth_minutes

SMALL = EncoderConfig(StackConfig((4, 4), (8, 8), 16), 16, 8, 32, 24)
SCHEMAS = [
    eth_full(rows=32),
    eth_minutes(rows=16),
    eth_full(rows=32).without("cnn_hidden", "cnn_predictions"),
    eth_full(rows=32).without("pivots", "ticks", "reference_1h"),
    eth_minutes(rows=1),
]


def encoder_of(schema: Schema) -> MarketEncoder:
    return MarketEncoder(schema, SMALL, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: f"{s.name}-{s.market_size}")
def test_every_column_of_every_block_reaches_the_encoding(schema: Schema) -> None:
    encoder = encoder_of(schema)
    state = torch.randn(
        3, schema.market_size, generator=torch.Generator().manual_seed(1)
    ).requires_grad_()
    z = encoder(state)
    assert z.shape == (3, 24)
    # not z.sum(): its layer normalisation makes that constant
    z.square().mul(torch.arange(24)).sum().backward()
    gradient = state.grad
    assert gradient is not None
    assert gradient.abs().amax(0).gt(0).all()


def test_a_row_of_a_batch_is_encoded_alone() -> None:
    schema = eth_full(rows=32)
    encoder = encoder_of(schema)
    states = torch.randn(5, schema.market_size)
    whole, alone = encoder(states), encoder(states[2:3])
    torch.testing.assert_close(whole[2:3], alone, rtol=1e-5, atol=1e-5)


def test_missing_everything_is_finite() -> None:
    schema = eth_full(rows=32)
    assert encoder_of(schema)(torch.zeros(2, schema.market_size)).isfinite().all()


def test_a_schema_without_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one block"):
        encoder_of(replace(eth_minutes(16), blocks=()))


def test_it_traces_into_one_graph_without_reading_values() -> None:
    schema = eth_minutes(rows=16)
    encoder = encoder_of(schema)
    graph = torch.export.export(encoder, (torch.zeros(4, schema.market_size),))
    state = torch.randn(4, schema.market_size)
    torch.testing.assert_close(graph.module()(state), encoder(state))
