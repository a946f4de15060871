"""Market tables on a device, and the one function that makes states of them.

The same function serves one decision or many, on CPU or GPU, offline or live. A window of a table
is contiguous, so gathering it is a copy; anchoring, clipping and mirroring happen in place.
Everything is float32, outside autocast: float16 prices would be off by a whole σ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from apex_trader.errors import ApexError, MismatchError
from apex_trader.state.schema import CLIP, HIDDEN_SIZE, PREDICTION_NAMES, Block, Schema
from apex_trader.state.segment import Decisions, Segment
from apex_trader.time import CLOCKS

if TYPE_CHECKING:
    from apex_trader.state.gather_cpu import BlockPlan

#: Width of a CNN row: the hidden features, then the predictions.
CNN_WIDTH = HIDDEN_SIZE + len(PREDICTION_NAMES)
SYMBOLS = ("primary", "reference")


@dataclass(frozen=True)
class Place:
    """Where something begins in the tables: its decision row, and its row on each clock."""

    decision: int
    rows: Mapping[str, int]

    def after(self, segment: Segment, schema: Schema) -> Place:
        """Where the next segment begins when this one lies here."""
        rows = segment_rows(segment, schema)
        return Place(self.decision + segment.rows, {c: at + rows[c] for c, at in self.rows.items()})


def segment_rows(segment: Segment, schema: Schema) -> dict[str, int]:
    """Table rows of a segment on each clock of the schema."""
    return {b.clock: len(segment.tables[b.name]) for b in schema.blocks if b.clock in schema.clocks}


@dataclass
class MarketTables:
    """The market tables of one or many segments, as tensors on one device.

    N = rows of a clock, n = decisions, over all segments. Preallocated by ``allocate`` and filled
    by ``write``, so that an arena can reuse its memory; ``from_segments`` does both.

    blocks[block] [N, width] float32: anchored columns hold ln p - base (NaN missing), the others
    are final (0 missing). row_scale[block] [N, anchored]: see ``Segment``. last[clock] [n] int64:
    the window's last row. valid[clock] [n] int64: how many of the rows up to it may be shown;
    those before belong to another stretch. anchor [n, 2], scale[clock] [n, 2]: as in
    ``Decisions``. trend [n], ts [n]: likewise. cnn [n, 2, 528] float16: hidden features, then
    predictions; axis 1: the market as it is, mirrored; NaN until written.
    first_row: decision row with which each segment begins, in the order they were written.
    mirrors[block]: (index, sign) [width] of its columns, on the device from the start, since a
    CUDA graph cannot hold a copy from the host.
    """

    schema: Schema
    device: torch.device
    blocks: dict[str, Tensor]
    row_scale: dict[str, Tensor]
    last: dict[str, Tensor]
    valid: dict[str, Tensor]
    anchor: Tensor
    scale: dict[str, Tensor]
    trend: Tensor
    ts: Tensor
    cnn: Tensor | None = None
    cnn_version: str | None = None
    first_row: list[int] = field(default_factory=list)
    mirrors: dict[str, tuple[Tensor, Tensor]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.mirrors = {}
        for name in self.blocks:
            index, sign = self.schema.block(name).mirror
            self.mirrors[name] = (
                torch.from_numpy(index).to(self.device),
                torch.from_numpy(sign).to(self.device),
            )

    @classmethod
    def allocate(
        cls,
        schema: Schema,
        rows: Mapping[str, int],
        decisions: int,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Empty tables with room for ``rows[clock]`` table rows and ``decisions`` decisions."""
        on = torch.device(device)
        tables = [b for b in schema.blocks if b.clock in CLOCKS]

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=on)

        def numbers() -> dict[str, Tensor]:
            return {c: torch.zeros(decisions, dtype=torch.int64, device=on) for c in schema.clocks}

        return cls(
            schema,
            on,
            {b.name: zeros(rows[b.clock], b.width) for b in tables},
            {b.name: zeros(rows[b.clock], b.anchored) for b in tables if b.row_scaled},
            numbers(),
            numbers(),
            zeros(decisions, 2),
            {c: zeros(decisions, 2) for c in schema.clocks},
            zeros(decisions),
            torch.zeros(decisions, dtype=torch.int64, device=on),
        )

    @classmethod
    def from_segments(
        cls, segments: Sequence[Segment], schema: Schema, device: torch.device | str = "cpu"
    ) -> Self:
        """The tables of the segments, in order. MismatchError when one is of another schema."""
        place = Place(0, dict.fromkeys(schema.clocks, 0))
        places = []
        for segment in segments:
            places.append(place)
            place = place.after(segment, schema)
        tables = cls.allocate(schema, place.rows, place.decision, device)
        for segment, at in zip(segments, places, strict=True):
            tables.write(at, segment)
        return tables

    @property
    def decisions(self) -> int:
        """Decision rows that there is room for."""
        return len(self.trend)

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        groups = (self.blocks, self.row_scale, self.last, self.valid, self.scale)
        tensors = [t for group in groups for t in group.values()]
        tensors += [self.anchor, self.trend, self.ts]
        if self.cnn is not None:
            tensors.append(self.cnn)
        return sum(t.nbytes for t in tensors)

    def write(self, place: Place, segment: Segment) -> None:
        """Copies a segment to ``place``; its decision rows begin at ``place.decision``.

        The CNN rows there become unknown (NaN) until ``write_cnn``. MismatchError when the
        segment is of another schema; ApexError when it does not fit.
        """
        if segment.schema != self.schema.fingerprint:
            raise MismatchError(
                f"segment {segment.key[:12]} was built for another schema than "
                f"{self.schema.name!r}: build it again with this schema"
            )
        self._check_room(place, segment)
        self.put(place, segment.tables, segment.row_scale, segment.decisions)
        if self.cnn is not None:
            self.cnn[place.decision : place.decision + segment.rows] = torch.nan
        self.first_row.append(place.decision)

    def put(
        self,
        place: Place,
        rows: Mapping[str, np.ndarray],
        row_scale: Mapping[str, np.ndarray],
        known: Decisions,
    ) -> None:
        """Copies table rows of each block and decisions to ``place``, maybe behind others there.

        Rows of ``known`` count from ``place``; negative ones are rows before it. CNN rows are left
        alone.
        """
        for name, table in self.blocks.items():
            block = self.schema.block(name)
            values = rows[name].copy()
            # Missing is 0 in a state; only anchored columns must stay NaN until they are anchored.
            np.nan_to_num(values[:, block.anchored :], copy=False, nan=0.0)
            _put(table, place.rows[block.clock], values)
            if name in self.row_scale:
                _put(self.row_scale[name], place.rows[block.clock], row_scale[name])
        for clock in self.schema.clocks:
            last = known.row[clock].astype(np.int64)
            _put(self.last[clock], place.decision, last + place.rows[clock])
            _put(self.valid[clock], place.decision, last - known.start[clock] + 1)
            _put(self.scale[clock], place.decision, known.scale[clock])
        _put(self.anchor, place.decision, known.anchor)
        _put(self.trend, place.decision, known.trend)
        _put(self.ts, place.decision, known.ts)

    def _check_room(self, place: Place, segment: Segment) -> None:
        room = place.decision + segment.rows <= self.decisions
        rows = segment_rows(segment, self.schema)
        for name, table in self.blocks.items():
            clock = self.schema.block(name).clock
            room &= place.rows[clock] + rows[clock] <= len(table)
        if not room:
            raise ApexError(
                f"segment {segment.key[:12]} does not fit behind decision row {place.decision}: "
                "give the tables more rows"
            )

    def write_cnn(self, first: int, rows: np.ndarray | Tensor, version: str) -> None:
        """Attaches CNN rows [m, 2, 528] float16 to the decisions from ``first`` on.

        All rows are of one extractor ``version``: MismatchError when another one's are attached
        (swap those of all segments at once, with ``drop_cnn`` before). MismatchError as well when
        the shape is another.
        """
        values = torch.as_tensor(rows, device=self.device)
        if values.shape[1:] != (2, CNN_WIDTH) or first + len(values) > self.decisions:
            raise MismatchError(
                f"CNN rows of shape {tuple(values.shape)} do not belong behind decision {first}: "
                f"[at most {self.decisions - first}, 2, {CNN_WIDTH}] is needed"
            )
        if self.cnn_version not in (None, version):
            raise MismatchError(
                f"the tables hold CNN rows of extractor {self.cnn_version}, not {version}: "
                "drop them before those of another are attached"
            )
        if self.cnn is None:
            shape = (self.decisions, 2, CNN_WIDTH)
            self.cnn = torch.full(shape, torch.nan, dtype=torch.float16, device=self.device)
        self.cnn_version = version
        self.cnn[first : first + len(values)] = values.to(torch.float16)

    def drop_cnn(self) -> None:
        """Forgets the CNN rows, so that those of another extractor can be attached."""
        self.cnn, self.cnn_version = None, None

    @cached_property
    def cpu_plans(self) -> dict[str, BlockPlan]:
        """Constants of the CPU kernel for each block."""
        from apex_trader.state.gather_cpu import BlockPlan

        return {name: BlockPlan.of(self.schema.block(name)) for name in self.blocks}


