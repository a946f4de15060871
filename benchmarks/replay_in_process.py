"""How many batches a replay shard samples and updates per second, in process.

    python -m benchmarks.replay_in_process

One shard with 1,000,000 transitions in four strata, batches of 512. The peer is the usual binary
sum tree in vectorised numpy, for one stratum only. Prints one table; times are of the processor,
so that other work on the machine does not count (its cache misses do).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from actors.replay.config import ReplayConfig
from actors.replay.shard import ReplayShard
from actors.replay.strata import mixture
from apex_trader.experience import Transitions

CAPACITY, BATCH, CALLS = 1_000_000, 512, 16


class NumpyTree:
    """The textbook binary tree, one level at a time over a whole batch."""

    def __init__(self, capacity: int) -> None:
        self.depth = int(np.ceil(np.log2(capacity)))
        self.leaf0 = 1 << self.depth
        self.nodes = np.zeros(2 * self.leaf0)

    def update(self, slots: np.ndarray, mass: np.ndarray) -> None:
        node = slots + self.leaf0
        self.nodes[node] = mass
        for _ in range(self.depth):
            node = np.unique(node >> 1)
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1]

    def sample(self, uniforms: np.ndarray) -> np.ndarray:
        n = len(uniforms)
        target = (np.arange(n) + uniforms) * (self.nodes[1] / n)
        node = np.ones(n, np.int64)
        for _ in range(self.depth):
            left = self.nodes[2 * node]
            right = target >= left
            target = target - left * right
            node = 2 * node + right
        return node - self.leaf0


def filled_shard(random: np.random.Generator) -> ReplayShard:
    config = ReplayConfig(
        capacity=CAPACITY, shards=1, batch_size=BATCH, prefetch=CALLS, min_size=CAPACITY,
        samples_per_insert=1e9, max_insert=50_000,
    )  # fmt: skip
    shard = ReplayShard(config, 0, 1, 0)
    for start in range(0, CAPACITY, 50_000):
        part = transitions(random, 50_000, start)
        shard.insert(part, random.exponential(size=50_000))
    return shard


def transitions(random: np.random.Generator, n: int, start: int) -> Transitions:
    out = Transitions.empty(n)
    out.segment[:] = (start + np.arange(n)) // 17_280
    out.row[:] = (start + np.arange(n)) % 17_280
    out.strata[:] = 2 * (random.random(n) < 0.1) + 4 * (random.random(n) < 0.1)
    out.strata[:] += (8 * (random.random(n) < 0.03)).astype(np.uint8)
    return out


def per_cpu_second(call: Callable[[], object], batches: int, seconds: float = 3.0) -> float:
    call()
    done, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        call()
        done += batches
    return done / spent


def main() -> None:
    random = np.random.default_rng(0)
    shard = filled_shard(random)
    tree, numpy_tree = shard._tree, NumpyTree(CAPACITY)
    numpy_tree.update(np.arange(CAPACITY), tree.mass(np.arange(CAPACITY)))
    counts = mixture(shard.config.shares, BATCH, tree.counts)
    uniforms = random.random((CALLS, BATCH))
    slots = random.integers(0, CAPACITY, (64, BATCH))
    mass = random.exponential(size=BATCH)
    turn = iter(lambda: int(random.integers(64)), -1)

    def round_trip() -> None:
        for s in shard.sample(CALLS) or []:
            shard.update(s.slot, s.generation, mass)

    def tree_update() -> None:
        tree.set_mass(slots[next(turn)], mass)

    def numpy_update() -> None:
        numpy_tree.update(slots[next(turn)], mass)

    rows = [
        (
            "sample 512, tree, 4 strata",
            per_cpu_second(lambda: tree.sample(counts, uniforms), CALLS),
        ),
        ("sample 512, numpy, 1 stratum", per_cpu_second(lambda: numpy_tree.sample(uniforms[0]), 1)),
        ("update 512, tree, 4 strata", per_cpu_second(tree_update, 1)),
        ("update 512, numpy, 1 stratum", per_cpu_second(numpy_update, 1)),
        ("shard.sample with transitions", per_cpu_second(lambda: shard.sample(CALLS), CALLS)),
        ("shard.sample, then update", per_cpu_second(round_trip, CALLS)),
    ]
    for name, rate in rows:
        print(f"{name:<32}{rate:>12,.0f} batches/CPU s")
    print(f"{'bytes a slot':<32}{shard.nbytes / CAPACITY:>12.1f}")


if __name__ == "__main__":
    main()
