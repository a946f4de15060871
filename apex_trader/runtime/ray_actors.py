"""The parts as Ray actors: thin shells that start them, feed them and answer the driver.

Every shell has small constructor arguments and a ``start``, so that Ray can restart it anywhere at
any time: until the driver has started it again it answers ``NOT_STARTED``.
"""

from __future__ import annotations

import io
import os
import time
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayError, RayTaskError

from actors.evaluation import Evaluator
from actors.pretraining import PretrainActor
from actors.replay.shard import ReplayShard
from actors.replay.strata import Peers
from actors.rollout import RolloutResult, RolloutWorker
from apex_trader.errors import ApexError
from apex_trader.experience import EXTREMA, Sample, Transitions
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import CnnRows, MarketData, tables_with_cnn
from apex_trader.runtime.parts import (
    choose_device,
    make_arena,
    make_learner,
    make_network,
    rollout_market,
)
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.segment import Segment
from apex_trader.trading.config import TradingConfig
from learner.arena import Loaded
from learner.priorities import Priorities
from learner.publish import PublishedWeights, WeightPublisher
from learner.serialise import read_state, state_bytes

#: Answer of a part that was restarted and waits for the driver's ``start``.
NOT_STARTED = "not started"

Ref = Any  # ray.ObjectRef, which is not typed
Handle = Any  # an actor's handle


@dataclass(frozen=True)
class Market:
    """Segments as references into the object store: what actors are given instead of data.

    numbers: registry numbers. segments, cnn: one reference each (cnn empty without CNN blocks).
    version: of the extractor that made the CNN rows.
    """

    numbers: tuple[int, ...]
    segments: tuple[Ref, ...]
    cnn: tuple[Ref, ...]
    version: str | None

    def load(self) -> tuple[list[Segment], list[NDArray[np.float16] | None]]:
        """The segments and their CNN rows; arrays are views of the object store."""
        segments = ray.get(list(self.segments))
        rows = ray.get(list(self.cnn)) if self.cnn else [None] * len(segments)
        return segments, rows


def _prepare(config: Config) -> None:
    torch.set_num_threads(config.train.threads)


class SegmentServer:
    """Builds segments and CNN rows once and hands out references to them.

    keep: how many of each stay in the object store; the least recently asked for goes first.
    """

    def __init__(self, config: Config, folder: str, keep: int) -> None:
        _prepare(config)
        self._data = MarketData(config, RunFolder(folder))
        self._keep = keep
        self._segments: OrderedDict[int, Ref] = OrderedDict()
        self._rows: OrderedDict[tuple[str, int], Ref] = OrderedDict()
        self._extractor: FrozenExtractor | None = None

    def market(self, numbers: Sequence[int], extractor: Sequence[Ref]) -> Market:
        """References to segments and, when ``extractor`` holds one, to their CNN rows.

        extractor: [reference to a FrozenExtractor's state_dict] or [].
        """
        if extractor:
            self._adopt(extractor[0])
        segments = tuple(self._segment(n) for n in numbers)
        if not extractor:
            return Market(tuple(numbers), segments, (), None)
        assert self._extractor is not None
        rows = tuple(self._cnn(n) for n in numbers)
        return Market(tuple(numbers), segments, rows, self._extractor.version)

    def keys(self) -> dict[str, Any]:
        """The registry's state: days and content keys so far."""
        return self._data.registry.state_dict()

    def _adopt(self, reference: Ref) -> None:
        state = ray.get(reference)
        if self._extractor is None or self._extractor.version != state["version"]:
            self._extractor = FrozenExtractor.from_state(state, self._data.schema)
            self._rows.clear()

    def _segment(self, number: int) -> Ref:
        if number not in self._segments:
            self._segments[number] = ray.put(self._data.segment(number))
        return self._recent(self._segments, number)

    def _cnn(self, number: int) -> Ref:
        assert self._extractor is not None
        key = (self._extractor.version, number)
        if key not in self._rows:
            segment = ray.get(self._segment(number))
            self._rows[key] = ray.put(CnnRows(self._extractor).of(segment))
        return self._recent(self._rows, key)

    def _recent(self, cache: OrderedDict[Any, Ref], key: Any) -> Ref:
        cache.move_to_end(key)
        while len(cache) > self._keep:
            cache.popitem(last=False)
        return cache[key]


class WeightBoard:
    """Where the learner posts a reference to its newest weights, and actors look for it."""

    def __init__(self) -> None:
        self._version, self._reference = 0, None

    def post(self, version: int, reference: Sequence[Ref]) -> None:
        """reference: [a reference to PublishedWeights], boxed so that Ray passes it on as it is."""
        self._version, self._reference = version, reference[0]

    def newest(self, have: int) -> tuple[int, list[Ref]]:
        """(newest version, [reference]) when it is another than ``have``, else (version, [])."""
        # A restarted learner counts on from its checkpoint: then what actors have is of a dead one.
        other = self._version != have and self._reference is not None
        return self._version, [self._reference] if other else []


