"""The learner on Ray: it draws from the shards itself, and posts its weights for the rollouts."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import ray
from ray.exceptions import RayActorError

from apex_trader.experience import Sample
from apex_trader.runtime.config import Config
from apex_trader.runtime.parts import choose_device, make_arena, make_learner
from apex_trader.runtime.ray_calls import SLICE
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_loader import SegmentLoader
from apex_trader.runtime.ray_part import NOT_STARTED, Handle, Part, Ref
from apex_trader.runtime.ray_replay import Replay
from apex_trader.runtime.ray_segments import Segments
from apex_trader.trading.config import TradingConfig
from learner.arena import Loaded
from learner.priorities import Priorities
from learner.publish import WeightPublisher
from learner.serialise import read_state, state_bytes


class WeightBoard(Part):
    """Where the learner posts a reference to its newest weights, and actors look for it."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._version, self._reference = 0, None

    def post(self, version: int, reference: Sequence[Ref]) -> None:
        """reference: [a reference to PublishedWeights], boxed so that Ray passes it on as it is."""
        self._version, self._reference = version, reference[0]

    def newest(self, have: int) -> tuple[int, list[Ref]]:
        """(newest version, [reference]) when it is another than ``have``, else (version, [])."""
        # A restarted learner counts on from its checkpoint: then what actors have is of a dead one.
        other = self._version != have and self._reference is not None
        return self._version, [self._reference] if other else []


