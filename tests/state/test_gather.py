import numpy as np
import pytest
import torch

from apex_trader.errors import ApexError, MismatchError
from apex_trader.state.gather import (
    CNN_WIDTH,
    MarketTables,
    Place,
    gather,
    gather_block,
    segment_rows,
    windows,
)
from apex_trader.state.mirror import mirror_map
from apex_trader.state.schema import CLIP, SCHEMAS, Schema, eth_full, eth_minutes
from apex_trader.state.segment import Segment
from apex_trader.time import CLOCKS
from tests.state.state_markets import random_segment

torch.set_num_threads(1)
CNN = ("cnn_hidden", "cnn_predictions")


def plain(schema: Schema) -> Schema:
    return schema.without(*CNN)


def state_by_hand(schema: Schema, segment: Segment, row: int) -> np.ndarray:
    """One state, cell by cell, as the schema's documentation says."""
    known, out = segment.decisions, []
    for block in schema.blocks:
        symbol = ["primary", "reference"].index(block.symbol)
        last = known.row[block.clock][row]
        for r in range(last - block.window + 1, last + 1):
            for c in range(block.width):
                value = segment.tables[block.name][r, c]
                if c < block.anchored:
                    scale = known.scale[block.clock][row, symbol]
                    if block.row_scaled:
                        scale = segment.row_scale[block.name][r, c]
                    value = (value - known.anchor[row, symbol]) * scale
                if np.isnan(value) or r < known.start[block.clock][row]:
                    value = np.float32(0.0)
                out.append(min(max(value, -CLIP), CLIP))
    return np.array(out, np.float32)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_state_is_the_concatenation_of_anchored_windows(name):
    schema = plain(SCHEMAS[name](7))
    segments = [random_segment(schema, seed) for seed in (1, 2)]
    tables = MarketTables.from_segments(segments, schema)
    rows = torch.tensor([0, 5, 29, 30, 44])
    states = gather(tables, rows).numpy()
    wanted = [state_by_hand(schema, segments[r // 30], r % 30) for r in rows.tolist()]
    np.testing.assert_array_equal(states, np.stack(wanted))
    assert states.shape[1] == schema.market_size
    assert tables.first_row == [0, 30]


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("turned", [False, True])
def test_the_compiled_kernel_and_torch_give_the_same_bits(name, turned):
    schema = plain(SCHEMAS[name](33))
    tables = MarketTables.from_segments([random_segment(schema, 3, 60)], schema)
    rows = torch.randint(0, 60, (40,), generator=torch.Generator().manual_seed(0))
    mirror = torch.arange(40) % 2 == 0 if turned else None
    states = gather(tables, rows, mirror)
    for block in schema.blocks:
        by_torch = torch.empty(40, block.size)
        gather_block(tables, block, rows, mirror, by_torch)
        assert torch.equal(states[:, schema.offsets[block.name]], by_torch), block.name


def test_one_time_and_many_times_give_the_same_state():
    schema = plain(eth_full(20))
    tables = MarketTables.from_segments([random_segment(schema, 4)], schema)
    together = gather(tables, torch.arange(30))
    alone = torch.cat([gather(tables, torch.tensor([row])) for row in range(30)])
    assert torch.equal(together, alone)


def test_mirroring_a_gathered_state_is_the_mirror_map():
    schema = plain(eth_full(9))
    tables = MarketTables.from_segments([random_segment(schema, 5)], schema)
    rows = torch.arange(30)
    index, sign = mirror_map(schema)
    as_is = gather(tables, rows).numpy()
    turned = gather(tables, rows, torch.ones(30, dtype=torch.bool)).numpy()
    np.testing.assert_array_equal(turned, as_is[:, index] * sign)


def test_states_are_written_where_they_are_wanted():
    schema = plain(eth_minutes(12))
    tables = MarketTables.from_segments([random_segment(schema, 6)], schema)
    out = torch.full((8, schema.market_size), 7.0)
    result = gather(tables, torch.arange(8), out=out)
    assert result is out
    assert torch.equal(out, gather(tables, torch.arange(8)))
    with pytest.raises(MismatchError, match="out has shape"):
        gather(tables, torch.arange(8), out=out[:5])


def test_windows_are_the_blocks_part_of_the_state():
    schema = plain(eth_full(11))
    tables = MarketTables.from_segments([random_segment(schema, 7)], schema)
    rows, mirror = torch.arange(10), torch.arange(10) < 5
    state = gather(tables, rows, mirror)
    for block in schema.blocks:
        part = windows(tables, rows, mirror, block.name)
        assert part.shape == (10, block.window, block.width)
        assert torch.equal(part.reshape(10, -1), state[:, schema.offsets[block.name]])


def test_cnn_rows_come_from_the_mirrored_market_where_the_state_is_mirrored():
    schema = eth_minutes(5)
    tables = MarketTables.from_segments([random_segment(schema, 8)], schema)
    rows = np.random.default_rng(0).normal(0, 1, (30, 2, CNN_WIDTH)).astype(np.float16)
    tables.write_cnn(0, rows, "v1")
    mirror = torch.arange(30) % 3 == 0
    state = gather(tables, torch.arange(30), mirror)
    hidden = state[:, schema.offsets["cnn_hidden"]].numpy()
    predictions = state[:, schema.offsets["cnn_predictions"]].numpy()
    wanted = rows[np.arange(30), mirror.long().numpy()].astype(np.float32).clip(-CLIP, CLIP)
    np.testing.assert_array_equal(np.hstack((hidden, predictions)), wanted)


def test_a_state_without_its_cnn_rows_is_an_error_and_never_a_silent_zero():
    schema = eth_minutes(5)
    tables = MarketTables.from_segments(
        [random_segment(s, s_) for s, s_ in ((schema, 9), (schema, 10))], schema
    )
    with pytest.raises(MismatchError, match="no CNN rows"):
        gather(tables, torch.arange(3))
    blocks = [b.name for b in schema.blocks if b.name not in CNN]
    assert gather(tables, torch.arange(3), blocks=blocks).shape[1] == plain(schema).market_size
    tables.write_cnn(0, np.zeros((30, 2, CNN_WIDTH), np.float16), "v1")
    assert torch.isfinite(gather(tables, torch.arange(30))).all()
    unwritten = gather(tables, torch.arange(30, 60))[:, schema.offsets["cnn_hidden"]]
    assert torch.isnan(unwritten).all()


def test_cnn_rows_of_two_extractors_never_mix():
    schema = eth_minutes(5)
    tables = MarketTables.from_segments([random_segment(schema, 11)], schema)
    zeros = np.zeros((30, 2, CNN_WIDTH), np.float16)
    tables.write_cnn(0, zeros, "v1")
    with pytest.raises(MismatchError, match="v1, not v2"):
        tables.write_cnn(0, zeros, "v2")
    tables.drop_cnn()
    tables.write_cnn(0, zeros, "v2")
    assert tables.cnn_version == "v2"
    with pytest.raises(MismatchError, match="shape"):
        tables.write_cnn(0, zeros[:, :1], "v2")


def test_tables_can_be_allocated_once_and_rewritten_segment_by_segment():
    schema = plain(eth_full(6))
    segments = [random_segment(schema, seed) for seed in range(4)]
    rows = segment_rows(segments[0], schema)
    tables = MarketTables.allocate(schema, {c: 2 * n for c, n in rows.items()}, 60)
    for k, segment in enumerate(segments):
        slot = k % 2
        tables.write(Place(30 * slot, {c: n * slot for c, n in rows.items()}), segment)
    for slot, segment in enumerate(segments[2:]):
        alone = MarketTables.from_segments([segment], schema)
        here = gather(tables, torch.arange(30) + 30 * slot)
        assert torch.equal(here, gather(alone, torch.arange(30)))
    with pytest.raises(ApexError, match="does not fit"):
        tables.write(Place(31, dict.fromkeys(rows, 0)), segments[0])


def test_a_segment_of_another_schema_is_refused():
    schema = plain(eth_full(6))
    with pytest.raises(MismatchError, match="another schema"):
        MarketTables.from_segments([random_segment(plain(eth_full(7)), 1)], schema)


def test_every_value_is_finite_and_within_the_guard():
    schema = plain(eth_full(25))
    tables = MarketTables.from_segments([random_segment(schema, 12)], schema)
    for mirror in (None, torch.ones(30, dtype=torch.bool)):
        states = gather(tables, torch.arange(30), mirror)
        assert torch.isfinite(states).all()
        assert states.abs().max() <= CLIP
    assert {b.clock for b in schema.blocks} == set(CLOCKS)


def test_gathering_in_torch_copies_nothing_from_the_host(monkeypatch):
    """Else it could not be captured in a CUDA graph."""
    schema = plain(eth_minutes(7))
    tables = MarketTables.from_segments([random_segment(schema, 1)], schema)
    mirror = torch.tensor([True, False])

    def from_host(*_: object) -> torch.Tensor:
        raise AssertionError("a host array was made a tensor")

    for name in ("from_numpy", "as_tensor", "tensor"):
        monkeypatch.setattr(torch, name, from_host)
    rows = torch.arange(2)
    for block in schema.blocks:
        gather_block(tables, block, rows, mirror, torch.empty(2, block.size))