def _put(target: Tensor, at: int, values: np.ndarray) -> None:
    source = torch.from_numpy(np.ascontiguousarray(values))
    target[at : at + len(values)] = source.to(target.device, target.dtype)


def gather(
    tables: MarketTables,
    rows: Tensor,
    mirror: Tensor | None = None,
    out: Tensor | None = None,
    blocks: Sequence[str] | None = None,
) -> Tensor:
    """States [B, market_size] float32 of decision rows [B] int64 (global numbers).

    mirror [B] bool: which of them to turn upside down. out: where to write them (contiguous).
    blocks: names of the blocks wanted, in the schema's order; default all. Values are clipped to
    ±5, missing is 0. MismatchError when CNN blocks are wanted and no CNN rows are attached.
    """
    wanted = [b for b in tables.schema.blocks if blocks is None or b.name in blocks]
    size = sum(block.size for block in wanted)
    if out is None:
        out = torch.empty((len(rows), size), dtype=torch.float32, device=tables.device)
    if out.shape != (len(rows), size) or not out.is_contiguous():
        raise MismatchError(f"out has shape {tuple(out.shape)}, not {(len(rows), size)}")
    start = 0
    for block in wanted:
        part = out[:, start : start + block.size]
        if block.clock not in CLOCKS:
            _gather_cnn(tables, block, rows, mirror, part)
        elif tables.device.type == "cpu":
            _gather_cpu(tables, block, rows, mirror, out, start)
        else:
            gather_block(tables, block, rows, mirror, part)
        start += block.size
    return out