class LearnerActor(Part):
    """The learner: draws batches from the shards, learns, returns priorities, posts weights."""

    #: Seconds before a shard that asked to wait is asked again.
    PATIENCE = 0.01

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._learner: Any = None

    def start(
        self,
        trading: TradingConfig,
        slots: int,
        loader: SegmentLoader,
        shards: Sequence[Handle],
        board: Handle,
        saved: tuple[bytes, bytes] | None,
    ) -> int:
        """Begin, from a saved (learner, publisher) when there is one; answers the updates done.

        loader: brings the segments of the days that experience is of.
        """
        self._loader, self._shards, self._board = loader, list(shards), board
        schema = self._config.state.build()
        device = choose_device(self._config)
        self._arena = make_arena(self._config, schema, slots, self._load, device)
        learner = make_learner(self._config, schema, trading, self._arena)
        self._publisher = WeightPublisher(learner.network)
        if saved is not None:
            learner.load_state_dict(read_state(io.BytesIO(saved[0])))
            self._publisher.load_state_dict(read_state(io.BytesIO(saved[1])))
        self._learner = learner
        self._asked: dict[Ref, int] = {}
        self._ready: deque[Sample] = deque()
        self._returning: deque[Priorities] = deque()
        self._rest: dict[int, float] = {}
        self._waited, self._since = 0.0, time.monotonic()
        self._publish()
        return int(learner.updates)

    def train(self, until: int, seconds: float) -> dict[str, Any] | str:
        """Learn until an update count, for about ``seconds``; metrics when they are due."""
        if self._learner is None:
            return NOT_STARTED
        started = time.monotonic()
        while self._learner.updates < until and time.monotonic() - started < seconds:
            if (self._ready or self._fetch()) and not self._take(self._ready.popleft()):
                break
        self._return_priorities(keep=0)
        metrics = self._metrics() if self._learner.metrics_due else {}
        return {"updates": self._learner.updates, "metrics": metrics,
                "version": self._publisher.version}  # fmt: skip

    def observe(self, versions: Sequence[int]) -> None:
        """Actors delivered experience that they made with these versions of the weights."""
        if self._learner is not None:
            for version in versions:
                self._publisher.observe(
                    min(version, self._publisher.version), self._learner.updates
                )

    def swap_extractor(self, extractor: Sequence[Ref]) -> int | str:
        """Replace the CNN rows of all resident segments."""
        if self._learner is None:
            return NOT_STARTED
        self._loader.swap_extractor(extractor)
        version = ray.get(extractor[0])["version"]
        self._arena.swap_cnn(version, self._cnn_rows)
        return int(self._learner.updates)

    def evict(self, number: int) -> None:
        """A segment left the run's active days."""
        if self._learner is None:
            return
        self._ready = deque(s for s in self._ready if not (s.transitions.segment == number).any())
        if number in self._arena.resident:
            self._arena.evict(number)

    def started(self) -> bool:
        """False after a restart."""
        return self._learner is not None

    def snapshot(self) -> tuple[dict[str, Any] | str, dict[str, Any] | None]:
        """({"updates", and as bytes "learner", "publisher"}, the judged weights' tensors)."""
        if self._learner is None:
            return NOT_STARTED, None
        snapshot = {
            "updates": int(self._learner.updates),
            "learner": state_bytes(self._learner.state_dict()),
            "publisher": state_bytes(self._publisher.state_dict()),
        }
        network = self._learner.judged
        return snapshot, {k: v.detach().cpu() for k, v in network.state_dict().items()}

    def post_weights(self) -> None:
        """Post the newest weights again: the board lost them."""
        if self._learner is not None:
            self._publish()

    def figures(self) -> dict[str, float]:
        """Metrics since the last reading, due or not."""
        return {} if self._learner is None else self._metrics()

    def summary(self) -> str:
        """The arena in a line."""
        return str(self._arena.summary())

    def _load(self, number: int) -> Loaded:
        return self._loader.load(number)

    def _cnn_rows(self, number: int) -> Any:
        return self._load(number).cnn

    def _fetch(self) -> bool:
        """Wait briefly for a shard's batches; keeps one request under way at each shard."""
        now = time.monotonic()
        self._ask()
        done = []
        if self._asked:
            done, _ = ray.wait(list(self._asked), num_returns=1, timeout=self.PATIENCE)
        else:
            time.sleep(self.PATIENCE)
        for reference in done:
            self._receive(reference, self._asked.pop(reference))
        self._waited += time.monotonic() - now
        self._ask()  # the shard draws the next batches while these are learned from
        return bool(self._ready)

    def _ask(self) -> None:
        now = time.monotonic()
        for k, shard in enumerate(self._shards):
            if k not in self._asked.values() and self._rest.get(k, 0.0) <= now:
                reference = shard.sample.remote(self._config.replay.prefetch, self._learner.updates)
                self._asked[reference] = k

    def _receive(self, reference: Ref, shard: int) -> None:
        try:
            samples = ray.get(reference)
        except RayActorError:
            samples = None  # the shard is being restarted: the others go on
        if isinstance(samples, list):
            self._ready.extend(samples)
        else:
            self._rest[shard] = time.monotonic() + self.PATIENCE

    def _take(self, sample: Sample) -> bool:
        """Learn from a batch; False to end this slice, so that the driver is heard."""
        self._learn(sample)
        return True

    def _learn(self, sample: Sample) -> None:
        self._returning.append(self._learner.update(sample))
        if len(self._returning) > self._config.replay.prefetch:
            self._return_priorities(keep=1)  # the newest is still on its way from the device
        if self._learner.updates % self._config.learner.publish_every == 0:
            self._publish()

    def _return_priorities(self, keep: int) -> None:
        """Send priorities to their shards in bulk, all but the newest ``keep`` batches'."""
        due: dict[int, list[Priorities]] = {}
        while len(self._returning) > keep:
            batch = self._returning.popleft()
            due.setdefault(batch.shard, []).append(batch)
        for shard, batches in due.items():
            self._shards[shard].update.remote(
                np.concatenate([b.slot for b in batches]),
                np.concatenate([b.generation for b in batches]),
                np.concatenate([b.value for b in batches]),
            )

    def _publish(self) -> None:
        weights = self._publisher.publish(self._learner.updates)
        self._board.post.remote(weights.version, [ray.put(weights)])

    def _metrics(self) -> dict[str, float]:
        """Since the last reading; none without an update, which a reading is of."""
        figures = self._learner.read_metrics()
        if not figures:
            return {}
        now = time.monotonic()
        share = self._waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        out = {**figures, **self._publisher.metrics()}
        return {**out, **self._arena.metrics(), "learner/wait_share": share}


