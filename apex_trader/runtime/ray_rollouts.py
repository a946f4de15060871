"""Rollouts on Ray: they feed the shards themselves, and tell the driver how many."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayError, RayTaskError

from actors.market import RolloutMarket
from actors.rollout import RolloutResult, RolloutWorker
from apex_trader.experience import Transitions
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import tables_with_cnn
from apex_trader.runtime.parts import exploration_seed, make_network, rollout_market
from apex_trader.runtime.ray_calls import SLICE
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_learner import Learning
from apex_trader.runtime.ray_part import NOT_STARTED, Handle, Part, Ref
from apex_trader.runtime.ray_replay import Replay
from apex_trader.runtime.ray_segments import Market, Segments
from apex_trader.trading.config import TradingConfig
from learner.publish import PublishedWeights


class RolloutActor(Part):
    """A rollout worker that feeds the shards itself and pulls weights when its own are older."""

    #: Seconds between two tries to deliver while the replay asks to wait.
    PATIENCE = 0.02

    def __init__(self, config: Config, index: int) -> None:
        super().__init__(config)
        self._index = index
        self._worker: RolloutWorker | None = None

    def start(
        self,
        market: Market,
        trading: TradingConfig,
        agent_from: int,
        actors: int,
        shards: Sequence[Handle],
        board: Handle,
        seed: int,
    ) -> bool:
        """Begin to roll out on a market; False when there is nothing to begin with yet.

        agent_from: µs, no decision before it. seed: of the exploration, another one after a
        restart.
        """
        self._shards, self._board, self._agent_from = list(shards), board, agent_from
        self._turn = self._index
        self._pending: deque[tuple[Transitions, NDArray[np.float32]]] = deque()
        self._worker = self._make(market, trading, actors, seed)
        return self._worker is not None

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
                if not self._ready():
                    break
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
        return {"version": self._worker.policy.version, "metrics": metrics, **totals}

    def _make(
        self, market: Market, trading: TradingConfig, actors: int, seed: int
    ) -> RolloutWorker | None:
        built = self._build(market)
        return RolloutWorker(
            built, make_network(self._config, built.tables.schema, trading), self._config.rollout,
            trading, self._config.reward, actor=self._index, actors=actors, seed=seed,
        )  # fmt: skip

    def _build(self, market: Market) -> RolloutMarket:
        segments, rows = market.load()
        schema = self._config.state.build()
        tables = tables_with_cnn(segments, schema, rows, market.version)
        return rollout_market(self._config, segments, market.numbers, tables, self._agent_from)

    def _ready(self) -> bool:
        """Whether there is a decision to take."""
        return True

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


class Rollouts:
    """The driver's side of the rollouts. metrics: of the deliveries since they were last taken."""

    ACTOR: ClassVar[type[RolloutActor]] = RolloutActor

    def __init__(
        self, context: RunContext, segments: Segments, replay: Replay, learning: Learning
    ) -> None:
        self._context, self._segments = context, segments
        self._replay, self._learning = replay, learning
        config = context.config
        self._handles = [
            context.make(self.ACTOR, config, k, cpus=config.cluster.actor_cpus,
                         resource=config.cluster.actor_resource)
            for k in range(config.cluster.actors)
        ]  # fmt: skip
        self.metrics: list[dict[str, float]] = []

    def start(self, market: Market) -> None:
        """Start all of them and wait for it."""
        for reference in [self._start(k, market) for k in range(len(self._handles))]:
            self._context.calls.wait(reference)

    def run(self) -> None:
        """Begin every rollout's loop; it ends with the slice in which ``ending`` is set."""
        for k in range(len(self._handles)):
            self._run(k)

    def move(self) -> None:
        """Send every rollout to the active days; nobody waits while these are built."""
        self._context.calls.persist(self._segments.active, self.send)

    def send(self, market: Market) -> None:
        """Send every rollout to a market."""
        for rollout in self._handles:
            self._context.calls.fly(rollout.set_market.remote(market))

    def _start(self, k: int, market: Market, agent_from: int | None = None) -> Ref:
        """agent_from: µs, see ``RolloutActor.start``; by default where the agent's time begins."""
        context, data = self._context, self._context.data
        begin = data.periods.agent_from if agent_from is None else agent_from
        seed = exploration_seed(
            context.config.seed, context.session.sitting, context.restarts.of(self._name(k))
        )
        return self._handles[k].start.remote(
            market, data.trading, begin, len(self._handles), self._replay.handles,
            self._learning.board, seed,
        )  # fmt: skip

    def _count(self, result: dict[str, Any]) -> None:
        """Take note of what a slice brought."""
        self._context.progress.decisions += result["steps"]
        self._context.progress.inserted += result["inserted"]
        if result["metrics"]:
            self.metrics.append(result["metrics"])
        self._learning.observe(result["version"])

    def _run(self, k: int) -> None:
        def answer(result: dict[str, Any]) -> None:
            self._count(result)
            self._run(k)

        def failed(_: BaseException) -> None:
            self._context.restarts.lost(self._name(k))
            self._revive(k)

        if not self._context.ending:
            self._context.calls.fly(self._handles[k].run.remote(SLICE), answer, failed)

    def _revive(self, k: int) -> None:
        """From its market on: the segment server may have died too, and its segments with it."""
        calls, restarts = self._context.calls, self._context.restarts

        def start(market: Market) -> None:
            again = restarts.retry(self._name(k), lambda: self._revive(k))
            calls.fly(self._start(k, market), lambda _: started(market), again)

        def started(market: Market) -> None:
            restarts.back(self._name(k))
            now = tuple(self._context.active.current), self._segments.version
            if (market.numbers, market.version) != now:  # it missed a rotation or a new extractor
                self.move()
            self._run(k)

        calls.persist(self._segments.active, start)

    def _name(self, k: int) -> str:
        return f"rollout {k}"
