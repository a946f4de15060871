"""A sum tree over priorities, one set of inner nodes per stratum over one leaf array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.experience import STRATA

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

#: Children of a node. Wide nodes keep a tree of a million leaves five levels deep and let the
#: children of a node share two cache lines.
FANOUT = 16
_SHIFT = 4
_STRATA = len(STRATA)


@njit(cache=True, nogil=True, inline="always")
def _sum16(values: F64, start: int) -> float:
    """Sum of 16 neighbours in one fixed order, as four chains that overlap in the processor."""
    a = values[start] + values[start + 4] + values[start + 8] + values[start + 12]
    b = values[start + 1] + values[start + 5] + values[start + 9] + values[start + 13]
    c = values[start + 2] + values[start + 6] + values[start + 10] + values[start + 14]
    d = values[start + 3] + values[start + 7] + values[start + 11] + values[start + 15]
    return float((a + b) + (c + d))


@njit(cache=True, nogil=True, inline="always")
def _masked_sum16(leaf: F64, bits: U8, start: int, mask: int) -> float:
    """Sum of those of 16 leaves that carry a stratum's bit."""
    total = 0.0
    for j in range(start, start + FANOUT):
        if bits[j] & mask:
            total += leaf[j]
    return total


@njit(cache=True, nogil=True)
def _recompute(
    leaf: F64, bits: U8, inner: F64, offsets: I64, nodes: I64, touched: int, dirty: U8
) -> None:
    """Recompute the listed lowest nodes and all their ancestors from their children.

    nodes[:touched] are lowest nodes, without repeats; dirty[node] holds the strata that changed
    and is zero again afterwards.
    """
    for level in range(len(offsets)):
        base = offsets[level]
        below = offsets[level - 1] if level else 0
        above = offsets[level + 1] if level + 1 < len(offsets) else -1
        parents = 0
        for i in range(touched):
            node = nodes[i]
            mask = dirty[base + node]
            dirty[base + node] = 0
            for s in range(_STRATA):
                if mask >> s & 1:
                    if level:
                        inner[s, base + node] = _sum16(inner[s], below + node * FANOUT)
                    elif s == 0:
                        inner[s, base + node] = _sum16(leaf, node * FANOUT)
                    else:
                        inner[s, base + node] = _masked_sum16(leaf, bits, node * FANOUT, 1 << s)
            if above >= 0:
                parent = node >> _SHIFT
                if dirty[above + parent] == 0:
                    nodes[parents] = parent
                    parents += 1
                dirty[above + parent] |= mask
        touched = parents


@njit(cache=True, nogil=True)
def _write(
    leaf: F64, bits: U8, inner: F64, offsets: I64, dirty: U8, counts: I64,
    slots: I64, mass: F64, new_bits: U8, keep_mass: bool, keep_bits: bool,
) -> None:  # fmt: skip
    """Set masses and strata bits of slots (the last of equal slots wins), then their ancestors."""
    nodes = np.empty(len(slots), np.int64)
    touched = 0
    for i in range(len(slots)):
        slot = slots[i]
        before = bits[slot]
        after = before if keep_bits else new_bits[i]
        if before != after:
            for s in range(_STRATA):
                counts[s] += np.int64(after >> s & 1) - np.int64(before >> s & 1)
            bits[slot] = after
        if not keep_mass:
            leaf[slot] = mass[i]
        node = slot >> _SHIFT
        change = before | after
        if change:
            if dirty[node] == 0:
                nodes[touched] = node
                touched += 1
            dirty[node] |= change
    _recompute(leaf, bits, inner, offsets, nodes, touched, dirty)


@njit(cache=True, nogil=True, inline="always")
def _find(leaf: F64, bits: U8, inner: F64, offsets: I64, stratum: int, target: float) -> int:
    """The slot whose interval of the stratum's cumulative mass holds ``target``.

    Where rounding carries the target past the last child, the last child with mass takes it, so a
    slot without mass is never returned.
    """
    node = 0
    for level in range(len(offsets) - 2, -1, -1):
        base = offsets[level] + node * FANOUT
        chosen, held = 0, 0.0
        for j in range(FANOUT):
            mass = inner[stratum, base + j]
            if mass > 0.0:
                chosen, held = j, mass
                if target < mass:
                    break
                target -= mass
        else:
            target = held
        node = node * FANOUT + chosen
    base, chosen, mask = node * FANOUT, 0, 1 << stratum
    for j in range(FANOUT):
        if bits[base + j] & mask:
            mass = leaf[base + j]
            if mass > 0.0:
                chosen = j
                if target < mass:
                    break
                target -= mass
    return base + chosen