class Learning:
    """The driver's side of the learner.

    saved: (learner, publisher) of the last checkpoint, which a lost learner goes on from.
    stalled: slices of its loop, the latest ones, in which there was nothing to learn from.
    metrics: readings since they were last taken.
    """

    PART = "learner"
    ACTOR: ClassVar[type[LearnerActor]] = LearnerActor

    def __init__(self, context: RunContext, segments: Segments, replay: Replay) -> None:
        self._context, self._segments, self._replay = context, segments, replay
        config, cluster = context.config, context.config.cluster
        self.saved: tuple[bytes, bytes] | None = None
        self.metrics: dict[str, float] = {}
        self.stalled = 0
        self.board = context.make(WeightBoard, config, cpus=0)
        self._handle = context.make(
            self.ACTOR, config, cpus=cluster.learner_cpus, gpus=cluster.learner_gpus
        )
        context.restarts.watch("weight board", self.board, self._post_again)

    def start(self) -> None:
        """Start it and wait for it."""
        calls = self._context.calls
        self._context.updates = calls.wait(self._start())
        self._context.session.display.say(calls.wait(self._handle.summary.remote()))

    def run(self) -> None:
        """Begin its loop, which ends with the slice in which ``ending`` is set."""
        if self._context.ending:
            return
        until = self._context.config.train.updates
        self._context.calls.fly(self._handle.train.remote(until, SLICE), self._answer, self._failed)

    def observe(self, version: int) -> None:
        """A rollout delivered experience that it made with this version of the weights."""
        self._handle.observe.remote([version])

    def evict(self, number: int) -> None:
        """A segment left the active days."""
        self._handle.evict.remote(number)

    def swap_extractor(self) -> None:
        """Replace the CNN rows by those of the present extractor."""
        swapped = self._handle.swap_extractor.remote(self._segments.extractor)
        self._context.calls.fly(swapped, self._swapped)

    def snapshot(self) -> tuple[Ref, Ref]:
        """A snapshot and the network's weights at the same update, to come."""
        snapshot, weights = self._handle.snapshot.options(num_returns=2).remote()
        return snapshot, weights

    def take_figures(self) -> None:
        """Wait for the metrics since the last reading, due or not."""
        self.metrics |= self._context.calls.wait(self._handle.figures.remote())

    def started(self) -> Ref:
        """Whether it is started, to come."""
        return self._handle.started.remote()

    def revive(self) -> None:
        """Start it again from the last checkpoint, and its loop."""
        self._context.restarts.start_again(self.PART, self._start, self._restarted)

    def _start(self) -> Ref:
        context = self._context
        return self._handle.start.remote(
            context.data.trading, context.resident + 1, self._make_loader(), self._replay.handles,
            self.board, self.saved,
        )  # fmt: skip

    def _make_loader(self) -> SegmentLoader:
        segments = self._segments
        return SegmentLoader(segments.handle, segments.PART, segments.extractor)

    def _answer(self, result: dict[str, Any]) -> None:
        self.stalled = self.stalled + 1 if result["updates"] == self._context.updates else 0
        self._context.updates = result["updates"]
        self.metrics |= result["metrics"]
        self.run()

    def _failed(self, _: BaseException) -> None:
        self._context.restarts.lost(self.PART)
        self.revive()

    def _restarted(self, updates: int) -> None:
        self._context.session.display.say(f"the learner goes on from update {updates:,}")
        self._context.updates = updates
        self._context.rhythm.again("metrics")  # its figures count from an earlier update now
        self.run()

    def _swapped(self, updates: int) -> None:
        self._context.session.display.say(
            f"the refitted extractor is in use since update {updates:,}"
        )

    def _post_again(self) -> None:
        self._context.restarts.back("weight board")
        self._handle.post_weights.remote()
