"""The replay on Ray: its shards, and the driver's rounds that introduce them to each other."""

from __future__ import annotations

import io
import time
from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.replay.shard import ReplayShard
from actors.replay.strata import Peers
from apex_trader.experience import EXTREMA, Sample, Transitions
from apex_trader.runtime.config import Config
from apex_trader.runtime.parts import outcomes
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_part import NOT_STARTED, Part, Ref
from learner.checkpoint import Checkpoint, state_part
from learner.checkpoint_parts import SavedPart, write_part
from learner.serialise import read_state, state_bytes

#: Answer of a shard that does not see its snapshot: it is on another machine's disk.
UNSEEN = "unseen"
#: Seconds between two rounds of the shards' figures.
ROUND = 2.0


class ShardActor(Part):
    """A replay shard. A restarted one begins a new incarnation when the driver starts it.

    It holds experience of the active days alone: rollouts learn of a rotation later than shards,
    and what they still bring of a day that is gone would be asked of the learner's arena.
    """

    def __init__(self, config: Config, index: int) -> None:
        super().__init__(config)
        self._index = index
        self._shard: ReplayShard | None = None
        self._active = np.empty(0, np.int64)

    def start(
        self, incarnation: int, snapshot: SavedPart | bytes | None, active: Collection[int]
    ) -> int | str:
        """Begin an incarnation of at least that number, from a snapshot when there is one.

        active: segments of the days that experience is of now. Answers the incarnation, above the
        snapshot's, or ``UNSEEN`` where the snapshot's bytes must be brought here.
        """
        data = snapshot.read() if isinstance(snapshot, SavedPart) else snapshot
        if data is None and snapshot is not None:
            return UNSEEN
        state = None if data is None else read_state(io.BytesIO(data))
        if state is not None:
            incarnation = max(incarnation, int(state["store"]["incarnation"]) + 1)
        config = self._config
        actions = outcomes(config)
        shard = ReplayShard(config.replay, self._index, incarnation, config.seed, actions)
        if state is not None:
            shard.load_state_dict(state)
        self._shard = shard
        self.set_active(active)
        return incarnation

    def set_active(self, active: Collection[int]) -> None:
        """Other days are active: forget the experience of the rest, and take no more of it."""
        self._active = np.array(sorted(active), np.int64)
        if self._shard is not None:
            self._shard.keep_segments(set(active))

    def insert(self, transitions: Transitions, priorities: NDArray[np.float32]) -> bool | str:
        """As ``ReplayShard.insert``, of the active days."""
        if self._shard is None:
            return NOT_STARTED
        active = np.isin(transitions.segment, self._active)
        if not active.all():
            transitions, priorities = transitions.take(np.flatnonzero(active)), priorities[active]
        return self._shard.insert(transitions, priorities)

    def sample(self, batches: int, updates: int) -> list[Sample] | str | None:
        """As ``ReplayShard.sample``."""
        if self._shard is None:
            return NOT_STARTED
        return self._shard.sample(batches, updates)

    def update(self, slots: Any, generations: Any, priorities: Any) -> None:
        """As ``ReplayShard.update``; a shard that is not started has nothing to update."""
        if self._shard is not None:
            self._shard.update(slots, generations, priorities)

    def tag(self, segment: int, rows: NDArray[np.int64]) -> None:
        """Add rows of a segment to the stratum "extrema"."""
        if self._shard is not None:
            self._shard.tag(segment, rows, EXTREMA)

    def status(self, share: float, size: int, mass: float) -> dict[str, float] | str:
        """Take note of the other shards' size and mass; answer this one's metrics."""
        if self._shard is None:
            return NOT_STARTED
        self._shard.set_peers(Peers(share, size, mass))
        return self._shard.metrics()

    def started(self) -> bool:
        """False after a restart."""
        return self._shard is not None

    def save(self, place: str, part: str) -> SavedPart | bytes | str:
        """Write everything into a pending checkpoint; as bytes where its disk is not seen."""
        if self._shard is None:
            return NOT_STARTED
        state = self._shard.state_dict()
        written = write_part(place, part, state_part(state))
        return state_bytes(state) if written is None else written


