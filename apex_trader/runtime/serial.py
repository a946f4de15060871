"""A whole run in one process without Ray: the same parts, called in turn.

For debugging and for deterministic tests: the same seed gives the same result, and a resumed run
ends as one that was never interrupted.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actors.evaluation import Evaluator
from actors.market import RolloutMarket
from actors.pretraining import PretrainActor
from actors.replay.shard import ReplayShard
from actors.replay.strata import Peers
from actors.rollout import RolloutResult, RolloutWorker
from apex_trader.errors import ApexError
from apex_trader.experience import EXTREMA, Sample
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import KEPT, CnnRows, MarketData, tables_with_cnn
from apex_trader.runtime.parts import (
    choose_device,
    make_arena,
    make_learner,
    make_network,
    outcomes,
    rollout_market,
)
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.rhythm import Budget, Event, Rhythm, train_events
from apex_trader.runtime.rotation import active_days, training_days
from apex_trader.runtime.session import Session
from apex_trader.state.gather import MarketTables
from apex_trader.state.segment import Segment
from learner.arena import Loaded, has_cnn
from learner.checkpoint import Checkpoint, json_part, state_part
from learner.checkpoint_parts import Part
from learner.publish import WeightPublisher


class SerialRun:
    """Pretrains, trains and checkpoints in one process.

    Args:
        config: the run's configuration.
        data: its market.
        session: folder, metrics, display and checkpoints.
    """

    def __init__(self, config: Config, data: MarketData, session: Session) -> None:
        self.config, self.data, self.session = config, data, session
        torch.set_num_threads(config.train.threads)
        self.progress = Progress()
        self._actor_metrics: list[dict[str, float]] = []
        self.pretrain = PretrainActor(data.schema, config.pretrain, config.seed, config.cnn)
        self._rows: OrderedDict[tuple[str | None, int], NDArray[np.float16]] = OrderedDict()

    # --- the run ---------------------------------------------------------------------------

    def run(self) -> None:
        """Everything until the budget of updates or seconds is spent."""
        checkpoint = self.session.resumed()
        if checkpoint is None:
            self._fit_extractor()
        else:
            state = checkpoint.state("pretrain.pt")
            if state is not None:  # the Ray runtime has none without CNN blocks
                self.pretrain.load_state_dict(state)
        self._build(checkpoint)
        if checkpoint is not None:
            self._restore(checkpoint)
        self._train()

    def _train(self) -> None:
        stop, learner = self.session.stop, self.learner
        self.session.display.phase("training", self.config.train.updates, done=learner.updates)
        rhythm, budget = self._rhythm(), Budget(self.config.train, self.progress)
        with stop.deferred():
            while stop.requested is None and not budget.spent(learner.updates):
                if not self._learn_once():
                    if self._dry:
                        break
                    self._collect()
                self._events(rhythm)
            if stop.requested is None:
                if self.progress.due("metrics", learner.updates, 1):
                    self._log_metrics()
                self._evaluate()
            self._save()

    def _rhythm(self) -> Rhythm:
        every, events = self.config.learner, train_events(
            self.config.train, rotates=self._rotates, rotate=self._rotate,
            refit=self._refit_extractor, evaluate=self._evaluate, checkpoint=self._save,
        )  # fmt: skip
        own = [
            Event("publish", every.publish_every, self._publish),
            Event("metrics", every.metrics_every, self._log_metrics),
        ]
        return Rhythm(self.progress, [*own, *events])

    def _events(self, rhythm: Rhythm) -> None:
        """What is due between two deliveries, when nothing is on its way between the parts."""
        self.session.display.advance(self.learner.updates)
        rhythm.beat(self.learner.updates)

    # --- extractor -------------------------------------------------------------------------

    @property
    def extractor(self) -> FrozenExtractor | None:
        """The extractor that makes the CNN rows now."""
        return self.pretrain.extractor

    def _needs_cnn(self) -> bool:
        return has_cnn(self.data.schema)

    def _fit_extractor(self) -> None:
        if not self._needs_cnn():
            return
        days = self.data.periods.extractor
        segments = [self.data.segment(n) for n in self.data.numbers(days)]
        self.session.display.phase("pretraining the CNN", self.config.pretrain.steps)
        self.pretrain.fit(segments, report=self._report_pretrain)
        self._store_extractor()
        self._log_extractor()

    def _refit_extractor(self) -> None:
        """A new version for every part at once; experiences stay what they refer to."""
        if not self._needs_cnn():
            return
        segments = [self.data.segment(n) for n in self.data.numbers(self.data.periods.extractor)]
        self.pretrain.refit(segments, report=self._report_pretrain)
        self._store_extractor()
        self._log_extractor()
        version = self.extractor_version
        assert version is not None
        self.arena.swap_cnn(version, self._cnn_rows)
        self._write_cnn(self.rollout.market.tables, self.rollout.market.numbers.tolist())
        self.rollout.policy.forget()
        if self.evaluator is not None:
            numbers = [*self._training_days(), *self.data.evaluation_numbers()]
            self._write_cnn(self.evaluator.tables, numbers)

    @property
    def extractor_version(self) -> str | None:
        """Its version, None without CNN blocks."""
        return self.extractor.version if self.extractor is not None else None

    def _store_extractor(self) -> None:
        assert self.extractor is not None
        self.session.store_extractor(self.extractor)

    def _log_extractor(self) -> None:
        """The frozen extractor's figures against the baselines."""
        metrics = self.pretrain.metrics()
        self.session.metrics.log({"pretrain/step": float(self.config.pretrain.steps), **metrics})

    def _report_pretrain(self, metrics: dict[str, float]) -> None:
        self.session.display.advance(
            metrics.get("pretrain/progress", 0.0) * self.config.pretrain.steps
        )
        self.session.metrics.log(metrics)

    def _cnn_rows(self, number: int) -> NDArray[np.float16]:
        key = (self.extractor_version, number)
        if key not in self._rows:
            rows = CnnRows(self.extractor).of(self._segment(number))
            assert rows is not None
            self._rows[key] = rows
        self._rows.move_to_end(key)
        while len(self._rows) > self.data.kept:
            self._rows.popitem(last=False)
        return self._rows[key]

    def _write_cnn(self, tables: MarketTables, numbers: list[int]) -> None:
        version = self.extractor_version
        assert version is not None
        tables.drop_cnn()
        for first, number in zip(tables.first_row, numbers, strict=True):
            tables.write_cnn(first, self._cnn_rows(number), version)

    # --- parts -----------------------------------------------------------------------------

    def _segment(self, number: int) -> Segment:
        return self.data.segment(number)

    def _load(self, number: int) -> Loaded:
        cnn = self._cnn_rows(number) if self._needs_cnn() else None
        return Loaded(self._segment(number), cnn, self.extractor_version)

    def _tables(self, numbers: list[int]) -> MarketTables:
        segments = [self._segment(n) for n in numbers]
        needed = self._needs_cnn()
        rows = [self._cnn_rows(n) if needed else None for n in numbers]
        return tables_with_cnn(
            segments, self.data.schema, rows, self.extractor_version if needed else None
        )

    def _build(self, checkpoint: Checkpoint | None) -> None:
        config, data = self.config, self.data
        self.active = active_days(config, data)
        if checkpoint is not None:
            data.registry.load_state_dict(checkpoint.json("registry.json"))
            self.active.load_state_dict(checkpoint.state("rotation.pt"))
        # Rollout and arena ask for the same days, and a rotation for all but one of them again.
        data.kept = max(KEPT, len(self.active.current) + 1)
        self.arena = make_arena(
            config, data.schema, self._resident_days() + 1, self._load, choose_device(config)
        )
        self.learner = make_learner(config, data.schema, data.trading, self.arena)
        self.publisher = WeightPublisher(self.learner.network)
        self.shards = [
            ReplayShard(config.replay, k, 0, config.seed, outcomes(config))
            for k in range(config.replay.shards)
        ]
        self.rollout = self._make_rollout()
        self.evaluator = self._make_evaluator()
        self._publish()
        self.session.display.say(self.arena.summary())

    @property
    def _rotates(self) -> bool:
        """Whether rollouts go to other days now and then."""
        return self.active.rotates

    def _resident_days(self) -> int:
        return len(self.active.current)

    def _make_rollout(self) -> RolloutWorker:
        config, data = self.config, self.data
        return RolloutWorker(
            self._market(), make_network(config, data.schema, data.trading),
            config.rollout, data.trading, config.reward, seed=config.seed,
        )  # fmt: skip

    def _market(self) -> RolloutMarket:
        numbers = self.active.current
        return rollout_market(
            self.config, [self.data.segment(n) for n in numbers], numbers,
            self._tables(numbers), self.data.periods.agent_from,
        )  # fmt: skip

    def _make_evaluator(self) -> Evaluator | None:
        validation, training = self.data.evaluation_numbers(), self._training_days()
        if not validation:
            return None
        numbers = [*training, *validation]
        return Evaluator(
            [self.data.segment(n) for n in numbers],
            self._tables(numbers),
            make_network(self.config, self.data.schema, self.data.trading),
            self.data.trading,
            self.config.reward,
            self.config.rollout.gamma,
            len(training),
        )

    def _training_days(self) -> list[int]:
        """Numbers of those on which the weights are judged too."""
        return training_days(self.config, self.data)

    def _rotate(self) -> None:
        gone, _ = self.active.rotate()
        self._insert(self.rollout.set_market(self._market()))
        for shard in self.shards:
            shard.evict_segment(gone)
        if gone in self.arena.resident:
            self.arena.evict(gone)

    # --- experience ------------------------------------------------------------------------

    @property
    def _dry(self) -> bool:
        """Whether there will never be any more experience."""
        return False

    def _collect(self) -> None:
        result = self.rollout.collect(latest_version=self.publisher.version)
        self.progress.decisions += result.steps
        self.publisher.observe(self.rollout.policy.version, self.learner.updates)
        self._actor_metrics.append(result.metrics)
        self._insert(result)

    def _insert(self, result: RolloutResult) -> None:
        """Deliver to the shards in turn; the learner works while a shard asks to wait.

        Nothing waits when the budget is spent: what is left is kept for a run that goes on.
        """
        size = min(self.config.replay.max_insert, self.config.replay.shard_capacity)
        parts = -(-len(result.transitions) // size)
        for part in np.array_split(np.arange(len(result.transitions)), max(parts, 1)):
            transitions, priorities = result.transitions.take(part), result.priorities[part]
            shard = self.shards[self.progress.deliveries % len(self.shards)]
            while not shard.insert(
                transitions, priorities, paced=self.learner.updates < self.config.train.updates
            ):
                if not self._learn_once():
                    raise ApexError(
                        "replay and learner wait for each other: raise replay.error_buffer, or "
                        "lower replay.min_size"
                    )
            self.progress.deliveries += 1
        self.progress.inserted += len(result.transitions)
        for tag in result.tags:
            for shard in self.shards:
                shard.tag(tag.segment, tag.rows, EXTREMA)

    # --- learning --------------------------------------------------------------------------

    def _learn_once(self) -> bool:
        """One batch from each shard that gives one; False when none does."""
        self._introduce_shards()
        done = False
        for shard in self.shards:
            if done and self.learner.updates >= self.config.train.updates:
                break  # the budget is spent in the middle of a round
            for sample in shard.sample(1, self.learner.updates) or ():
                self._update(shard, sample)
                done = True
        return done

    def _update(self, shard: ReplayShard, sample: Sample) -> None:
        priorities = self.learner.update(sample)
        shard.update(priorities.slot, priorities.generation, priorities.value)

    def _introduce_shards(self) -> None:
        """Tell every shard the size and mass of the others, for importance weights."""
        for shard in self.shards:
            others = [s for s in self.shards if s is not shard]
            mass = sum(s.mass for s in others)
            shard.set_peers(Peers(1.0 / len(self.shards), sum(map(len, others)), mass))

    def _publish(self) -> None:
        weights = self.publisher.publish(self.learner.updates)
        self.rollout.set_weights(weights.version, weights.state_dict())

    # --- figures ---------------------------------------------------------------------------

    def _log_metrics(self) -> None:
        shards = [shard.metrics() for shard in self.shards]
        learner = self.learner.read_metrics() | self.publisher.metrics() | self.arena.metrics()
        learner["learner/updates"] = float(self.learner.updates)
        learner |= self._source_metrics()
        actors, self._actor_metrics = self._actor_metrics, []
        self.session.log_training(self.progress, actors, shards, learner)

    def _source_metrics(self) -> dict[str, float]:
        """Figures of where experience comes from, where that has some."""
        return {}

    def _evaluate(self) -> None:
        if self.evaluator is None or self.progress.marks.get("evaluated") == self.learner.updates:
            return
        self.progress.marks["evaluated"] = self.learner.updates
        figures = self.evaluator.evaluate(self.learner.judged.state_dict(), self.learner.updates)
        if self.session.log_evaluation(self.progress, figures):
            self._save(best=self.progress.best)

    # --- checkpoints -----------------------------------------------------------------------

    def _save(self, best: float | None = None) -> None:
        """Write a checkpoint, once for each update count; mark it when it is the best."""
        if self.progress.marks.get("saved") != self.learner.updates:
            self.progress.marks["saved"] = self.learner.updates
            parts: dict[str, Any] = {
                "learner.pt": state_part(self.learner.state_dict()),
                "publisher.pt": state_part(self.publisher.state_dict()),
                **self._rollout_parts(),
                "pretrain.pt": state_part(self.pretrain.state_dict()),
                "rotation.pt": state_part(self.active.state_dict()),
                "progress.pt": state_part(self.progress.state_dict()),
                "registry.json": json_part(self.data.registry.state_dict()),
            }
            for k, shard in enumerate(self.shards):
                parts[f"replay-{k}.pt"] = state_part(shard.state_dict())
            self.session.save(
                self.learner.updates, parts, self.extractor_version, self.data.periods
            )
        if best is not None:
            self.session.mark_best(self.learner.updates, best)

    def _rollout_parts(self) -> dict[str, Part]:
        return {"rollout-0.pt": state_part(self.rollout.state_dict())}

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.learner.load_state_dict(checkpoint.state("learner.pt"))
        self.publisher.load_state_dict(checkpoint.state("publisher.pt"))
        self._restore_rollout(checkpoint)
        for k, shard in enumerate(self.shards):
            shard.load_state_dict(checkpoint.state(f"replay-{k}.pt"), exact=True)
        self.progress.load_state_dict(checkpoint.state("progress.pt"))
        if self.progress.marks.get("evaluated") == self.learner.updates:
            self._mark_best_again()
        self.progress.best = self.session.best_value()

    def _restore_rollout(self, checkpoint: Checkpoint) -> None:
        if checkpoint.has("rollout-0.pt"):  # a checkpoint of the Ray runtime has none
            self.rollout.load_state_dict(checkpoint.state("rollout-0.pt"))
        else:
            self._publish()

    def _mark_best_again(self) -> None:
        """The run may have died between the best checkpoint and its mark."""
        best = self.session.checkpoints.best()
        if best is None or best.value < self.progress.best:
            self.session.mark_best(self.learner.updates, self.progress.best)