def windows(tables: MarketTables, rows: Tensor, mirror: Tensor | None, block: str) -> Tensor:
    """One block's windows [B, window, width] of decision rows [B], as they stand in a state."""
    shape = tables.schema.block(block)
    return gather(tables, rows, mirror, blocks=(block,)).view(-1, shape.window, shape.width)


def gather_block(
    tables: MarketTables, block: Block, rows: Tensor, mirror: Tensor | None, out: Tensor
) -> None:
    """Writes one table's windows to ``out`` [B, size] in torch operations, on any device.

    No value is read back to the host, so it can be captured in a CUDA graph.
    """
    window, width = block.window, block.width
    table = tables.blocks[block.name]
    last = tables.last[block.clock][rows]
    view = table.as_strided((len(table) - window + 1, window * width), (width, 1))
    state = view.index_select(0, last - window + 1).view(-1, window, width)
    if block.anchored:
        symbol = SYMBOLS.index(block.symbol)
        scale = (
            tables.row_scale[block.name][last][:, None, :]
            if block.row_scaled
            else tables.scale[block.clock][rows, symbol][:, None, None]
        )
        prices = state[..., : block.anchored]
        prices.sub_(tables.anchor[rows, symbol][:, None, None]).mul_(scale)
        # NaN to 0 before infinities can arise: none can, scales are finite.
        prices.nan_to_num_(0.0)
    state.clamp_(-CLIP, CLIP)
    oldest = window - tables.valid[block.clock][rows]
    hidden = torch.arange(window, device=state.device) < oldest[:, None]
    state.masked_fill_(hidden[..., None], 0.0)
    if mirror is not None:
        index, sign = tables.mirrors[block.name]
        state = torch.where(mirror[:, None, None], state[..., index] * sign, state)
    out.copy_(state.view(-1, block.size))


def _gather_cpu(
    tables: MarketTables, block: Block, rows: Tensor, mirror: Tensor | None, out: Tensor, start: int
) -> None:
    # Here, so that a learner on a GPU needs no numba.
    from apex_trader.state.gather_cpu import copy_windows

    symbol = SYMBOLS.index(block.symbol)
    last = tables.last[block.clock][rows]
    scale = (
        tables.row_scale[block.name][last]
        if block.row_scaled
        else tables.scale[block.clock][rows, symbol, None]
    )
    turned = torch.zeros(len(rows), dtype=torch.bool) if mirror is None else mirror
    copy_windows(
        tables.cpu_plans[block.name],
        tables.blocks[block.name].numpy(),
        last.numpy(),
        tables.valid[block.clock][rows].numpy(),
        tables.anchor[rows, symbol].numpy(),
        scale.numpy(),
        turned.numpy(),
        out.numpy(),
        start,
    )


def _gather_cnn(
    tables: MarketTables, block: Block, rows: Tensor, mirror: Tensor | None, out: Tensor
) -> None:
    if tables.cnn is None:
        raise MismatchError(
            f"schema {tables.schema.name!r} has the block {block.name!r}, but no CNN rows are "
            "attached: fit or load an extractor, or leave the block out of the schema"
        )
    side = torch.zeros_like(rows) if mirror is None else mirror.long()
    columns = slice(0, HIDDEN_SIZE) if block.width == HIDDEN_SIZE else slice(HIDDEN_SIZE, None)
    # NaN stays: a row that was never written must be loud, not a silent zero.
    out.copy_(tables.cnn[rows, side, columns].float().clamp_(-CLIP, CLIP))