@njit(cache=True, nogil=True, inline="always")
def _choose(p1: float, p2: float, p3: float, target: float) -> tuple[int, float]:
    """Which of four neighbours holds the target, and what is left of it; without branches, since
    the processor cannot foresee them. p1, p2, p3: prefix sums of the first one, two, three."""
    low = p3 if target >= p3 else (p2 if target >= p2 else (p1 if target >= p1 else 0.0))
    place = int(target >= p1) + int(target >= p2) + int(target >= p3)
    return place, target - low


@njit(cache=True, nogil=True, inline="always")
def _child(values: F64, start: int, target: float) -> tuple[int, float]:
    """Which of 16 neighbours holds the target: first which four of them, then which one."""
    a = values[start] + values[start + 1] + (values[start + 2] + values[start + 3])
    b = values[start + 4] + values[start + 5] + (values[start + 6] + values[start + 7])
    c = values[start + 8] + values[start + 9] + (values[start + 10] + values[start + 11])
    four, target = _choose(a, a + b, a + b + c, target)
    at = start + 4 * four
    pair = values[at] + values[at + 1]
    one, target = _choose(values[at], pair, pair + values[at + 2], target)
    return at + one, target


@njit(cache=True, nogil=True, inline="always")
def _member(leaf: F64, bits: U8, start: int, mask: int, target: float) -> int:
    """Which of 16 leaves of a stratum holds the target."""
    place, total = 0, 0.0
    for j in range(start, start + FANOUT - 1):
        total += leaf[j] if bits[j] & mask else 0.0
        place += int(target >= total)
    return start + place


@njit(cache=True, nogil=True)
def _draw(
    leaf: F64, bits: U8, inner: F64, offsets: I64, stratum: int, target: F64, out: I64
) -> None:
    """The slot of every target [n] of a stratum, into out [n].

    All targets go down one level together, so that their cache misses overlap. A target that
    rounding carries past the last child stays among the nodes that exist (``last``), and when it
    ends in a slot without mass it is looked up again, with care.
    """
    count, left = len(target), target.copy()
    sums = inner[stratum]
    out[:] = 0
    for level in range(len(offsets) - 2, -1, -1):
        base, below = offsets[level], offsets[level - 1] if level else 0
        last = ((offsets[level] - below if level else len(leaf)) >> _SHIFT) - 1
        for i in range(count):
            child, left[i] = _child(sums, base + out[i] * FANOUT, left[i])
            out[i] = min(child - base, last)
    mask = 1 << stratum
    for i in range(count):
        if stratum == 0:
            out[i], left[i] = _child(leaf, out[i] * FANOUT, left[i])
        else:
            out[i] = _member(leaf, bits, out[i] * FANOUT, mask, left[i])
    for i in range(count):
        slot = out[i]
        if not (leaf[slot] > 0.0 and bits[slot] & mask):
            out[i] = _find(leaf, bits, inner, offsets, stratum, target[i])


@njit(cache=True, nogil=True)
def _sample(leaf: F64, bits: U8, inner: F64, offsets: I64, counts: I64, uniforms: F64) -> I64:
    """Slots [batches * batch]; each batch draws counts[s] from stratum s, one from each of
    counts[s] equal intervals of its mass."""
    batches, size = uniforms.shape
    slots = np.empty(batches * size, np.int64)
    root, at = offsets[-1], 0
    for b in range(batches):
        first = 0
        for s in range(_STRATA):
            n = counts[s]
            if n > 0:
                target = (np.arange(n) + uniforms[b, first : first + n]) * (inner[s, root] / n)
                _draw(leaf, bits, inner, offsets, s, target, slots[at : at + n])
                at += n
                first += n
    return slots


