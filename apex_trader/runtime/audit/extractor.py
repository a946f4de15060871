"""Windows → CNN → state: the attached rows are the extractor's own, and follow it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.audit.findings import Probe
from apex_trader.runtime.audit.pipeline import Pipeline
from apex_trader.runtime.audit.shift import cnn_columns, shifted_block
from apex_trader.state.gather import MarketTables, windows
from apex_trader.state.schema import HIDDEN_SIZE

GROUP = "cnn"
#: Rows recomputed in one go; two such stretches are looked at.
_STRETCH = 32
#: Rounding of float16, and of batches of another size.
_TOLERANCE = 1e-3


def probe_cnn(line: Pipeline) -> Iterator[Probe]:
    """Version, recomputation, another extractor, each block of its input, the mirror."""
    extractor = line.run.extractor
    if extractor is None or not line.run.needs_cnn:
        yield Probe(GROUP, "CNN → state", "–", "off", "the state has no CNN columns")
        return
    starts = _starts(line)
    base = _rows(extractor, line.own_tables, starts)
    yield _version(line, extractor)
    yield _recomputed(line, base, starts)
    yield _other_extractor(line, extractor, base, starts)
    yield from _inputs(line, extractor, base, starts)
    yield _mirror(line)


def _starts(line: Pipeline) -> list[int]:
    """First rows of two stretches, in the middle and at the end of what is probed."""
    last = line.segment.rows - _STRETCH
    return [min(int(line.rows[len(line.rows) // 2]), last), min(int(line.rows[-1]), last)]


def _rows(extractor: FrozenExtractor, tables: MarketTables, starts: list[int]) -> Tensor:
    parts = [extractor.rows(tables, start, _STRETCH).cpu() for start in starts]
    return torch.cat(parts).float()


def _version(line: Pipeline, extractor: FrozenExtractor) -> Probe:
    _ = line.arena_row  # the arena has the segment now, and the version of its rows
    stamped = {line.tables.cnn_version, line.run.arena.extractor}
    return Probe.judged(
        GROUP, "extractor → version of the state", extractor.version[:12],
        stamped == {extractor.version},
        f"actors and learner hold rows of {stamped}, the extractor is {extractor.version}",
    )  # fmt: skip


def _recomputed(line: Pipeline, base: Tensor, starts: list[int]) -> Probe:
    """What actors and learner hold is what the extractor gives for the same windows."""
    worst = 0.0
    for tables, offset in ((line.tables, 0), (line.run.arena.tables, line.arena_row)):
        assert tables.cnn is not None
        held = torch.cat([tables.cnn[offset + s : offset + s + _STRETCH] for s in starts])
        error = (held.cpu().float() - base).abs() / (1.0 + base.abs())
        worst = max(worst, float(error.nan_to_num(torch.inf).max()))
    return Probe.judged(
        GROUP, "CNN → state", f"recomputed rows differ by {worst:.1e} of 1 + |value|",
        worst <= _TOLERANCE, "the rows attached are not those that the extractor gives",
    )  # fmt: skip


def _other_extractor(
    line: Pipeline, extractor: FrozenExtractor, base: Tensor, starts: list[int]
) -> Probe:
    """Other weights give another version, other rows and another state."""
    generator = torch.Generator().manual_seed(line.config.seed)
    weights = {
        name: value + 0.1 * value.std() * torch.randn(value.shape, generator=generator)
        if value.is_floating_point() and value.numel() > 1 else value
        for name, value in extractor.network.state_dict().items()
    }  # fmt: skip
    other = FrozenExtractor(line.data.schema, extractor.config, weights)
    rows = _rows(other, line.own_tables, starts)
    change = float((rows - base).abs().mean())
    tables = line.tables_of(line.segment, None)
    tables.write_cnn(starts[0], rows[:_STRETCH].half(), other.version)
    at = torch.arange(starts[0], starts[0] + _STRETCH)
    block = next(b.name for b in line.data.schema.blocks if b.name.startswith("cnn_"))
    moved = float((windows(tables, at, None, block) - windows(line.own_tables, at, None, block))
                  .abs().mean())  # fmt: skip
    return Probe.judged(
        GROUP, "extractor's weights → CNN → state",
        f"mean change of a row {change:.2e}, of the state {moved:.2e}",
        change > 0 and moved > 0 and other.version != extractor.version,
        "other weights do not change the state: its CNN columns come from elsewhere",
    )  # fmt: skip


def _inputs(
    line: Pipeline, extractor: FrozenExtractor, base: Tensor, starts: list[int]
) -> Iterator[Probe]:
    lacking = set(line.segment.cannot_provide)
    for block in line.data.schema.blocks:
        declared = all(f"{block.name}.{c.name}" in lacking for c in block.columns)
        if block.clock not in line.data.schema.clocks or block.window == 1 or declared:
            continue
        with shifted_block(line.own_tables, block) as tables:
            change = (_rows(extractor, tables, starts) - base).abs()
        hidden = float(change[..., :HIDDEN_SIZE].mean())
        predictions = float(change[..., HIDDEN_SIZE:].mean())
        yield Probe.judged(
            GROUP, f"{block.name} → CNN",
            f"mean change of hidden {hidden:.2e}, predictions {predictions:.2e}",
            hidden > 0 and predictions > 0, "the extractor does not read the block",
        )  # fmt: skip


def _mirror(line: Pipeline) -> Probe:
    """A mirrored state has the CNN rows of the mirrored market."""
    tables, rows = line.own_tables, torch.from_numpy(line.rows)
    assert tables.cnn is not None
    turned = torch.ones(len(rows), dtype=torch.bool)
    worst, change = 0.0, 0.0
    for block in line.data.schema.blocks:
        if not block.name.startswith("cnn_"):
            continue
        seen = windows(tables, rows, turned, block.name)[:, 0]
        mirrored = tables.cnn[rows, 1, cnn_columns(block)].float()
        worst = max(worst, float((seen - mirrored).abs().max()))
        plain = windows(tables, rows, None, block.name)[:, 0]
        change = max(change, float(np.abs((seen - plain).numpy()).mean()))
    return Probe.judged(
        GROUP, "mirrored market → CNN → state", f"mean change of a row {change:.2e}",
        worst <= _TOLERANCE * 5 and change > 0,
        "mirrored states do not show the CNN rows of the mirrored market",
    )  # fmt: skip
