"""A whole run on Ray: the driver starts the parts, moves metadata between them, revives them.

Experience goes from actors to shards, batches from shards to the learner, weights from the learner
to the actors; the driver sees counts and figures. A part that died is restarted by Ray and started
again here: rollouts anew, a shard from its snapshot, the learner from the last checkpoint.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayActorError, RayError, RayTaskError

from apex_trader.errors import ApexError
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.parts import ROTATION
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.ray_actors import (
    NOT_STARTED,
    EvaluatorActor,
    LearnerActor,
    Market,
    PretrainShell,
    RolloutActor,
    SegmentServer,
    ShardActor,
    WeightBoard,
)
from apex_trader.runtime.rotation import ActiveDays
from apex_trader.runtime.session import Session
from learner.arena import has_cnn
from learner.checkpoint import Checkpoint, json_part, state_part

#: Seconds that one call to an actor works before it reports.
SLICE = 2.0
#: Seconds between two rounds of the shards' figures.
ROUND = 2.0
#: Seconds that a part may take to answer a ``start``.
START_LIMIT = 600.0
#: Seconds between two tries to start a part that Ray is reviving.
REVIVAL = 1.0
#: CPUs that segment server, evaluator and pretraining reserve, each.
HELPER_CPUS = 0.1

Ref = Any
Handle = Any
#: What is done when a part did not answer, with the reason.
Failed = Callable[[BaseException], None]


class PartLostError(ApexError):
    """A part died while the run waited for it."""


class RayRun:
    """Pretrains, trains and checkpoints on a Ray cluster. See ``SerialRun`` for the same in one
    process; both have the same arguments."""

    def __init__(self, config: Config, data: MarketData, session: Session) -> None:
        self.config, self.data, self.session = config, data, session
        self.progress = Progress()
        self.updates = 0
        self.pretrain_state: dict[str, Any] | None = None
        self.extractor: list[Ref] = []
        self.extractor_version: str | None = None
        self._flying: dict[Ref, Callable[[Any], None]] = {}
        self._failed: dict[Ref, Failed] = {}
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._shard_metrics: dict[int, dict[str, float]] = {}
        self._actor_metrics: list[dict[str, float]] = []
        self._learner_metrics: dict[str, float] = {}
        self._snapshots: dict[int, bytes] = {}
        self._learner_state: tuple[bytes, bytes] | None = None
        self._restarts: dict[str, int] = {}
        self._incarnations: dict[int, int] = {}
        self._asked: set[int] = set()
        self._evaluating = self._refitting = self._ending = False

    # --- the run ---------------------------------------------------------------------------

    def run(self) -> None:
        """Everything until the budget of updates or seconds is spent."""
        self._connect()
        try:
            checkpoint = self.session.resumed()
            self._make_parts()
            self._supply_extractor(checkpoint)
            self._start_parts(checkpoint)
            self._train()
        except RayTaskError as error:
            cause = _cause(error)
            if isinstance(cause, ApexError):  # its message alone, without the actor's traceback
                raise cause from None
            raise
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        cluster = self.config.cluster
        if cluster.address == "local":
            ray.init(
                num_cpus=self._local_cpus(),
                object_store_memory=cluster.object_store_mb * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        else:
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")

    def _reserved_cpus(self) -> float:
        """CPUs that the parts reserve together."""
        cluster = self.config.cluster
        shards = self.config.replay.shards * cluster.shard_cpus
        actors = cluster.actors * cluster.actor_cpus
        return actors + shards + cluster.learner_cpus + 3 * HELPER_CPUS

    def _local_cpus(self) -> int:
        """CPUs that a local cluster declares: those configured, else enough for every part.

        Raises ApexError when those configured are too few: the parts would wait for ever.
        """
        configured, need = self.config.cluster.cpus, math.ceil(self._reserved_cpus())
        there = os.cpu_count() or 1
        if configured and configured < need:
            raise ApexError(
                f"the parts reserve {need} CPUs and cluster.cpus is {configured}: lower "
                "cluster.actors, cluster.actor_cpus or replay.shards, or raise cluster.cpus"
            )
        if not configured and need > there:
            self.session.display.say(
                f"the parts reserve {need} CPUs and share this machine's {there}"
            )
        return configured or max(there, need)

    # --- parts -----------------------------------------------------------------------------

    def _make_parts(self) -> None:
        config, cluster = self.config, self.config.cluster
        agent = self.data.numbers(self.data.periods.agent)
        rotation = np.random.default_rng([config.seed, ROTATION])
        self.active = ActiveDays(agent, config.train.resident_days, rotation)
        others = len(self.data.periods.extractor) + len(self.data.evaluation_numbers())
        keep = len(self.active.current) + others + 2
        self.server = self._remote(SegmentServer, HELPER_CPUS).remote(
            config, str(self.session.folder.path), keep
        )
        self.board = self._remote(WeightBoard, 0).remote()
        self.shards = [
            self._remote(ShardActor, cluster.shard_cpus).remote(config, k)
            for k in range(config.replay.shards)
        ]
        self.rollouts = [
            self._remote(RolloutActor, cluster.actor_cpus).remote(config, k)
            for k in range(cluster.actors)
        ]
        self.learner = self._remote(
            LearnerActor, cluster.learner_cpus, cluster.learner_gpus
        ).remote(config)
        self.evaluator = self._remote(EvaluatorActor, HELPER_CPUS).remote(config)

    def _remote(self, kind: type, cpus: float, gpus: float = 0.0) -> Any:
        restarts = self.config.cluster.restarts
        return ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=restarts)(kind)

    def _start_parts(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            self._restore(checkpoint)
        market = self._build_segments()
        for k in range(len(self.shards)):
            self._incarnations[k] = self._wait(self._start_shard(k))
        self.updates = self._wait(self._start_learner())
        self.session.display.say(self._wait(self.learner.summary.remote()))
        for reference in [self._start_rollout(k, market) for k in range(len(self.rollouts))]:
            self._wait(reference)
        if self.data.periods.validation:
            market = self._market(self.data.evaluation_numbers())
            self._wait(self._start_evaluator(market))

    def _build_segments(self) -> Market:
        """Every segment that training begins with."""
        self._build([*self.active.current, *self.data.evaluation_numbers()])
        return self._market(self.active.current)

    def _build(self, numbers: list[int]) -> None:
        """Segments, one after another, so that progress shows and none takes all the time."""
        self.session.display.phase("building market segments", len(numbers))
        for done, number in enumerate(numbers, start=1):
            self._market([number])
            self.session.display.advance(done)

    def _start_shard(self, k: int) -> Ref:
        # Late priority updates may be meant for any incarnation that there was.
        incarnation = self._incarnations[k] = self._incarnations.get(k, -1) + 1
        return self.shards[k].start.remote(incarnation, self._snapshots.get(k), self.active.current)

    def _start_rollout(self, k: int, market: Market) -> Ref:
        return self.rollouts[k].start.remote(
            market, self.data.trading, self.data.periods.agent_from, len(self.rollouts),
            self.shards, self.board, self._restarts.get(f"rollout {k}", 0),
        )  # fmt: skip

    def _start_learner(self) -> Ref:
        return self.learner.start.remote(
            self.data.trading, len(self.active.current) + 1, self.server, self.extractor,
            self.shards, self.board, self._learner_state,
        )  # fmt: skip

    def _start_evaluator(self, market: Market) -> Ref:
        return self.evaluator.start.remote(market, self.data.trading)

    def _ask_market(self, numbers: list[int]) -> Ref:
        return self.server.market.remote(list(numbers), self.extractor)

    def _market(self, numbers: list[int]) -> Market:
        market: Market = self._wait(self._ask_market(numbers))
        return market

    def _wait(self, reference: Ref) -> Any:
        """A part's answer; its death or silence here ends the run with the reason."""
        try:
            return ray.get(reference, timeout=START_LIMIT)
        except RayActorError as error:
            raise PartLostError(f"a part of the run died while starting: {error}") from None
        except GetTimeoutError:
            raise ApexError(
                f"a part of the run did not answer in {START_LIMIT:g} s: look whether the cluster "
                "has the CPUs and memory that the parts reserve (ray status)"
            ) from None

    # --- extractor -------------------------------------------------------------------------

    def _needs_cnn(self) -> bool:
        return has_cnn(self.data.schema)

    def _supply_extractor(self, checkpoint: Checkpoint | None) -> None:
        if not self._needs_cnn():
            return
        if checkpoint is not None:
            self.pretrain_state = checkpoint.state("pretrain.pt")
            assert self.pretrain_state is not None
            self._adopt(self.pretrain_state["extractor"])
            return
        while not self.extractor:
            try:
                self._pretrain()
            except PartLostError:
                self._count_restart("pretraining")

    def _pretrain(self) -> None:
        numbers = self.data.numbers(self.data.periods.extractor)
        self._build(numbers)
        self.session.display.phase("pretraining the CNN", self.config.pretrain.steps)
        shell, done = self._pretrain_shell(), False
        self._wait(shell.begin.remote(self._market(numbers), None))
        while not done:
            done, metrics = self._wait(shell.advance.remote(SLICE))
            self._log_pretrain(metrics)
        self._finish_pretraining(shell, self._wait(shell.finish.remote()))

    def _pretrain_shell(self) -> Handle:
        # A shell that died has lost its fit: nothing is gained by a restart.
        return ray.remote(num_cpus=HELPER_CPUS, max_restarts=0)(PretrainShell).remote(self.config)

    def _finish_pretraining(self, shell: Handle, result: tuple[Any, Any, dict[str, float]]) -> None:
        extractor, self.pretrain_state, metrics = result
        ray.kill(shell)
        self._adopt(extractor)
        self.session.metrics.log({"pretrain/step": float(self.config.pretrain.steps), **metrics})

    def _adopt(self, state: dict[str, Any]) -> None:
        frozen = FrozenExtractor.from_state(state, self.data.schema)
        self.session.store_extractor(frozen)
        self.extractor_version = frozen.version
        self.extractor = [ray.put(state)]

    def _log_pretrain(self, metrics: dict[str, float]) -> None:
        done = metrics.get("pretrain/progress", 0.0) * self.config.pretrain.steps
        self.session.display.advance(done)
        if "pretrain/step" in metrics:
            self.session.metrics.log(metrics)

    def _refit(self) -> None:
        """Refit beside the run, which never waits; every part is given the new extractor then."""
        if not self._needs_cnn() or self._refitting:
            return
        self._refitting, shell = True, self._pretrain_shell()

        def failed(error: BaseException) -> None:
            self._refitting = False
            ray.kill(shell)
            self.session.display.say("the refit of the extractor died: the old one stays")

        def begin(market: Market) -> None:
            self._fly(shell.begin.remote(market, self.pretrain_state), advance, failed)

        def advance(_: Any) -> None:
            self._fly(shell.advance.remote(SLICE), advanced, failed)

        def advanced(result: tuple[bool, dict[str, float]]) -> None:
            done, metrics = result
            if "pretrain/step" in metrics:
                self.session.metrics.log(metrics)
            if self._ending:
                self._refitting = False
                ray.kill(shell)
            elif done:
                self._fly(shell.finish.remote(), finish, failed)
            else:
                advance(None)

        def finish(result: tuple[Any, Any, dict[str, float]]) -> None:
            self._refitting = False
            self._finish_pretraining(shell, result)
            self._supply_everywhere()

        numbers = self.data.numbers(self.data.periods.extractor)
        self._fly(self._ask_market(numbers), begin, failed)

    def _supply_everywhere(self) -> None:
        """Swap the CNN rows of every part for those of the new extractor, once they are made."""

        def swap(market: Market) -> None:
            self._fly(self.learner.swap_extractor.remote(self.extractor), _ignore, _nothing)
            self._send_market(market)

        def judge_with(market: Market) -> None:
            self._fly(self._start_evaluator(market), _ignore, _nothing)

        self._fly(self._ask_market(self.active.current), swap, self._again(self._supply_everywhere))
        if self.data.periods.validation:
            numbers = self.data.evaluation_numbers()
            self._fly(self._ask_market(numbers), judge_with, _nothing)

    def _move_rollouts(self) -> None:
        """Send every rollout to the active days; nobody waits while these are built."""
        self._fly(
            self._ask_market(self.active.current), self._send_market,
            self._again(self._move_rollouts),
        )  # fmt: skip

    def _send_market(self, market: Market) -> None:
        for rollout in self.rollouts:
            self._fly(rollout.set_market.remote(market), _ignore, _nothing)

    # --- training --------------------------------------------------------------------------

    def _train(self) -> None:
        self.session.display.phase("training", self.config.train.updates)
        self._started, self._before = time.monotonic(), self.progress.seconds
        self._round_due = 0.0
        while not self._spent():
            self._run_loops()
            while not self._spent():
                self._poll(timeout=0.5)
                self._round()
                self._events()
            # Loops end with their slice. A learner lost in the meantime goes on from earlier.
            self._ending = True
            self._drain()
        self._finish_training()

    def _spent(self) -> bool:
        """Whether the budget of updates or seconds is."""
        train = self.config.train
        self.progress.seconds = self._before + time.monotonic() - self._started
        out_of_time = 0 < train.seconds <= self.progress.seconds
        return self.updates >= train.updates or out_of_time

    def _run_loops(self) -> None:
        self._ending = False
        self._run_learner()
        for k in range(len(self.rollouts)):
            self._run_rollout(k)

    def _events(self) -> None:
        train, due = self.config.train, self.progress.due
        self.session.display.advance(self.updates)
        if self._learner_metrics and self._actor_metrics and self._shard_metrics:
            self._log_metrics()
        if self.active.rotates and due("rotate", self.updates, train.rotate_every):
            self._rotate()
        if due("pretrain", self.updates, train.pretrain_every):
            self._refit()
        if due("evaluate", self.updates, train.evaluate_every):
            self._evaluate()
        if due("checkpoint", self.updates, train.checkpoint_every) and not self._save():
            del self.progress.marks["checkpoint"]  # as soon as all parts are there

    def _finish_training(self) -> None:
        """Take the last figures, judge the last weights, save them."""
        self._learner_metrics |= self._wait(self.learner.figures.remote())
        for k in range(len(self.shards)):
            self._ask_shard(k)
        self._drain()
        self._log_metrics()
        self._evaluate()
        self._drain()
        while not self._save():
            self._revive()

    def _drain(self) -> None:
        """Wait for what is under way; parts that die meanwhile are started again."""
        while self._flying or self._later:
            self._poll(timeout=0.5)

    def _revive(self) -> None:
        """Start the idle parts that died."""
        parts: list[tuple[str, Handle, Callable[[], Ref]]] = [
            ("learner", self.learner, self._start_learner)
        ]
        for k, shard in enumerate(self.shards):
            parts.append((f"shard {k}", shard, partial(self._start_shard, k)))
        for name, handle, start in parts:
            try:
                there = ray.get(handle.started.remote(), timeout=START_LIMIT)
            except RayActorError:
                there = False
            if not there:
                self._count_restart(name)
                self._start_again(name, start, _ignore)
        self._drain()

    def _fly(self, reference: Ref, answer: Callable[[Any], None], failed: Failed) -> None:
        """Call ``answer`` with the result when it is there, ``failed`` when its actor died."""
        self._flying[reference], self._failed[reference] = answer, failed

    def _poll(self, timeout: float) -> None:
        """Hand over what has arrived, and try again what is due."""
        now = time.monotonic()
        due = [action for moment, action in self._later if moment <= now]
        self._later = [(moment, action) for moment, action in self._later if moment > now]
        for action in due:
            action()
        if not self._flying:
            time.sleep(timeout)
            return
        done, _ = ray.wait(list(self._flying), num_returns=1, timeout=timeout)
        for reference in done:
            answer, failed = self._flying.pop(reference), self._failed.pop(reference)
            try:
                result = ray.get(reference)
            except RayError as error:
                # What a part raised itself ends the run; a part or an object that is gone does not.
                if not isinstance(_cause(error), RayError):
                    raise
                failed(_cause(error))
                continue
            if isinstance(result, str) and result == NOT_STARTED:
                failed(RuntimeError(NOT_STARTED))
            else:
                answer(result)

    def _again(self, action: Callable[[], None]) -> Failed:
        """Do something anew in a while, since a part that it needs is being revived."""
        return lambda _: self._later.append((time.monotonic() + REVIVAL, action))

    def _anew(self, part: str, revive: Callable[[], None]) -> Failed:
        """Begin a part's revival anew in a while, from its market on.

        A start can fail because the part is not there yet, and because the segment server died
        meanwhile and took the segments with it that the start was given.
        """

        def failed(error: BaseException) -> None:
            if isinstance(error, ActorDiedError):  # for good
                self._count_restart(part)
            self._later.append((time.monotonic() + REVIVAL, revive))

        return failed

    def _start_again(
        self, part: str, start: Callable[[], Ref], started: Callable[[Any], None]
    ) -> None:
        """Start a part that Ray is reviving: until it is there, every call to it fails."""

        def failed(error: BaseException) -> None:
            if isinstance(error, ActorDiedError):  # for good
                self._count_restart(part)
            self._later.append((time.monotonic() + REVIVAL, attempt))

        def attempt() -> None:
            self._fly(start(), started, failed)

        attempt()

    # --- the parts' loops ------------------------------------------------------------------

    def _run_rollout(self, k: int) -> None:
        def answer(result: dict[str, Any]) -> None:
            self.progress.decisions += result["steps"]
            self.progress.inserted += result["inserted"]
            if result["metrics"]:
                self._actor_metrics.append(result["metrics"])
            self.learner.observe.remote([result["version"]])
            self._run_rollout(k)

        def failed(error: BaseException) -> None:
            self._count_restart(f"rollout {k}")
            revive()

        def revive() -> None:
            self._start_again("segment server", ask, start)

        def ask() -> Ref:
            return self._ask_market(self.active.current)

        def start(market: Market) -> None:
            self._fly(
                self._start_rollout(k, market), lambda _: started(market),
                self._anew(f"rollout {k}", revive),
            )  # fmt: skip

        def started(market: Market) -> None:
            now = tuple(self.active.current), self.extractor_version
            if (market.numbers, market.version) != now:  # it missed a rotation or a new extractor
                self._move_rollouts()
            self._run_rollout(k)

        if self._ending:
            return
        self._fly(self.rollouts[k].run.remote(SLICE), answer, failed)

    def _run_learner(self) -> None:
        def answer(result: dict[str, Any]) -> None:
            self.updates = result["updates"]
            self._learner_metrics |= result["metrics"]
            self._run_learner()

        def restarted(updates: int) -> None:
            self.session.display.say(f"the learner goes on from update {updates:,}")
            self.updates = updates
            self._run_learner()

        def failed(error: BaseException) -> None:
            self._count_restart("learner")
            self._start_again("learner", self._start_learner, restarted)

        if self._ending:
            return
        until = self.config.train.updates
        self._fly(self.learner.train.remote(until, SLICE), answer, failed)

    def _round(self) -> None:
        """Ask the shards for figures and tell each of the others' size and mass."""
        if time.monotonic() < self._round_due:
            return
        self._round_due = time.monotonic() + ROUND
        for k in range(len(self.shards)):
            if k not in self._asked:
                self._ask_shard(k)

    def _ask_shard(self, k: int) -> None:
        self._asked.add(k)
        others = [m for j, m in self._shard_metrics.items() if j != k]
        size = sum(m["replay/size"] for m in others)
        mass = sum(m["replay/mass"] for m in others)

        def answer(metrics: dict[str, float]) -> None:
            self._asked.discard(k)
            self._shard_metrics[k] = metrics

        def failed(error: BaseException) -> None:
            self._count_restart(f"shard {k}")
            there = "its snapshot" if k in self._snapshots else "empty: there is no snapshot yet"
            self.session.display.say(f"replay shard {k} goes on from {there}")
            self._shard_metrics.pop(k, None)
            self._start_again(f"shard {k}", partial(self._start_shard, k), started)

        def started(incarnation: int) -> None:
            self._asked.discard(k)
            self._incarnations[k] = incarnation

        share = 1.0 / len(self.shards)
        self._fly(self.shards[k].status.remote(share, int(size), mass), answer, failed)

    def _count_restart(self, part: str) -> None:
        self._restarts[part] = self._restarts.get(part, 0) + 1
        limit = self.config.cluster.restarts
        self.session.display.say(f"{part} died and is started again ({self._restarts[part]})")
        if self._restarts[part] > limit:
            raise ApexError(
                f"{part} died {self._restarts[part]} times (cluster.restarts={limit}): look at its "
                "log under /tmp/ray/session_latest/logs, then go on with resume="
                f"{self.session.folder.path}"
            )

    def _rotate(self) -> None:
        gone, _ = self.active.rotate()
        self._move_rollouts()
        for shard in self.shards:
            shard.set_active.remote(self.active.current)
        self.learner.evict.remote(gone)

    # --- figures and checkpoints -----------------------------------------------------------

    def _log_metrics(self) -> None:
        shards = list(self._shard_metrics.values())
        learner = {"learner/updates": float(self.updates), **self._learner_metrics}
        self.session.log_training(self.progress, self._actor_metrics, shards, learner)
        restarts = sum(self._restarts.values())
        self.session.metrics.log({"system/restarts": float(restarts)})
        self._learner_metrics, self._actor_metrics = {}, []

    def _evaluate(self) -> None:
        """Judge the learner's present weights on the validation days, beside the run."""
        if not self.data.periods.validation or self._evaluating:
            return
        # The checkpoint comes first, so that the best weights are still there when they win.
        if not self._save() or self.progress.marks.get("evaluated") == self.updates:
            return
        updates, self._evaluating = self.updates, True
        name = f"step-{updates:06d}"
        self.session.checkpoints.held.add(name)

        def answer(figures: dict[str, float]) -> None:
            done()
            self.progress.marks["evaluated"] = updates
            value = figures["eval/net_return"]
            better = value > self.progress.best
            self.progress.best = max(value, self.progress.best)
            self.session.metrics.log({**figures, "eval/best_net_return": self.progress.best})
            if better:
                self.session.mark_best(updates, value)

        def failed(error: BaseException) -> None:
            done()
            self._count_restart("evaluator")
            revive()

        def revive() -> None:
            self._start_again("segment server", ask, start)

        def ask() -> Ref:
            return self._ask_market(self.data.evaluation_numbers())

        def start(market: Market) -> None:
            self._fly(self._start_evaluator(market), _ignore, self._anew("evaluator", revive))

        def done() -> None:
            self._evaluating = False
            self.session.checkpoints.held.discard(name)

        weights = self.learner.weights.remote()
        self._fly(self.evaluator.evaluate.remote(weights, updates), answer, failed)

    def _save(self) -> bool:
        """Write a checkpoint of learner, replay and counters, once for each update count.

        False when a part is being restarted: nothing is written then.
        """
        try:
            learner = ray.get(self.learner.snapshot.remote(), timeout=START_LIMIT)
            shards = ray.get([s.snapshot.remote() for s in self.shards], timeout=START_LIMIT)
            keys = ray.get(self.server.keys.remote(), timeout=START_LIMIT)
        except RayActorError:
            return False
        if NOT_STARTED in (learner, *shards):
            return False
        self._learner_state = learner["learner"], learner["publisher"]
        self._snapshots = dict(enumerate(shards))
        updates = self.updates = learner["updates"]
        if self.progress.marks.get("saved") == updates:
            return True
        self.progress.marks["saved"] = updates
        self.data.registry.load_state_dict(keys)
        parts: dict[str, Any] = {
            "learner.pt": learner["learner"],
            "publisher.pt": learner["publisher"],
            "pretrain.pt": state_part(self.pretrain_state),
            "rotation.pt": state_part(self.active.state_dict()),
            "progress.pt": state_part(self.progress.state_dict()),
            "registry.json": json_part(self.data.registry.state_dict()),
        }
        for k, snapshot in enumerate(shards):
            parts[f"replay-{k}.pt"] = snapshot
        self.session.save(updates, parts, self.extractor_version, self.data.periods)
        return True

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.data.registry.load_state_dict(checkpoint.json("registry.json"))
        self.active.load_state_dict(checkpoint.state("rotation.pt"))
        self.progress.load_state_dict(checkpoint.state("progress.pt"))
        self.progress.best = self.session.best_value()
        self._learner_state = checkpoint.read("learner.pt"), checkpoint.read("publisher.pt")
        for k in range(len(self.shards)):
            self._snapshots[k] = checkpoint.read(f"replay-{k}.pt")


def _cause(error: BaseException) -> BaseException:
    """What went wrong at the bottom of errors that were passed on from actor to actor."""
    while isinstance(error, RayTaskError) and error.cause is not None:
        error = error.cause
    return error


def _ignore(_: Any) -> None:
    """An answer that says nothing."""


def _nothing(_: BaseException) -> None:
    """The loop of that part notices its death itself."""