class ShardActor:
    """A replay shard. A restarted one begins a new incarnation when the driver starts it.

    It holds experience of the active days alone: rollouts learn of a rotation later than shards,
    and what they still bring of a day that is gone would be asked of the learner's arena.
    """

    def __init__(self, config: Config, index: int) -> None:
        _prepare(config)
        self._config, self._index = config, index
        self._shard: ReplayShard | None = None
        self._active = np.empty(0, np.int64)

    def start(self, incarnation: int, snapshot: bytes | None, active: Collection[int]) -> int:
        """Begin an incarnation of at least that number, from a snapshot when there is one.

        active: segments of the active days. Answers the incarnation: above the snapshot's.
        """
        state = None if snapshot is None else read_state(io.BytesIO(snapshot))
        if state is not None:
            incarnation = max(incarnation, int(state["store"]["incarnation"]) + 1)
        shard = ReplayShard(self._config.replay, self._index, incarnation, self._config.seed)
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

    def snapshot(self) -> bytes | str:
        """Everything, as bytes."""
        return NOT_STARTED if self._shard is None else state_bytes(self._shard.state_dict())

    def process(self) -> int:
        """Process id."""
        return os.getpid()


class RolloutActor:
    """A rollout worker that feeds the shards itself and pulls weights when its own are older."""

    #: Seconds between two tries to deliver while the replay asks to wait.
    PATIENCE = 0.02

    def __init__(self, config: Config, index: int) -> None:
        _prepare(config)
        self._config, self._index = config, index
        self._worker: RolloutWorker | None = None

    def start(
        self,
        market: Market,
        trading: TradingConfig,
        agent_from: int,
        actors: int,
        shards: Sequence[Handle],
        board: Handle,
        incarnation: int,
    ) -> None:
        """Begin to roll out on a market. incarnation: new random numbers after a restart."""
        self._shards, self._board, self._agent_from = list(shards), board, agent_from
        self._turn = self._index
        self._pending: deque[tuple[Transitions, NDArray[np.float32]]] = deque()
        built = self._build(market)
        self._worker = RolloutWorker(
            built, make_network(self._config, built.tables.schema, trading), self._config.rollout,
            trading, self._config.reward, actor=self._index, actors=actors,
            seed=self._config.seed + 1_000_003 * incarnation,
        )  # fmt: skip

    def set_market(self, market: Market) -> int | str:
        """Go on on other segments, or on the same ones with another extractor's CNN rows."""
        if self._worker is None:
            return NOT_STARTED
        self._take(self._worker.set_market(self._build(market)))
        return self._index

    def run(self, seconds: float) -> dict[str, Any] | str:
        """Collect and deliver for about ``seconds``; figures for the driver, no experience."""
        if self._worker is None:
            return NOT_STARTED
        started, totals = time.monotonic(), {"steps": 0, "inserted": 0}
        metrics: dict[str, float] = {}
        waited = 0.0
        while time.monotonic() - started < seconds:
            if not self._pending:
                newest = self._pull_weights()
                result = self._worker.collect(latest_version=newest)
                totals["steps"] += result.steps
                metrics |= result.metrics
                self._take(result)
            inserted = self._deliver()
            totals["inserted"] += inserted
            if self._pending and not inserted:
                time.sleep(self.PATIENCE)
                waited += self.PATIENCE
        metrics["actors/wait_share"] = waited / max(time.monotonic() - started, 1e-9)
        return {"actor": self._index, "version": self._worker.policy.version,
                "metrics": metrics, **totals}  # fmt: skip

    def process(self) -> int:
        """Process id."""
        return os.getpid()

    def _build(self, market: Market) -> Any:
        segments, rows = market.load()
        schema = self._config.state.build()
        tables = tables_with_cnn(segments, schema, rows, market.version)
        return rollout_market(self._config, segments, market.numbers, tables, self._agent_from)

    def _pull_weights(self) -> int | None:
        assert self._worker is not None
        try:
            version, box = ray.get(self._board.newest.remote(self._worker.policy.version))
            if box:
                weights: PublishedWeights = ray.get(box[0])
                self._worker.set_weights(weights.version, weights.state_dict())
        except RayTaskError:
            raise
        except RayError:
            return None  # board or learner is being restarted: go on with what is there
        return int(version)

    def _take(self, result: RolloutResult) -> None:
        """Cut a delivery into inserts, and send the tags on."""
        size = min(self._config.replay.max_insert, self._config.replay.shard_capacity)
        for start in range(0, len(result.transitions), size):
            part = slice(start, start + size)
            self._pending.append((result.transitions.take(part), result.priorities[part]))
        for tag in result.tags:
            for shard in self._shards:
                shard.tag.remote(tag.segment, tag.rows)

    def _deliver(self) -> int:
        """Offer what is pending to the shards in turn, until each has asked to wait."""
        done, refused = 0, 0
        while self._pending and refused < len(self._shards):
            transitions, priorities = self._pending[0]
            shard = self._shards[self._turn % len(self._shards)]
            self._turn += 1
            try:
                accepted = ray.get(shard.insert.remote(transitions, priorities)) is True
            except RayActorError:
                accepted = False  # the shard is being restarted: another one may take it
            if accepted:
                self._pending.popleft()
                done, refused = done + len(transitions), 0
            else:
                refused += 1
        return done


