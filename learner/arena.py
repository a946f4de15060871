"""The device arena: tables of the resident segments within a byte budget.

A year of one-second data does not fit beside a network, so segments rotate through equal slots of
preallocated tables. Addresses never change: a captured CUDA graph stays valid while segments and
CNN rows come and go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.errors import ApexError, ConfigError, MismatchError
from apex_trader.state.gather import CNN_WIDTH, MarketTables, Place, segment_rows
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.time import CLOCKS, DAY

I64 = NDArray[np.int64]
CnnRows = NDArray[np.float16] | Tensor


class UnknownRowError(ApexError):
    """A batch refers to a decision row that its segment lacks, or does not have yet."""


@dataclass(frozen=True)
class SlotShape:
    """Room for one segment: table rows on each clock, and decision rows."""

    rows: Mapping[str, int]
    decisions: int

    @classmethod
    def of_day(cls, schema: Schema) -> Self:
        """Room for any UTC day with its look-back."""
        look_back = {c: max(b.window for b in schema.blocks if b.clock == c) for c in schema.clocks}
        rows = {clock: DAY // CLOCKS[clock] + look_back[clock] for clock in schema.clocks}
        return cls(rows, DAY // schema.decision_interval)

    @classmethod
    def holding(cls, segments: Sequence[Segment], schema: Schema) -> Self:
        """Room for the largest of ``segments``, and no more."""
        rows = [segment_rows(segment, schema) for segment in segments]
        most = {clock: max(r[clock] for r in rows) for clock in schema.clocks}
        return cls(most, max(segment.rows for segment in segments))

    def nbytes(self, schema: Schema) -> int:
        """Device bytes of one slot, CNN rows included where the schema has them."""
        market = MarketTables.allocate(schema, self.rows, self.decisions, "meta").nbytes
        return market + has_cnn(schema) * self.decisions * 2 * CNN_WIDTH * 2


@dataclass(frozen=True)
class Loaded:
    """A segment for the arena. cnn [n, 2, 528] float16: its CNN rows, made by ``extractor``."""

    segment: Segment
    cnn: CnnRows | None = None
    extractor: str | None = None


#: Brings a segment by its number in the run's registry.
Loader = Callable[[int], Loaded]


def has_cnn(schema: Schema) -> bool:
    """Whether states of this schema hold CNN features."""
    return schema.has("cnn_hidden") or schema.has("cnn_predictions")


class DeviceArena:
    """Resident segments of one schema on one device, addressed by their registry number.

    Args:
        schema: of every segment.
        budget: bytes for the tables; as many slots as fit are allocated at once.
        device: where.
        shape: room of a slot; default any UTC day.
        segments: how many segments the run has: no more slots than that.
        loader: brings a segment that a batch needs and that is not resident; without one such a
            batch is an error. The least recently used segment makes room.

    Raises:
        ConfigError: the budget is less than one slot.
    """

    def __init__(
        self,
        schema: Schema,
        budget: int,
        device: torch.device | str = "cpu",
        *,
        shape: SlotShape | None = None,
        segments: int | None = None,
        loader: Loader | None = None,
    ) -> None:
        self.shape = shape or SlotShape.of_day(schema)
        self.slot_bytes = self.shape.nbytes(schema)
        slots = budget // self.slot_bytes if segments is None else min(
            budget // self.slot_bytes, max(segments, 1)
        )  # fmt: skip
        if slots < 1:
            raise ConfigError(
                "learner.arena_bytes", budget, f"at least {self.slot_bytes}, one segment of "
                f"{schema.name}"
            )  # fmt: skip
        self._budget, self._loader = budget, loader
        self.tables = _allocate(schema, self.shape, slots, device)
        self._free = list(range(slots))[::-1]
        self._slots = slots
        self._slot_of: dict[int, int] = {}
        self._key_of: dict[int, str] = {}
        # By segment number: first decision row (-1: not resident), rows, CNN rows there, last use.
        self._first: I64 = np.empty(0, np.int64)
        self._rows: I64 = np.empty(0, np.int64)
        self._ready: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._used: I64 = np.empty(0, np.int64)
        self._clock = 0
        self._loads = self._evictions = 0

    @classmethod
    def of(
        cls,
        segments: Sequence[Segment],
        schema: Schema,
        device: torch.device | str = "cpu",
    ) -> Self:
        """An arena that holds all of ``segments``, numbered 0, 1, …, and no more."""
        shape = SlotShape.holding(segments, schema)
        arena = cls(schema, shape.nbytes(schema) * len(segments), device, shape=shape)
        for number, segment in enumerate(segments):
            arena.add(number, Loaded(segment))
        return arena

    @property
    def resident(self) -> list[int]:
        """Numbers of the resident segments, ascending."""
        return sorted(self._slot_of)

    @property
    def extractor(self) -> str | None:
        """Version of the extractor that made all CNN rows here; None before the first."""
        return self.tables.cnn_version

    def first_row(self, number: int) -> int:
        """Global decision row of a resident segment's row 0. ApexError when it is not resident."""
        if number not in self._slot_of:
            raise ApexError(self._not_resident([number]))
        return int(self._first[number])

    def rows(self, segment: NDArray[np.int32], *rows: NDArray[np.int32]) -> list[I64]:
        """Global decision rows [m] int64 of (segment number, row) pairs, for each of ``rows``.

        Brings what is not resident, if there is a loader. Raises ApexError when there is none,
        when the batch needs more segments than there are slots; UnknownRowError when a row does
        not exist; MismatchError when CNN rows are missing.
        """
        numbers = segment.astype(np.int64)
        if numbers.min(initial=0) < 0:
            raise ApexError("a transition refers to a negative segment number")
        known = numbers.max(initial=-1) < len(self._first)
        if not known or (self._first[numbers] < 0).any():
            self._bring(numbers)
        self._clock += 1
        self._used[numbers] = self._clock
        first = self._first[numbers]
        if not self._ready[numbers].all():
            missing = sorted(set(numbers[~self._ready[numbers]].tolist()))
            raise MismatchError(
                f"segments {missing[:5]} have no CNN rows of extractor {self.extractor}: attach "
                "them with DeviceArena.swap_cnn or Loaded.cnn"
            )
        for row in rows:
            if (row < 0).any() or (row >= self._rows[numbers]).any():
                raise UnknownRowError(
                    "a transition refers to a decision row that its segment lacks"
                )
        return [first + row for row in rows]

    def add(self, number: int, loaded: Loaded) -> list[int]:
        """Make a segment resident; returns the numbers evicted for it (one or none).

        Transitions of an evicted segment either go from the replay (``evict_segment``), or a
        loader brings it back. MismatchError when the number stands for another segment, or when
        its CNN rows come from another extractor than those here.
        """
        self._check_identity(number, loaded)
        if number in self._slot_of:
            return []
        evicted = [] if self._free else [self._least_recent(np.empty(0, np.int64))]
        for other in evicted:
            self.evict(other)
        slot = self._free[-1]
        place = self._place(slot)
        self._check_fits(loaded.segment)
        self.tables.write(place, loaded.segment)
        self.tables.first_row.pop()  # the arena keeps its own list: slots are reused
        if loaded.cnn is not None:
            self._write_cnn(place.decision, loaded.segment.rows, loaded.cnn, loaded.extractor)
        self._free.pop()
        self._register(number, slot, place.decision, loaded)
        return evicted

    def grow(self, number: int, loaded: Loaded) -> None:
        """A segment goes on: ``loaded`` is the same day with the same rows and more behind them.

        ApexError when it has fewer rows than before; others as in ``add``, but for its new key.
        """
        if number in self._slot_of and loaded.segment.rows < self._rows[number]:
            raise ApexError(
                f"segment {number} has {loaded.segment.rows} decisions, it had "
                f"{self._rows[number]}: a segment that goes on keeps its rows"
            )
        self._key_of[number] = loaded.segment.key
        if number not in self._slot_of:
            return
        self._check_identity(number, loaded)
        self._check_fits(loaded.segment)
        place = self._place(self._slot_of[number])
        self.tables.write(place, loaded.segment)
        self.tables.first_row.pop()
        if loaded.cnn is not None:
            self._write_cnn(place.decision, loaded.segment.rows, loaded.cnn, loaded.extractor)
        self._rows[number] = loaded.segment.rows
        self._ready[number] = loaded.cnn is not None or self.tables.cnn is None

    def evict(self, number: int) -> None:
        """Free a segment's slot. ApexError when it is not resident."""
        if number not in self._slot_of:
            raise ApexError(self._not_resident([number]))
        self._free.append(self._slot_of.pop(number))
        self._first[number] = -1
        self._ready[number] = False
        self._evictions += 1

    def swap_cnn(self, version: str, rows: Callable[[int], CnnRows]) -> None:
        """Replace the CNN rows of all resident segments by those of another extractor.

        rows(number) [n, 2, 528]: the new rows of a segment. Versions never mix: the old rows are
        gone before the first new one is written, and a segment that was not reached, because
        ``rows`` failed, cannot be sampled.
        """
        if self.tables.cnn is None:
            raise MismatchError(f"schema {self.tables.schema.name} has no CNN blocks to fill")
        # In place: a captured CUDA graph reads this very tensor.
        self.tables.cnn.fill_(torch.nan)
        self.tables.cnn_version = version
        self._ready[:] = False
        for number in self.resident:
            self._write_cnn(
                int(self._first[number]), int(self._rows[number]), rows(number), version
            )
            self._ready[number] = True

    def summary(self) -> str:
        """One line: its room, what a segment costs, the budget; once there are any, what it holds.

        A run says it before anything is loaded: segments come when a batch asks for them.
        """
        room = (
            f"arena on {self.tables.device}: room for {self._slots} segments of "
            f"{self.tables.schema.name}, {self.slot_bytes / 2**20:.1f} MiB each, "
            f"{self.tables.nbytes / 2**30:.2f} GiB of a budget of {self._budget / 2**30:.2f} GiB"
        )
        held = f"; {len(self._slot_of)} loaded" if self._slot_of else ""
        return room + held + (f"; extractor {self.extractor}" if self.extractor else "")

    def metrics(self) -> dict[str, float]:
        """Bytes, resident segments, and how often segments came and went."""
        return {
            "learner/arena_bytes": float(self.tables.nbytes),
            "learner/arena_resident": float(len(self._slot_of)),
            "learner/arena_slots": float(self._slots),
            "learner/arena_loads": float(self._loads),
            "learner/arena_evictions": float(self._evictions),
        }

    def _bring(self, numbers: I64) -> None:
        wanted = np.unique(numbers)
        missing = [int(n) for n in wanted if int(n) not in self._slot_of]
        if self._loader is None:
            raise ApexError(self._not_resident(missing))
        if len(wanted) > self._slots:
            raise ApexError(
                f"a batch spans {len(wanted)} segments, the arena holds {self._slots}: raise "
                "learner.arena_bytes, or let the replay hold fewer segments"
            )
        for number in missing:
            if not self._free:
                self.evict(self._least_recent(wanted))
            self.add(number, self._loader(number))

    def _least_recent(self, spared: I64) -> int:
        candidates = np.array([n for n in self._slot_of if n not in set(spared.tolist())], np.int64)
        return int(candidates[self._used[candidates].argmin()])

    def _grow(self, number: int) -> None:
        more = number + 1 - len(self._first)
        if more > 0:
            self._first = np.concatenate([self._first, np.full(more, -1, np.int64)])
            self._rows = np.concatenate([self._rows, np.zeros(more, np.int64)])
            self._ready = np.concatenate([self._ready, np.zeros(more, np.bool_)])
            self._used = np.concatenate([self._used, np.zeros(more, np.int64)])

    def _register(self, number: int, slot: int, first: int, loaded: Loaded) -> None:
        self._grow(number)
        self._clock += 1
        self._used[number] = self._clock
        self._slot_of[number] = slot
        self._key_of[number] = loaded.segment.key
        self._first[number] = first
        self._rows[number] = loaded.segment.rows
        self._ready[number] = loaded.cnn is not None or self.tables.cnn is None
        self._loads += 1

    def _place(self, slot: int) -> Place:
        rows = {clock: slot * n for clock, n in self.shape.rows.items()}
        return Place(slot * self.shape.decisions, rows)

    def _write_cnn(self, first: int, count: int, rows: CnnRows, version: str | None) -> None:
        if self.tables.cnn is None:
            raise MismatchError(f"schema {self.tables.schema.name} has no CNN blocks to fill")
        if len(rows) != count or version is None:
            raise MismatchError(
                f"{len(rows)} CNN rows of extractor {version} for a segment of {count} decisions"
            )
        self.tables.write_cnn(first, rows, version)

    def _check_identity(self, number: int, loaded: Loaded) -> None:
        if number < 0:
            raise ApexError(f"segment number {number} cannot be used: numbers start at 0")
        schema = self.tables.schema
        if loaded.segment.schema != schema.fingerprint:
            raise MismatchError(
                f"segment {number} was built for schema {loaded.segment.schema}, the arena holds "
                f"{schema.name} {schema.fingerprint}: build it again with this schema"
            )
        known = self._key_of.get(number, loaded.segment.key)
        if known != loaded.segment.key:
            raise MismatchError(
                f"segment {number} was {known}, now it is {loaded.segment.key}: the market store "
                "changed during the run; restore it or start a new run"
            )
        if self.extractor not in (None, loaded.extractor) and loaded.cnn is not None:
            raise MismatchError(
                f"segment {number} brings CNN rows of extractor {loaded.extractor}, the arena "
                f"holds those of {self.extractor}: swap all segments with swap_cnn first"
            )

    def _check_fits(self, segment: Segment) -> None:
        rows = segment_rows(segment, self.tables.schema)
        short = [c for c, n in rows.items() if n > self.shape.rows[c]]
        if short or segment.rows > self.shape.decisions:
            raise ApexError(
                f"segment {segment.key[:12]} has {segment.rows} decisions and rows {rows}, a slot "
                f"holds {self.shape.decisions} and {dict(self.shape.rows)}: build the arena with "
                "SlotShape.holding"
            )

    def _not_resident(self, missing: list[int]) -> str:
        return (
            f"segments {missing[:5]} are not resident ({len(self._slot_of)} of {self._slots} slots "
            "in use): evict their transitions from the replay, raise learner.arena_bytes, or "
            "give the arena a loader"
        )


def _allocate(
    schema: Schema, shape: SlotShape, slots: int, device: torch.device | str
) -> MarketTables:
    rows = {clock: slots * n for clock, n in shape.rows.items()}
    tables = MarketTables.allocate(schema, rows, slots * shape.decisions, device)
    if has_cnn(schema):
        size = (slots * shape.decisions, 2, CNN_WIDTH)
        tables.cnn = torch.full(size, torch.nan, dtype=torch.float16, device=tables.device)
    return tables