class SumTree:
    """Priority masses of ``capacity`` slots and their sums, per stratum.

    Textbook trees keep one binary tree a distribution and add differences up the path, so four
    strata cost four trees and their sums drift. Here every slot has one float64 mass and one byte
    of strata bits; each stratum has only inner nodes, 16 children each, and a changed node is
    recomputed from its children in a fixed order. So a sum is always a function of the leaves,
    with no drift, and a slot costs about 11 bytes. Updating or sampling n slots costs
    O(16 n log16 capacity).

    A slot that holds nothing has bits 0 and mass 0; every other has the bit of "main".
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ApexError(f"a sum tree of capacity {capacity} holds nothing: use at least 1")
        self.capacity = capacity
        sizes: list[int] = []
        nodes = capacity
        while nodes > 1 or not sizes:
            nodes = -(-nodes // FANOUT)
            sizes.append(nodes)
        # All but the root are padded to whole families, so that kernels need no bounds.
        padded = [-(-n // FANOUT) * FANOUT for n in sizes[:-1]] + [1]
        self._sizes = sizes
        self._offsets = np.concatenate([[0], np.cumsum(padded)[:-1]]).astype(np.int64)
        self._leaf = np.zeros(sizes[0] * FANOUT)
        self._bits = np.zeros(sizes[0] * FANOUT, np.uint8)
        self._inner = np.zeros((_STRATA, sum(padded)))
        self._dirty = np.zeros(sum(padded), np.uint8)
        self._counts = np.zeros(_STRATA, np.int64)

    def set(self, slots: I64, mass: F64, bits: U8) -> None:
        """Fill slots [m] with masses [m] (finite, not negative) and strata bits [m]."""
        self._write(slots, mass, bits)

    def set_mass(self, slots: I64, mass: F64) -> None:
        """Change the masses of slots [m]; of equal slots the last wins."""
        self._write(slots, mass, None)

    def add_bits(self, slots: I64, bits: int) -> None:
        """Add strata to slots [m] that hold something."""
        self._write(slots, None, self._bits[slots] | np.uint8(bits))

    def clear(self, slots: I64) -> None:
        """Empty slots [m]."""
        self._write(slots, np.zeros(len(slots)), np.zeros(len(slots), np.uint8))

    def mass(self, slots: I64) -> F64:
        """Masses of slots [m]."""
        return self._leaf[slots]

    def bits(self, slots: I64) -> U8:
        """Strata bits of slots [m]."""
        return self._bits[slots]

    @property
    def totals(self) -> F64:
        """Mass of each stratum, [4]."""
        root: F64 = self._inner[:, self._offsets[-1]].copy()
        return root

    @property
    def counts(self) -> I64:
        """Slots in each stratum, [4]."""
        return self._counts.copy()

    def sample(self, counts: I64, uniforms: F64) -> I64:
        """Draw batches, proportionally to mass within each stratum.

        Args:
            counts: draws from each stratum a batch [4], zero for a stratum without mass.
            uniforms: random numbers in [0, 1), [batches, sum of counts].

        Returns:
            slots [batches, sum of counts], those of each stratum together and in the order of
            STRATA. The n draws of a stratum take one point from each n-th of its mass (Schaul et
            al. 2016, appendix B.2.1): n times the slot's probability is its expected number.
        """
        if np.any((counts > 0) & (self.totals <= 0.0)):
            raise ApexError("the replay was asked to draw from a stratum without mass")
        slots: I64 = _sample(self._leaf, self._bits, self._inner, self._offsets, counts, uniforms)
        return slots.reshape(uniforms.shape)

    def rebuild(self) -> None:
        """Recompute every sum and count from the leaves."""
        self._inner, self._counts = self._recomputed()

    def drift(self) -> float:
        """Largest relative error of a sum against its recomputation; 0 by construction."""
        exact, _ = self._recomputed()
        scale = np.maximum(np.abs(exact), np.finfo(np.float64).tiny)
        return float(np.max(np.abs(self._inner - exact) / scale))

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(a.nbytes for a in (self._leaf, self._bits, self._inner, self._dirty))

    def state_dict(self) -> dict[str, Any]:
        """Masses and bits of every slot; sums follow from them."""
        return {
            "mass": self._leaf[: self.capacity].copy(),
            "bits": self._bits[: self.capacity].copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the masses and bits of a tree of the same capacity."""
        if len(state["mass"]) != self.capacity:
            raise ApexError(
                f"a sum tree of {len(state['mass'])} slots cannot be restored into one of "
                f"{self.capacity}: keep replay.capacity and replay.shards on resume"
            )
        self._leaf[: self.capacity] = state["mass"]
        self._bits[: self.capacity] = state["bits"]
        self.rebuild()

    def _recomputed(self) -> tuple[F64, I64]:
        inner, dirty = np.zeros_like(self._inner), np.zeros_like(self._dirty)
        nodes = np.arange(self._sizes[0])
        dirty[nodes] = (1 << _STRATA) - 1
        _recompute(self._leaf, self._bits, inner, self._offsets, nodes, len(nodes), dirty)
        counts = [np.count_nonzero(self._bits & (1 << s)) for s in range(_STRATA)]
        return inner, np.array(counts, np.int64)

    def _write(self, slots: I64, mass: F64 | None, bits: U8 | None) -> None:
        _write(
            self._leaf, self._bits, self._inner, self._offsets, self._dirty, self._counts,
            np.asarray(slots, np.int64),
            np.empty(0) if mass is None else np.asarray(mass, np.float64),
            np.empty(0, np.uint8) if bits is None else np.asarray(bits, np.uint8),
            mass is None, bits is None,
        )  # fmt: skip
