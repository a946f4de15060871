from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from apex_trader.errors import ConfigError
from apex_trader.models.config import EncoderConfig, StackConfig
from apex_trader.models.encoder import LatestMoves, MarketEncoder
from apex_trader.state.mirror import mirror_map
from apex_trader.state.schema import PREDICTION_NAMES, Schema, eth_full, eth_minutes

SMALL = EncoderConfig(StackConfig((4, 4), (8, 8), 16), 16, 8, 32, 24)
SCHEMAS = [
    eth_full(rows=32),
    eth_minutes(rows=16),
    eth_full(rows=32).without("cnn_hidden", "cnn_predictions"),
    eth_full(rows=32).without("pivots", "ticks", "reference_1h"),
    eth_full(rows=32).without("primary_1s", "reference_1s"),
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
    assert z.shape == (3, encoder.width)
    # not z.sum(): its layer normalisation makes that constant
    z.square().mul(torch.arange(1, encoder.width + 1)).sum().backward()
    gradient = state.grad
    assert gradient is not None
    assert gradient.abs().amax(0).gt(0).all()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: f"{s.name}-{s.market_size}")
def test_every_column_reaches_the_deep_features_too(schema: Schema) -> None:
    encoder = encoder_of(schema)
    state = torch.randn(
        3, schema.market_size, generator=torch.Generator().manual_seed(1)
    ).requires_grad_()
    encoder(state)[:, : SMALL.width].square().mul(torch.arange(SMALL.width)).sum().backward()
    assert state.grad is not None
    assert state.grad.abs().amax(0).gt(0).all()


def test_the_predictions_go_straight_to_the_encodings_end() -> None:
    """Each of them alone moves one feature, by its own scale, whatever the rest of the state is."""
    schema = eth_full(rows=32)
    encoder = encoder_of(schema)
    state = torch.randn(1, schema.market_size, generator=torch.Generator().manual_seed(1))
    begin = schema.offsets["cnn_predictions"].start
    for number, column in enumerate(PREDICTION_NAMES):
        moved = state.clone()
        moved[0, begin + number] += 0.25
        change = (encoder(moved) - encoder(state))[0, SMALL.width :][: len(PREDICTION_NAMES)]
        scale = 4.0 if column.name.endswith(("direction", "confidence")) else 1.0
        expected = torch.zeros(len(PREDICTION_NAMES))
        expected[number] = 0.25 * scale
        torch.testing.assert_close(change, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("schema", [eth_full(), eth_full(rows=32), eth_minutes(rows=16)])
def test_latest_moves_of_a_random_walk_are_of_unit_variance_and_say_when(schema: Schema) -> None:
    """A step of the walk shows in the one move that spans it, of its own symbol alone."""
    moves = LatestMoves(schema)
    state = torch.zeros(1, schema.market_size)
    clock = schema.clocks[0]
    (block,) = [b for b in schema.blocks if b.name == f"reference_{clock}"]
    closes = schema.offsets[block.name].start + torch.arange(block.window) * block.width
    assert moves(state).abs().max() == 0
    per_bar = 2.0 / block.window**0.5  # one deviation of a bar, in anchored units
    state[0, closes[: block.window - 4]] = -per_bar  # the price rose between lags 4 and 3
    found = moves(state)[0]
    changed = found.nonzero().ravel().tolist()
    assert changed == [moves.width // 2 + 3]
    assert found[changed[0]].item() == pytest.approx(1.0 / 2**0.5)  # of two bars


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: f"{s.name}-{s.market_size}")
def test_in_the_mirrored_market_the_latest_moves_change_their_sign(schema: Schema) -> None:
    moves, (index, sign) = LatestMoves(schema), mirror_map(schema)
    state = torch.randn(3, schema.market_size, generator=torch.Generator().manual_seed(1))
    mirrored = state[:, torch.from_numpy(index)] * torch.from_numpy(sign)
    assert torch.equal(moves(mirrored), -moves(state))


def test_without_predictions_there_are_deep_features_and_moves() -> None:
    schema = eth_full(rows=32).without("cnn_hidden", "cnn_predictions")
    assert encoder_of(schema).width == SMALL.width + LatestMoves(schema).width
    bare = schema.without("primary_1s", "reference_1s", "ticks")
    assert LatestMoves(bare).width > 0, "then minutes are the fastest bars"


def test_the_latest_moves_are_of_the_fastest_bars_that_have_closes() -> None:
    """Ticks alone on the fastest clock have none: then the moves are those of minutes."""
    ticks = eth_full(rows=32).without("primary_1s", "reference_1s")
    assert ticks.clocks[0] == "1s"
    moves = LatestMoves(ticks)
    assert moves.width == LatestMoves(ticks.without("ticks")).width > 0
    minutes = [ticks.offsets[f"{symbol}_1m"] for symbol in ("primary", "reference")]
    for places in (moves.newer, moves.older):
        assert all(any(m.start <= p < m.stop for m in minutes) for p in places.tolist())


@pytest.mark.parametrize("gain", [0.1, 1.0])
def test_deep_features_have_the_deviation_that_the_gain_says(gain: float) -> None:
    schema = eth_full(rows=32)
    encoder = MarketEncoder(
        schema, replace(SMALL, deep_gain=gain), torch.Generator().manual_seed(0)
    )
    deep = encoder(torch.randn(64, schema.market_size))[:, : SMALL.width]
    assert deep.std(dim=1, correction=0).mean().item() == pytest.approx(gain, rel=0.01)


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
