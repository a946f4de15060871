from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from apex_trader.errors import ApexError, DataError, MismatchError
from apex_trader.models.config import CNNConfig, StackConfig
from apex_trader.models.extractor import CNNExtractor, both_sides
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment

Make = Callable[..., list[Segment]]
CNN = CNNConfig(StackConfig((4, 4), (24, 48), 48), trunk=96)


@pytest.fixture(scope="module")
def segments(make_segments: Make) -> list[Segment]:
    return make_segments(2, seed=4)


def extractor(schema: Schema, seed: int = 0) -> FrozenExtractor:
    network = CNNExtractor(schema, CNN, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        # heads that say something
        network.direction.weight.mul_(300)
        network.scale.weight.mul_(100)
    return FrozenExtractor(schema, CNN, network.state_dict(), {"pretrain/5m/accuracy": 0.5})


@pytest.fixture(scope="module")
def frozen(schema: Schema) -> FrozenExtractor:
    return extractor(schema)


@pytest.fixture
def tables(segments: list[Segment], schema: Schema) -> MarketTables:
    return MarketTables.from_segments(segments, schema)


def test_rows_do_not_depend_on_the_batch_they_are_computed_in(
    frozen: FrozenExtractor, tables: MarketTables
) -> None:
    index = torch.arange(100, 164)
    with torch.no_grad():
        whole = both_sides(frozen.network, tables, index)[0].rows()
        single = torch.cat(
            [both_sides(frozen.network, tables, row[None])[0].rows() for row in index]
        )
    assert float((whole - single).abs().max()) < 1e-5
    rows = frozen.rows(tables, 100, 64, batch=7)
    assert rows.dtype == torch.float16
    torch.testing.assert_close(rows[:, 0].float(), whole, rtol=1e-3, atol=1e-3)


def test_the_second_axis_is_the_mirrored_market(
    frozen: FrozenExtractor, segments: list[Segment], schema: Schema
) -> None:
    segment = segments[0]
    turned_tables = {}
    for name, table in segment.tables.items():
        index, sign = schema.block(name).mirror
        turned_tables[name] = table[:, index] * sign
    turned = replace(
        segment,
        tables=turned_tables,
        decisions=replace(segment.decisions, anchor=-segment.decisions.anchor),
    )
    plain, mirrored = frozen.segment_rows(segment), frozen.segment_rows(turned)
    np.testing.assert_allclose(plain[:, 0], mirrored[:, 1], atol=1e-3)
    np.testing.assert_allclose(plain[:, 1], mirrored[:, 0], atol=1e-3)
    assert np.abs(plain[:, 0].astype(np.float32) - plain[:, 1]).max() > 0.1


def test_of_a_mirrored_market_it_says_exactly_the_opposite(
    frozen: FrozenExtractor, tables: MarketTables
) -> None:
    rows = frozen.rows(tables, 100, 64)
    plain, mirrored = (rows[:, side, 512:].float().view(-1, 4, 4) for side in (0, 1))
    even = torch.tensor([-1.0, 1.0, 1.0, 1.0])  # direction turns round, the others are even
    torch.testing.assert_close(mirrored, plain * even, rtol=0, atol=1e-3)
    assert plain[:, :, 0].abs().max() > 0.05


def test_attached_rows_are_what_the_state_receives(
    frozen: FrozenExtractor, tables: MarketTables, schema: Schema
) -> None:
    frozen.attach(tables)
    assert tables.cnn_version == frozen.version
    index = torch.tensor([5, 1700])
    state = gather(tables, index, torch.tensor([False, True]))
    expected = torch.stack([frozen.rows(tables, 5, 1)[0, 0], frozen.rows(tables, 1700, 1)[0, 1]])
    offsets = schema.offsets
    torch.testing.assert_close(state[:, offsets["cnn_hidden"]], expected[:, :512].float(),
                               rtol=2e-3, atol=2e-3)  # fmt: skip
    torch.testing.assert_close(state[:, offsets["cnn_predictions"]], expected[:, 512:].float(),
                               rtol=2e-3, atol=2e-3)  # fmt: skip


def test_a_newer_extractor_replaces_the_rows_of_the_older(
    frozen: FrozenExtractor, tables: MarketTables, schema: Schema
) -> None:
    frozen.attach(tables)
    newer = extractor(schema, seed=1)
    newer.attach(tables)
    assert tables.cnn_version == newer.version != frozen.version
    assert tables.cnn is not None
    assert torch.isfinite(tables.cnn).all()


def test_saved_and_loaded_it_is_the_same(
    frozen: FrozenExtractor, tables: MarketTables, schema: Schema, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "extractor.pt"
    frozen.save(path)
    loaded = FrozenExtractor.load(path, schema)
    assert loaded.version == frozen.version
    assert loaded.figures == frozen.figures
    assert loaded.config == frozen.config
    assert torch.equal(loaded.rows(tables, 0, 8), frozen.rows(tables, 0, 8))
    assert [p.name for p in path.parent.iterdir()] == ["extractor.pt"]


def test_version_follows_weights_widths_and_schema_alone(
    frozen: FrozenExtractor, schema: Schema
) -> None:
    weights = frozen.network.state_dict()
    assert FrozenExtractor(schema, CNN, weights, {"x": 1.0}).version == frozen.version
    nudged = {k: v.clone() for k, v in weights.items()}
    nudged["pivot.bias"] += 1e-7
    assert FrozenExtractor(schema, CNN, nudged).version != frozen.version
    assert FrozenExtractor(schema, replace(CNN, dropout=0.2), weights).version != frozen.version
    renamed = replace(schema, name="another")
    assert FrozenExtractor(renamed, CNN, weights).version != frozen.version


def test_another_schema_is_refused_naming_both(
    frozen: FrozenExtractor, segments: list[Segment], schema: Schema, tmp_path: Path
) -> None:
    other = replace(schema, name="other_horizons", horizons=schema.horizons[::-1])
    frozen.save(tmp_path / "e.pt")
    with pytest.raises(MismatchError, match=r"'minutes'.*'other_horizons'"):
        FrozenExtractor.load(tmp_path / "e.pt", other)
    elsewhere = [replace(s, schema=other.fingerprint) for s in segments]
    with pytest.raises(MismatchError, match=r"'minutes'.*'other_horizons'"):
        frozen.rows(MarketTables.from_segments(elsewhere, other), 0, 4)


def test_a_file_changed_behind_its_version_is_refused(
    frozen: FrozenExtractor, schema: Schema
) -> None:
    state = frozen.state_dict()
    state["weights"]["pivot.bias"] = state["weights"]["pivot.bias"] + 1.0
    with pytest.raises(MismatchError, match="the file was changed"):
        FrozenExtractor.from_state(state, schema)
    with pytest.raises(MismatchError, match="format"):
        FrozenExtractor.from_state({**frozen.state_dict(), "format": 0}, schema)


@pytest.mark.parametrize("content", [b"", b"no tensor file", b"PK\x03\x04 cut off"])
def test_a_file_that_is_none_of_ours_is_named(
    content: bytes, schema: Schema, tmp_path: Path
) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.pt"):
        FrozenExtractor.load(path, schema)
    with pytest.raises(DataError, match=r"absent\.pt"):
        FrozenExtractor.load(tmp_path / "absent.pt", schema)


def test_a_file_with_code_in_it_is_refused(schema: Schema, tmp_path: Path) -> None:
    path = tmp_path / "code.pt"
    torch.save({"weights": {}, "run": Path("anything")}, path)
    with pytest.raises(DataError, match=r"code\.pt"):
        FrozenExtractor.load(path, schema)


def test_weights_of_another_shape_are_refused(frozen: FrozenExtractor, schema: Schema) -> None:
    with pytest.raises(MismatchError, match=r"do not fit schema 'minutes'"):
        FrozenExtractor(schema, replace(CNN, trunk=64), frozen.network.state_dict())


def test_a_value_that_is_not_finite_is_an_error_naming_the_row(
    tables: MarketTables, schema: Schema
) -> None:
    weights = extractor(schema).network.state_dict()
    weights["scale.bias"] = torch.full_like(weights["scale.bias"], torch.nan)
    broken = FrozenExtractor(schema, CNN, weights)
    with pytest.raises(ApexError, match="not finite at decision row 30"):
        broken.rows(tables, 30, 4)