class LearnerActor:
    """The learner: draws batches from the shards, learns, returns priorities, posts weights."""

    #: Seconds before a shard that asked to wait is asked again.
    PATIENCE = 0.01
    #: Times, a second apart, that a segment is asked for while its server is being restarted.
    SERVER_TRIES = 60

    def __init__(self, config: Config) -> None:
        _prepare(config)
        self._config = config
        self._learner: Any = None

    def start(
        self,
        trading: TradingConfig,
        slots: int,
        server: Handle,
        extractor: Sequence[Ref],
        shards: Sequence[Handle],
        board: Handle,
        saved: tuple[bytes, bytes] | None,
    ) -> int:
        """Begin, from a saved (learner, publisher) when there is one; answers the updates done."""
        self._server, self._extractor, self._board = server, list(extractor), board
        self._shards = list(shards)
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
            if self._ready or self._fetch():
                self._learn(self._ready.popleft())
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
        self._extractor = list(extractor)
        version = ray.get(extractor[0])["version"]
        self._arena.swap_cnn(version, self._cnn_rows)
        return int(self._learner.updates)

    def evict(self, number: int) -> None:
        """A segment left the run's active days."""
        self._ready = deque(s for s in self._ready if not (s.transitions.segment == number).any())
        if self._learner is not None and number in self._arena.resident:
            self._arena.evict(number)

    def started(self) -> bool:
        """False after a restart."""
        return self._learner is not None

    def weights(self) -> dict[str, Any] | str:
        """The online network's tensors, for the evaluator."""
        if self._learner is None:
            return NOT_STARTED
        network = self._learner.network
        return {k: v.detach().cpu() for k, v in network.state_dict().items()}

    def snapshot(self) -> dict[str, Any] | str:
        """{"updates", and as bytes "learner", "publisher"}."""
        if self._learner is None:
            return NOT_STARTED
        return {
            "updates": int(self._learner.updates),
            "learner": state_bytes(self._learner.state_dict()),
            "publisher": state_bytes(self._publisher.state_dict()),
        }

    def figures(self) -> dict[str, float]:
        """Metrics since the last reading, due or not."""
        return {} if self._learner is None else self._metrics()

    def process(self) -> int:
        """Process id."""
        return os.getpid()

    def summary(self) -> str:
        """The arena in a line."""
        return str(self._arena.summary())

    def _load(self, number: int) -> Loaded:
        for _ in range(self.SERVER_TRIES):
            try:
                market = ray.get(self._server.market.remote([number], self._extractor))
                segments, rows = market.load()
                return Loaded(segments[0], rows[0], market.version)
            except RayTaskError:
                raise
            except RayError:
                time.sleep(1.0)  # the server is being restarted, and its segments went with it
        raise ApexError(f"the segment server did not come back to give segment {number}")

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
        now = time.monotonic()
        share = self._waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        out = {**self._learner.read_metrics(), **self._publisher.metrics()}
        return {**out, **self._arena.metrics(), "learner/wait_share": share}


class PretrainShell:
    """Fits extractors in a process of its own, a few seconds a call."""

    def __init__(self, config: Config) -> None:
        _prepare(config)
        self._config = config
        self._schema = config.state.build()
        self._actor = PretrainActor(self._schema, config.pretrain, config.seed, config.cnn)

    def begin(self, market: Market, state: dict[str, Any] | None) -> None:
        """Begin a fit, or a refit of the extractor in a saved ``state``."""
        if state is not None:
            self._actor.load_state_dict(state)
        self._actor.begin(ray.get(list(market.segments)), refit=state is not None)

    def advance(self, seconds: float) -> tuple[bool, dict[str, float]]:
        """(whether the budget is spent, metrics)."""
        metrics = self._actor.advance(seconds)
        return self._actor.done, metrics

    def finish(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
        """(the extractor's state, the actor's state, metrics)."""
        extractor = self._actor.finish()
        return extractor.state_dict(), self._actor.state_dict(), self._actor.metrics()


class EvaluatorActor:
    """Greedy runs over the validation days."""

    def __init__(self, config: Config) -> None:
        _prepare(config)
        self._config = config
        self._evaluator: Evaluator | None = None

    def start(self, market: Market, trading: TradingConfig) -> None:
        """Take the validation days, or the same with another extractor's rows."""
        segments, rows = market.load()
        schema = self._config.state.build()
        tables = tables_with_cnn(segments, schema, rows, market.version)
        network = make_network(self._config, schema, trading)
        self._evaluator = Evaluator(segments, tables, network, trading, self._config.reward)

    def evaluate(self, weights: dict[str, Any] | str, updates: int) -> dict[str, float] | str:
        """``eval/...`` figures of a set of weights, unless the learner had none to give."""
        if self._evaluator is None or isinstance(weights, str):
            return NOT_STARTED
        return self._evaluator.evaluate(weights, updates)
