"""Columns of transitions in a ring, and where each market row's transitions lie."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.experience import Transitions

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

#: A generation is incarnation << SEQUENCE_BITS | insert sequence; 0 marks an empty slot.
SEQUENCE_BITS = 40
#: Columns kept here. Strata are kept by the sum tree, whose sums depend on them.
COLUMNS = tuple(f.name for f in fields(Transitions) if f.name != "strata")
_NONE = -1


@njit(cache=True, nogil=True)
def _link(head: I32, link: I32, rows: I32, slots: I64) -> None:
    """Put each slot in front of its row's chain."""
    for i in range(len(slots)):
        link[slots[i]] = head[rows[i]]
        head[rows[i]] = slots[i]


@njit(cache=True, nogil=True)
def _walk(
    head: I32, link: I32, generation: U64, segment: I32, row: I32, wanted: int, rows: I64, out: I64
) -> int:
    """Slots of the wanted rows; returns how many there are and fills ``out`` while it has room."""
    found = 0
    for i in range(len(rows)):
        if rows[i] < 0 or rows[i] >= len(head):
            continue
        slot, newest = np.int64(head[rows[i]]), np.uint64(0xFFFFFFFFFFFFFFFF)
        while slot >= 0 and 0 < generation[slot] < newest:
            if segment[slot] != wanted or row[slot] != rows[i]:
                break
            if found < len(out):
                out[found] = slot
            found += 1
            newest = generation[slot]
            slot = np.int64(link[slot])
    return found


class TransitionStore:
    """A ring of ``capacity`` transitions: the oldest goes first (FIFO).

    To find the transitions of a market row, each segment has an array of the newest slot of every
    row, and each slot links to the next older one of its row: 4 bytes a slot. No link is ever
    removed. Since the oldest goes first, a slot that was overwritten ends its chain: all that lie
    behind it are older and gone too. It is known by its row, or by a generation that is not
    older than that of the slot before it.
    """

    def __init__(self, capacity: int, incarnation: int, actions: int | None = None) -> None:
        if not 0 <= incarnation < 1 << (64 - SEQUENCE_BITS):
            raise ApexError(f"incarnation {incarnation} of a shard does not fit into 24 bits")
        self.capacity, self.incarnation = capacity, incarnation
        zeros = Transitions.empty(capacity, actions)
        self._columns = {name: getattr(zeros, name) for name in COLUMNS}
        self.generation: U64 = np.zeros(capacity, np.uint64)
        self._link = np.full(capacity, _NONE, np.int32)
        self._heads: dict[int, I32] = {}
        self.sequence = 0

    def append(self, transitions: Transitions) -> tuple[I64, int]:
        """Store m ≤ capacity transitions; returns (slots [m], how many others they replaced)."""
        m = len(transitions)
        if m > self.capacity:
            raise ApexError(f"{m} transitions do not fit into a shard of {self.capacity}")
        sequence = np.arange(self.sequence, self.sequence + m)
        slots = sequence % self.capacity
        replaced = int(np.count_nonzero(self.generation[slots]))
        for name, column in self._columns.items():
            column[slots] = getattr(transitions, name)
        self.generation[slots] = self._generations(sequence)
        self.sequence += m
        self._index(slots)
        return slots, replaced

    def take(self, slots: I64, strata: NDArray[np.uint8]) -> Transitions:
        """The transitions in slots [m], with their strata bits."""
        columns = {name: np.take(column, slots, axis=0) for name, column in self._columns.items()}
        return Transitions(**columns, strata=strata)

    def slots_of(self, segment: int, rows: I64) -> I64:
        """Slots of the transitions that start at the rows [k] (distinct) of a segment."""
        head = self._heads.get(segment)
        if head is None:
            return np.empty(0, np.int64)
        out, found = np.empty(0, np.int64), 4 * len(rows)
        while found > len(out):
            out = np.empty(found, np.int64)
            found = _walk(
                head, self._link, self.generation, self._columns["segment"], self._columns["row"],
                segment, rows, out,
            )  # fmt: skip
        return out[:found]

    def evict_segment(self, segment: int) -> I64:
        """Empty every slot that refers to a segment; returns those slots."""
        held = (self._columns["segment"] == segment) & (self.generation != 0)
        slots = np.flatnonzero(held)
        self.generation[slots] = 0
        self._heads.pop(segment, None)
        return slots

    @property
    def held_segments(self) -> list[int]:
        """Segments that the index knows, ascending; the last of some may have been overwritten."""
        return sorted(self._heads)

    @property
    def segments(self) -> int:
        """Segments that the index knows."""
        return len(self._heads)

    @property
    def nbytes(self) -> int:
        """Bytes of columns, generations and index."""
        arrays = [*self._columns.values(), self.generation, self._link, *self._heads.values()]
        return sum(a.nbytes for a in arrays)

    def state_dict(self, since: int = 0) -> dict[str, Any]:
        """The transitions inserted at or after a sequence, oldest first, as arrays.

        Transitions never change, so a snapshot that has those before ``since`` needs only these.
        """
        first = max(since, self.sequence - self.capacity, 0)
        slots = np.arange(first, self.sequence) % self.capacity
        columns = {name: column[slots] for name, column in self._columns.items()}
        return {
            "incarnation": self.incarnation,
            "sequence": self.sequence,
            "first": first,
            **columns,
        }

    def load_state_dict(self, state: dict[str, Any], held: NDArray[np.bool_]) -> None:
        """Take over a state (continuing what is there where the state starts later than 0).

        held: which slots are in use [capacity]; others were evicted. Generations carry this
        store's incarnation, so that what was handed out before is stale.
        """
        first, last = int(state["first"]), int(state["sequence"])
        if first > max(self.sequence, last - self.capacity, 0) or last - first > self.capacity:
            raise ApexError(
                f"a replay snapshot of transitions {first} to {last} does not continue one of "
                f"{self.sequence} in {self.capacity} slots: load the snapshots in order, with the "
                "capacity they were made with"
            )
        slots = np.arange(first, last) % self.capacity
        for name, column in self._columns.items():
            column[slots] = state[name]
        self.sequence = last
        sequence = self._held_sequence()
        self.generation.fill(0)
        self.generation[sequence % self.capacity] = self._generations(sequence)
        self.generation[~held] = 0
        self._heads.clear()
        self._link.fill(_NONE)
        kept = sequence % self.capacity
        self._index(kept[self.generation[kept] != 0])

    def _held_sequence(self) -> I64:
        return np.arange(max(self.sequence - self.capacity, 0), self.sequence)

    def _generations(self, sequence: I64) -> U64:
        # One more than the sequence, so that no stored transition has generation 0.
        high = np.uint64(self.incarnation << SEQUENCE_BITS)
        return high | (sequence.astype(np.uint64) + np.uint64(1))

    def _index(self, slots: I64) -> None:
        segments, rows = self._columns["segment"][slots], self._columns["row"][slots]
        for segment in np.unique(segments):
            own = segments == segment
            head = self._head(int(segment), int(rows[own].max()))
            _link(head, self._link, rows[own], slots[own])

    def _head(self, segment: int, row: int) -> I32:
        head = self._heads.get(segment, np.empty(0, np.int32))
        if row >= len(head):
            grown = np.full(max(row + 1, len(head) * 5 // 4, 1024), _NONE, np.int32)
            grown[: len(head)] = head
            self._heads[segment] = head = grown
        return head
