"""A whole run on Ray: the driver starts the parts, moves metadata between them, revives them.

Experience goes from actors to shards, batches from shards to the learner, weights from the learner
to the actors; the driver sees counts and figures. Each part has a module of its own, with what
runs as a Ray actor and the driver's side of it. A part that died is restarted by Ray and started
again by the driver: rollouts anew, a shard from its snapshot, the learner from the last checkpoint.
"""

from __future__ import annotations

import time

import ray
from ray.exceptions import RayActorError

from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.ray_calls import START_LIMIT, Calls, own_messages
from apex_trader.runtime.ray_checkpoints import Checkpoints
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_evaluation import Evaluation
from apex_trader.runtime.ray_extractor import Extractors
from apex_trader.runtime.ray_learner import Learning
from apex_trader.runtime.ray_part import Ref
from apex_trader.runtime.ray_replay import Replay
from apex_trader.runtime.ray_resources import connect
from apex_trader.runtime.ray_restarts import Restarts
from apex_trader.runtime.ray_rollouts import Rollouts
from apex_trader.runtime.ray_segments import Market, Segments
from apex_trader.runtime.resume import resume_command
from apex_trader.runtime.rhythm import Budget, Event, Rhythm, train_events
from apex_trader.runtime.rotation import active_days
from apex_trader.runtime.session import Session
from learner.checkpoint import Checkpoint

#: Seconds that a stopped run waits for the parts of its last checkpoint.
STOP_LIMIT = 60.0