class Replay:
    """The driver's side of the shards.

    checkpoint: what a lost shard goes on from. metrics: of each shard, as it last told.
    """

    def __init__(self, context: RunContext) -> None:
        self._context, config = context, context.config
        self.handles = [
            context.make(ShardActor, config, k, cpus=config.cluster.shard_cpus)
            for k in range(config.replay.shards)
        ]
        self.checkpoint: Checkpoint | None = None
        self.metrics: dict[int, dict[str, float]] = {}
        self._incarnations: dict[int, int] = {}
        self._asked: set[int] = set()
        self._round_due = 0.0

    def start(self) -> None:
        """Start every shard and wait for it."""
        wait = self._context.calls.wait
        for k in range(len(self.handles)):
            answer = wait(self._start(k))
            self._incarnations[k] = wait(self._start(k, True)) if answer == UNSEEN else answer

    def round(self) -> None:
        """Ask the shards for figures, when it is time to, and tell each of the others' size and
        mass."""
        if time.monotonic() >= self._round_due:
            self._round_due = time.monotonic() + ROUND
            self.ask()

    def ask(self) -> None:
        """Ask every shard that owes no answer."""
        for k in range(len(self.handles)):
            if k not in self._asked:
                self._ask(k)

    def set_active(self) -> None:
        """The active days changed."""
        for shard in self.handles:
            shard.set_active.remote(self._context.current)

    def parts(self) -> list[str]:
        """Names of the shards' parts of a checkpoint."""
        return [_part(k) for k in range(len(self.handles))]

    def save(self, place: str) -> list[Ref]:
        """Each shard's part of a checkpoint that is begun at ``place``, to come."""
        return [s.save.remote(place, _part(k)) for k, s in enumerate(self.handles)]

    def revive(self, k: int) -> None:
        """Start a shard that died."""
        there = "its snapshot" if self.checkpoint else "empty: there is no snapshot yet"
        self._context.session.display.say(f"replay {_name(k)} goes on from {there}")
        self.metrics.pop(k, None)
        self._start_again(k, whole=False)

    def _start_again(self, k: int, whole: bool) -> None:
        def started(incarnation: int | str) -> None:
            if incarnation == UNSEEN:
                self._start_again(k, whole=True)
                return
            self._asked.discard(k)
            self._incarnations[k] = int(incarnation)

        self._context.restarts.start_again(_name(k), partial(self._start, k, whole), started)

    def _start(self, k: int, whole: bool = False) -> Ref:
        # Late priority updates may be meant for any incarnation that there was.
        incarnation = self._incarnations[k] = self._incarnations.get(k, -1) + 1
        active = self._context.current
        return self.handles[k].start.remote(incarnation, self._snapshot(k, whole), active)

    def _snapshot(self, k: int, whole: bool) -> SavedPart | bytes | None:
        """Where a shard's snapshot lies, or all of it."""
        if self.checkpoint is None:
            return None
        if not whole:
            return self.checkpoint.saved(_part(k))
        try:
            data = self.checkpoint.read(_part(k))
            if self.checkpoint.saved(_part(k)).holds(data):
                return data
            reason = "its snapshot is not what was saved"
        except OSError as error:
            reason = str(error)
        self._context.session.display.say(f"replay {_name(k)} begins empty: {reason}")
        return None

    def _ask(self, k: int) -> None:
        self._asked.add(k)
        others = [m for j, m in self.metrics.items() if j != k]
        size = sum(m["replay/size"] for m in others)
        mass = sum(m["replay/mass"] for m in others)

        def answer(metrics: dict[str, float]) -> None:
            self._asked.discard(k)
            self.metrics[k] = metrics

        def failed(_: BaseException) -> None:
            self._context.restarts.lost(_name(k))
            self.revive(k)

        share = 1.0 / len(self.handles)
        status = self.handles[k].status.remote(share, int(size), mass)
        self._context.calls.fly(status, answer, failed)


def _part(k: int) -> str:
    return f"replay-{k}.pt"


def _name(k: int) -> str:
    return f"shard {k}"
