"""Checkpoints of a run on Ray: written beside the run, by the parts themselves where they can.

The learner answers with a snapshot; then every shard writes its own part into the checkpoint's
stage, or answers with its bytes where it is on a machine that does not see the run's folder. When
all are there, the driver adds the rest, and the manifest last. Whatever dies before that leaves
the checkpoint before it as it is. Nobody stops meanwhile: the shards' parts are of a moment later
than the learner's, their priorities newer than its weights by the updates of that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_extractor import Extractors
from apex_trader.runtime.ray_learner import Learning
from apex_trader.runtime.ray_part import Ref
from apex_trader.runtime.ray_replay import Replay
from apex_trader.runtime.ray_segments import Segments
from learner.checkpoint import Checkpoint, PendingCheckpoint, json_part, state_part
from learner.checkpoint_parts import Part

#: What is done once a checkpoint is whole: with its update count, and its weights, to come.
Saved = Callable[[int, Ref], None]


class Checkpoints:
    """Saves and restores. One checkpoint at a time: ``busy`` while one is under way."""

    def __init__(
        self,
        context: RunContext,
        segments: Segments,
        replay: Replay,
        learning: Learning,
        extractors: Extractors,
    ) -> None:
        self._context, self._segments, self._replay = context, segments, replay
        self._learning, self._extractors = learning, extractors
        self.busy = False
        self._pending: PendingCheckpoint | None = None
        self._parts: dict[str, Part] = {}
        self._missing: set[str] = set()
        self._wanted: Saved | None = None
        self._then: Callable[[], None] = _nothing

    @property
    def up_to_date(self) -> bool:
        """Whether the learner's present weights are saved."""
        return self._context.progress.marks.get("saved") == self._context.updates

    def event(self) -> bool:
        """As ``save``; a checkpoint that is under way will do."""
        return self.busy or self.save()

    def save(self, then: Saved | None = None) -> bool:
        """Begin a checkpoint of learner, replay and counters, once for each update count.

        False when one is under way, or a part that it needs is being restarted: nothing is begun
        then. One that comes to nothing later is due again.
        """
        if self.busy or not self._needed().isdisjoint(self._context.restarts.down):
            return False
        self.busy, self._wanted = True, then
        snapshot, weights = self._learning.snapshot()

        def answer(learner: dict[str, Any]) -> None:
            updates = learner["updates"]
            self._then = _nothing if then is None else partial(then, updates, weights)
            if self._context.progress.marks.get("saved") == updates:
                self._end()
            else:
                self._begin(learner)

        self._context.calls.fly(snapshot, answer, lambda _: self._failed(None))
        return True

    def restore(self, checkpoint: Checkpoint) -> None:
        """Counters, days and registry of a checkpoint; the parts start from it."""
        context = self._context
        context.data.registry.load_state_dict(checkpoint.json("registry.json"))
        context.active.load_state_dict(checkpoint.state("rotation.pt"))
        context.progress.load_state_dict(checkpoint.state("progress.pt"))
        context.progress.best = context.session.best_value()
        self._learning.saved = checkpoint.read("learner.pt"), checkpoint.read("publisher.pt")
        self._replay.checkpoint = checkpoint

    def _needed(self) -> set[str]:
        shards = {f"shard {k}" for k in range(len(self._replay.handles))}
        return {self._learning.PART, self._segments.PART, *shards}

    def _begin(self, learner: dict[str, Any]) -> None:
        pending = self._pending = self._context.session.begin_checkpoint(learner["updates"])
        self._parts = {"learner.pt": learner["learner"], "publisher.pt": learner["publisher"]}
        fly, failed = self._context.calls.fly, lambda _: self._failed(pending)
        asked = dict(zip(self._replay.parts(), self._replay.save(pending.place), strict=True))
        self._missing = {*asked, "registry.json"}
        for part, reference in asked.items():
            fly(reference, partial(self._got, pending, part), failed)
        fly(self._segments.keys(), partial(self._got_keys, pending), failed)

    def _got_keys(self, pending: PendingCheckpoint, keys: dict[str, Any]) -> None:
        self._context.data.registry.take_keys(keys)
        registry = json_part(self._context.data.registry.state_dict())
        self._got(pending, "registry.json", registry)

    def _got(self, pending: PendingCheckpoint, part: str, data: Part) -> None:
        if pending is not self._pending:
            return  # it came to nothing meanwhile
        self._parts[part] = data
        self._missing.discard(part)
        if not self._missing:
            self._commit(pending)

    def _commit(self, pending: PendingCheckpoint) -> None:
        context, learner = self._context, (self._parts["learner.pt"], self._parts["publisher.pt"])
        context.progress.marks["saved"] = pending.step
        own = {
            "pretrain.pt": state_part(self._extractors.state),
            "rotation.pt": state_part(context.active.state_dict()),
            "progress.pt": state_part(context.progress.state_dict()),
        }
        self._replay.checkpoint = context.session.commit_checkpoint(
            pending, {**self._parts, **own}, self._segments.version, context.data.periods
        )
        assert isinstance(learner[0], bytes)
        assert isinstance(learner[1], bytes)
        self._learning.saved = learner[0], learner[1]
        self._end()

    def _end(self) -> None:
        then = self._then
        self._forget()
        then()

    def _failed(self, pending: PendingCheckpoint | None) -> None:
        """A part died before the checkpoint was whole: it is tried again when all are there."""
        if pending is not self._pending:
            return
        if pending is not None:
            pending.abandon()
        self._context.rhythm.again("checkpoint" if self._wanted is None else "evaluate")
        self._forget()

    def _forget(self) -> None:
        self.busy, self._pending, self._parts = False, None, {}
        self._wanted, self._then = None, _nothing


def _nothing() -> None:
    """Nobody waits for this checkpoint."""