class RayRun:
    """Pretrains, trains and checkpoints on a Ray cluster. See ``SerialRun`` for the same in one
    process; both have the same arguments."""

    def __init__(self, config: Config, data: MarketData, session: Session) -> None:
        calls = Calls()
        go_on = f"go on with: {resume_command(session.folder.path)}"
        self.context = RunContext(
            config, data, session, Progress(),
            active_days(config, data), calls,
            Restarts(calls, config.cluster.restarts, session.display.say, go_on),
        )  # fmt: skip

    def run(self) -> None:
        """Everything until the budget of updates or seconds is spent."""
        session = self.context.session
        connect(self.context.config, session.display)
        session.stop.install()  # Ray takes SIGTERM for itself
        try:
            with own_messages():
                checkpoint = session.resumed()
                self._make_parts()
                self.extractors.supply(checkpoint)
                self._start_parts(checkpoint)
                self._train()
        finally:
            try:
                self._close()
            finally:
                ray.shutdown()

    def _make_parts(self) -> None:
        context = self.context
        self.segments = Segments(context)
        self.extractors = Extractors(context, self.segments)
        self.replay = Replay(context)
        self._make_experience()
        self.checkpoints = Checkpoints(
            context, self.segments, self.replay, self.learning, self.extractors
        )
        self.evaluation = Evaluation(context, self.segments, self.checkpoints)

    def _make_experience(self) -> None:
        """Who makes experience, and who learns from it."""
        context = self.context
        self.learning = Learning(context, self.segments, self.replay)
        self.rollouts = Rollouts(context, self.segments, self.replay, self.learning)

    def _start_parts(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            self.checkpoints.restore(checkpoint)
        self._start_experience()
        self.evaluation.start()

    def _start_experience(self) -> None:
        context, active = self.context, self.context.active.current
        self.segments.build([*active, *self.segments.judged_numbers])
        market: Market = context.calls.wait(self.segments.active())
        self.replay.start()
        self.learning.start()
        self.rollouts.start(market)

    # --- training --------------------------------------------------------------------------

    def _train(self) -> None:
        context, stop = self.context, self.context.session.stop
        updates = context.config.train.updates
        context.session.display.phase("training", updates, done=context.updates)
        context.rhythm, budget = self._rhythm(), Budget(context.config.train, context.progress)
        with stop.deferred():
            while stop.requested is None and not (self._over(budget) and self._ended()):
                self._run_loops(budget)
            if stop.requested is not None:
                self._save_before_the_end()

    def _run_loops(self, budget: Budget) -> None:
        """Until the budget is spent, and every loop has ended with its slice.

        A learner that is lost in the meantime goes on from earlier: then the budget is not spent.
        """
        context, stop = self.context, self.context.session.stop
        context.ending = False
        self._begin_loops()
        while stop.requested is None and not self._over(budget):
            self._step()
            context.session.display.advance(context.updates)
            context.rhythm.beat(context.updates)
        context.ending = True
        if stop.requested is None:
            self._drain()

    def _begin_loops(self) -> None:
        self.learning.run()
        self.rollouts.run()

    def _over(self, budget: Budget) -> bool:
        """Whether there is nothing more to do."""
        return budget.spent(self.context.updates)

    def _rhythm(self) -> Rhythm:
        context, events = self.context, train_events(
            self.context.config.train, rotates=self.context.rotates, rotate=self._rotate,
            refit=lambda: self.extractors.refit(self._supply), evaluate=self.evaluation.begin,
            checkpoint=self.checkpoints.event,
        )  # fmt: skip
        return Rhythm(context.progress, [Event("metrics", 1, self._log_metrics), *events])

    def _step(self) -> None:
        """Hand over answers; ask what is asked now and then."""
        self.context.calls.poll()
        self.context.restarts.pulse()
        self.replay.round()

    def _drain(self) -> None:
        """Wait for what is under way; parts that die meanwhile are started again."""
        while self.context.calls.busy or self.context.restarts.down:
            self.context.restarts.pulse()
            self.context.calls.poll()

    def _rotate(self) -> None:
        gone, _ = self.context.active.rotate()
        self.rollouts.move()
        self.replay.set_active()
        self.learning.evict(gone)

    def _supply(self) -> None:
        """Swap the CNN rows of every part for those of the new extractor, once they are made."""

        def swap(market: Market) -> None:
            self.learning.swap_extractor()
            self.rollouts.send(market)

        self.context.calls.persist(self.segments.active, swap)
        self.evaluation.supply()

    def _log_metrics(self) -> bool:
        """Once every kind of part has told its figures since they were last logged."""
        shards = list(self.replay.metrics.values())
        if not (self.learning.metrics and self.rollouts.metrics and shards):
            return False
        self._log(shards)
        return True

    def _log(self, shards: list[dict[str, float]]) -> None:
        context = self.context
        learner = self.learning.metrics
        if learner:
            learner = {"learner/updates": float(context.updates), **learner}
        learner = {**learner, **self._source_metrics()}
        context.session.log_training(context.progress, self.rollouts.metrics, shards, learner)
        context.session.metrics.log({"system/restarts": float(context.restarts.total)})
        self.learning.metrics, self.rollouts.metrics = {}, []

    def _source_metrics(self) -> dict[str, float]:
        """Figures of where experience comes from, where that has some."""
        return {}

    # --- the end ---------------------------------------------------------------------------

    def _ended(self) -> bool:
        """Take the last figures, judge the last weights, save them.

        False when the learner was lost meanwhile and goes on from an earlier update.
        """
        updates = self.context.updates
        self.learning.take_figures()
        self.replay.ask()
        self._drain()
        self._log(list(self.replay.metrics.values()))
        while not (self.evaluation.up_to_date and self.checkpoints.up_to_date):
            if not self.evaluation.begin():
                self.checkpoints.event()
            self._drain()
            if not self.checkpoints.up_to_date:
                self._revive()
        return self.context.updates >= updates

    def _revive(self) -> None:
        """Start the idle parts that died: without their loops nothing else notices."""
        if not self._answers_started(self.learning.started()):
            self.context.restarts.lost(self.learning.PART)
            self.learning.revive()
        for k, shard in enumerate(self.replay.handles):
            if not self._answers_started(shard.started.remote()):
                self.context.restarts.lost(f"shard {k}")
                self.replay.revive(k)

    def _answers_started(self, reference: Ref) -> bool:
        try:
            return bool(ray.get(reference, timeout=START_LIMIT))
        except RayActorError:
            return False

    def _save_before_the_end(self) -> None:
        """A checkpoint of where the run was stopped, if the parts are still there for it."""
        saved: list[int] = []
        until = time.monotonic() + STOP_LIMIT
        while not saved and time.monotonic() < until:
            self.checkpoints.save(lambda updates, _: saved.append(updates))
            self._step()
        if not saved:
            self.context.session.display.say(
                f"no checkpoint could be written within {STOP_LIMIT:g} s: a part is missing"
            )

    def _close(self) -> None:
        """What must be ended in order, while the cluster still runs."""
