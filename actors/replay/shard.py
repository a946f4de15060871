"""One shard of the prioritized replay: a plain class, wrapped by the runtime."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.replay.config import ReplayConfig
from actors.replay.rate_limiter import RateLimiter
from actors.replay.storage import TransitionStore
from actors.replay.strata import Peers, importance_weights, mixture, strata_ratio
from actors.replay.sum_tree import SumTree
from apex_trader.errors import ApexError
from apex_trader.experience import MAIN, STRATA, Sample, Transitions

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]


class ReplayShard:
    """Prioritized experience replay over references into the market (Schaul et al. 2016; Horgan
    et al. 2018), with strata, pacing, and updates that cannot hit the wrong transition.

    Args:
        config: of the whole replay; this shard has its ``shard_capacity`` slots.
        index: number of the shard.
        incarnation: how often this shard was started in the run. A new incarnation rejects the
            priority updates that were meant for an older one.
        seed: of the run; shard and incarnation are mixed in.
        actions: of how many actions each transition holds the outcomes; None: of the one taken.
    """

    def __init__(
        self,
        config: ReplayConfig,
        index: int,
        incarnation: int,
        seed: int,
        actions: int | None = None,
    ) -> None:
        if not 0 <= index < config.shards:
            raise ApexError(f"shard {index} does not exist: replay.shards={config.shards}")
        self.config, self.index, self.incarnation = config, index, incarnation
        self._random = np.random.default_rng([seed, index, incarnation])
        self._tree = SumTree(config.shard_capacity)
        self._store = TransitionStore(config.shard_capacity, incarnation, actions)
        self._limiter = RateLimiter.from_config(config)
        self._peers = Peers()
        self._counters = dict.fromkeys(_COUNTERS, 0)
        self._drawn = np.zeros(len(STRATA), np.int64)

    def __len__(self) -> int:
        return self._limiter.size

    @property
    def warming_up(self) -> bool:
        """Too small to sample: actors are never made to wait, the learner should go elsewhere."""
        return self._limiter.warming_up

    @property
    def mass(self) -> float:
        """Main mass Σ (priority + ε)^α, for the other shards' ``Peers``."""
        return float(self._tree.totals[0])

    def set_peers(self, peers: Peers) -> None:
        """Tell the shard of the others, for importance weights; alone until told."""
        self._peers = peers

    def insert(
        self,
        transitions: Transitions,
        priorities: NDArray[np.floating[Any]],
        paced: bool = True,
    ) -> bool:
        """Store transitions [m] with their priorities [m], all of them or none.

        False when the rate limiter asks the caller to wait, or to try another shard; not ``paced``
        they are stored all the same, and later ones wait the longer. Transitions
        whose priority is NaN, infinite or negative, or whose numbers are not finite, would poison
        the sums or the learner: they are left out and counted.
        """
        if len(priorities) != len(transitions):
            raise ApexError(
                f"{len(transitions)} transitions came with {len(priorities)} priorities"
            )
        if paced and not self._limiter.can_insert(len(transitions)):
            self._counters["insert_waits"] += 1
            return False
        good = _valid(priorities) & _finite(transitions)
        if not good.all():
            self._counters["rejected_inserts"] += int(np.count_nonzero(~good))
            transitions, priorities = transitions.take(np.flatnonzero(good)), priorities[good]
        slots, replaced = self._store.append(transitions)
        self._tree.set(slots, self._to_mass(priorities), transitions.strata | np.uint8(MAIN))
        self._limiter.inserted(len(slots))
        self._limiter.deleted(replaced)
        return True

    def sample(self, batches: int, update: int | None = None) -> list[Sample] | None:
        """Draw batches, or None while the rate limiter asks to wait.

        Args:
            batches: how many, at most ``prefetch``.
            update: the learner's update count, which places β; by default it is estimated from
                the batches this shard has given and its share of all.
        """
        size = self.config.batch_size
        if not self._limiter.can_sample(batches * size):
            self._counters["sample_waits"] += 1
            return None
        if update is None:
            update = int(self._limiter.samples / size / self._peers.share)
        slots, counts = self._draw(batches)
        self._limiter.sampled(slots.size)
        self._drawn += batches * counts
        return self._samples(slots, counts, self.config.beta_at(update))

    def update(self, slots: I64, generations: U64, priorities: NDArray[np.floating[Any]]) -> None:
        """Set the priorities of slots [m] whose generation is still the given one.

        Others were recycled, evicted or restored since: rejected and counted, as are priorities
        that are NaN, infinite or negative. Of equal slots the last wins.
        """
        if not len(slots) == len(generations) == len(priorities):
            raise ApexError(
                f"{len(slots)} slots came with {len(generations)} generations and "
                f"{len(priorities)} priorities"
            )
        valid, known = _valid(priorities), (slots >= 0) & (slots < self._store.capacity)
        fresh = self._store.generation[np.where(known, slots, 0)] == generations
        fresh &= known & (generations != 0)
        self._counters["rejected_invalid"] += int(np.count_nonzero(~valid))
        self._counters["rejected_stale"] += int(np.count_nonzero(valid & ~fresh))
        good = valid & fresh
        self._tree.set_mass(slots[good], self._to_mass(priorities[good]))
        self._counters["updates"] += int(np.count_nonzero(good))

    def tag(self, segment: int, rows: NDArray[np.integer[Any]], bit: int) -> int:
        """Add a stratum's bit to the transitions that start at rows [k] of a segment.

        Returns how many are held. Rows without transitions are no error: others hold them.
        """
        if bit <= 0 or bit >= 1 << len(STRATA):
            raise ApexError(f"{bit} is no stratum's bit: see apex_trader.experience.STRATA")
        slots = self._store.slots_of(segment, np.unique(np.asarray(rows, np.int64)))
        self._tree.add_bits(slots, bit)
        self._counters["tagged"] += len(slots)
        return len(slots)

    def evict_segment(self, segment: int) -> int:
        """Forget the transitions of a segment that leaves the run; returns how many."""
        slots = self._store.evict_segment(segment)
        self._tree.clear(slots)
        self._limiter.deleted(len(slots))
        return len(slots)

    def keep_segments(self, segments: Collection[int]) -> int:
        """Forget the transitions of every segment but these; returns how many."""
        return sum(self.evict_segment(k) for k in self._store.held_segments if k not in segments)

    def check_drift(self) -> float:
        """Largest relative error of the trees' sums, which are rebuilt when it is not 0."""
        drift = self._tree.drift()
        if drift > 0.0:
            self._tree.rebuild()
            self._counters["drift_rebuilds"] += 1
        return drift

    def metrics(self) -> dict[str, float]:
        """Figures of this shard, keys under ``replay/``. Counts are since the shard began."""
        limiter, size = self._limiter, max(len(self), 1)
        counts, drawn = self._tree.counts, self._drawn / max(int(self._drawn.sum()), 1)
        out: dict[str, float] = {
            "replay/size": len(self),
            "replay/fill": len(self) / self._store.capacity,
            "replay/mass": self.mass,
            "replay/inserts": limiter.inserts,
            "replay/samples": limiter.samples,
            "replay/deletes": limiter.deletes,
            "replay/samples_per_insert": limiter.samples / max(limiter.inserts, 1),
            "replay/warming_up": float(self.warming_up),
            "replay/incarnation": self.incarnation,
            "replay/segments": self._store.segments,
            "replay/bytes_per_slot": self.nbytes / self._store.capacity,
        }
        for s, name in enumerate(STRATA):
            out[f"replay/share_held_{name}"] = float(counts[s]) / size
            out[f"replay/share_drawn_{name}"] = float(drawn[s])
        return out | {f"replay/{name}": float(n) for name, n in self._counters.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of storage, index and trees."""
        return self._store.nbytes + self._tree.nbytes

    def state_dict(self, since: int = 0) -> dict[str, Any]:
        """Everything, as arrays and plain values, for a snapshot.

        since: with the ``sequence`` of an earlier snapshot, transitions older than that are left
        out (they never change); masses and strata, 9 bytes a slot, are always whole.
        """
        return {
            "store": self._store.state_dict(since),
            "tree": self._tree.state_dict(),
            "limiter": self._limiter.state_dict(),
            "random": self._random.bit_generator.state,
            "counters": dict(self._counters),
            "drawn": self._drawn.copy(),
        }

    @property
    def sequence(self) -> int:
        """Transitions ever stored: the ``since`` of the next incremental snapshot."""
        return self._store.sequence

    def load_state_dict(self, state: dict[str, Any], *, exact: bool = False) -> None:
        """Continue from a snapshot, or from a whole one and then each incremental one in order.

        By default this is a new incarnation: generations are this shard's, so updates for what
        was sampled before the restore are rejected, and the random stream is its own. ``exact``
        takes the snapshot's incarnation and random stream, which continues to the bit; for a
        runtime in one process, where no update can be under way.
        """
        saved = int(state["store"]["incarnation"])
        if exact:
            self.incarnation = self._store.incarnation = saved
            self._random.bit_generator.state = state["random"]
        elif saved >= self.incarnation:
            raise ApexError(
                f"replay shard {self.index}: incarnation {self.incarnation} cannot be restored "
                f"from incarnation {saved}; start it with a higher one, or late priority updates "
                "could hit the wrong transitions"
            )
        self._tree.load_state_dict(state["tree"])
        self._store.load_state_dict(state["store"], state["tree"]["bits"] != 0)
        self._limiter.load_state_dict(state["limiter"])
        self._counters = {name: int(state["counters"].get(name, 0)) for name in _COUNTERS}
        self._drawn = np.array(state["drawn"], np.int64)

    def _draw(self, batches: int) -> tuple[I64, I64]:
        counts = mixture(self.config.shares, self.config.batch_size, self._tree.counts)
        uniforms = self._random.random((batches, self.config.batch_size))
        return self._tree.sample(counts, uniforms), counts

    def _samples(self, slots: I64, counts: I64, beta: float) -> list[Sample]:
        totals, flat = self._tree.totals, slots.ravel()
        bits = self._tree.bits(flat)
        weights = importance_weights(
            self._tree.mass(flat), bits, strata_ratio(counts, totals, self._peers),
            len(self) + self._peers.size, float(totals[0]) + self._peers.mass, beta,
        ).astype(np.float32)  # fmt: skip
        transitions = self._store.take(flat, bits)
        generations = self._store.generation[flat]
        stratum = np.repeat(np.arange(len(STRATA), dtype=np.uint8), counts)
        size = self.config.batch_size
        parts = [slice(start, start + size) for start in range(0, len(flat), size)]
        return [
            Sample(transitions.take(p), flat[p], generations[p], weights[p], self.index, stratum)
            for p in parts
        ]

    def _to_mass(self, priorities: NDArray[np.floating[Any]]) -> F64:
        mass: F64 = (priorities.astype(np.float64) + self.config.priority_epsilon) ** (
            self.config.alpha
        )
        return mass


_COUNTERS = (
    "updates", "rejected_stale", "rejected_invalid", "rejected_inserts", "tagged",
    "insert_waits", "sample_waits", "drift_rebuilds",
)  # fmt: skip


def _valid(priorities: NDArray[np.floating[Any]]) -> Bool:
    valid: Bool = np.isfinite(priorities) & (priorities >= 0.0)
    return valid


def _finite(transitions: Transitions) -> Bool:
    columns = (
        transitions.reward, transitions.discount, transitions.account, transitions.next_account
    )  # fmt: skip
    finite = [np.isfinite(c).all(axis=tuple(range(1, c.ndim))) for c in columns]
    numbers: Bool = np.logical_and.reduce(finite)
    return numbers
