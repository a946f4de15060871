"""A run of RLlib's DQN: on the same days, rewards, extractor and budget, judged in the same way.

RLlib steps environments, keeps the replay and learns; segments, CNN, validation, checkpoints and
metrics are the run's own parts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import psutil
import ray
import torch
from ray.exceptions import RayActorError
from ray.rllib.core import DEFAULT_MODULE_ID

from actors.evaluation import Evaluator
from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.parts import exploration_seed, judged_network
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.ray_calls import Calls, own_messages
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_extractor import Extractors
from apex_trader.runtime.ray_resources import HELPER_CPUS, connect
from apex_trader.runtime.ray_restarts import Restarts
from apex_trader.runtime.ray_rllib_algorithm import decisions_of_each, make_algorithm
from apex_trader.runtime.ray_rllib_market import MarketBoard, SharedMarket, load_tables
from apex_trader.runtime.ray_segments import Market, Segments
from apex_trader.runtime.resume import resume_command
from apex_trader.runtime.rhythm import Budget, Event, Rhythm, train_events
from apex_trader.runtime.rllib_results import Readings
from apex_trader.runtime.rllib_weights import judged_weights
from apex_trader.runtime.rotation import active_days
from apex_trader.runtime.session import Session
from apex_trader.state.schema import ACCOUNT_SIZE, Schema
from learner.checkpoint import Checkpoint, json_part, state_part

#: What of RLlib's learner a checkpoint holds.
_LEARNER = ("rl_module", "optimizer", "weights_seq_no")
#: Seeds that RLlib takes are below this.
_SEEDS = 2**31


class RllibRun:
    """Pretrains, lets RLlib train, and checkpoints; arguments as those of ``SerialRun``.

    A part that dies ends the run; it goes on from its last checkpoint.
    """

    def __init__(self, config: Config, data: MarketData, session: Session) -> None:
        check_replay(config, data.schema)
        calls = Calls()
        go_on = f"go on with: {resume_command(session.folder.path)}"
        self.config, self.data, self.session = config, data, session
        self.progress = Progress()
        self.context = RunContext(
            config, data, session, self.progress,
            active_days(config, data), calls,
            Restarts(calls, config.cluster.restarts, session.display.say, go_on),
        )  # fmt: skip
        self.updates = 0

    def run(self) -> None:
        """Everything until the budget of updates or seconds is spent."""
        connect(self.config, self.session.display)
        self.session.stop.install()  # Ray takes SIGTERM for itself
        try:
            with own_messages():
                checkpoint = self.session.resumed()
                self._build(checkpoint)
                self._train()
        except RayActorError as error:
            raise ApexError(
                f"a part of the run died ({error}); go on with: "
                f"{resume_command(self.session.folder.path)}"
            ) from None
        finally:
            ray.shutdown()

    # --- parts -----------------------------------------------------------------------------

    def _build(self, checkpoint: Checkpoint | None) -> None:
        context, data = self.context, self.data
        if checkpoint is not None:
            data.registry.load_state_dict(checkpoint.json("registry.json"))
            context.active.load_state_dict(checkpoint.state("rotation.pt"))
            self.progress.load_state_dict(checkpoint.state("progress.pt"))
            self.progress.best = self.session.best_value()
        self.segments = Segments(context)
        self.extractors = Extractors(context, self.segments)
        self.extractors.supply(checkpoint)
        self.segments.build([*context.active.current, *self.segments.judged_numbers])
        self.board = context.make(MarketBoard, self.config, cpus=HELPER_CPUS)
        self._days = 0
        self._post_days()
        torch.set_num_threads(self.config.train.threads)
        self._make_algorithm(checkpoint)
        self.evaluator = self._make_evaluator()
        self.session.display.say(self._summary())

    def _make_algorithm(self, checkpoint: Checkpoint | None) -> None:
        market = SharedMarket(
            self.board, self.config, self.data.trading, self.data.periods.agent_from
        )
        seed = exploration_seed(self.config.seed, self.session.sitting, 0) % _SEEDS
        self._before = self.progress.decisions
        self.algorithm = make_algorithm(self.config, market, self._before, seed)
        self.readings = Readings(self.config)
        if checkpoint is None:
            return
        self.updates = checkpoint.json("run.json")["updates"]
        learners = self.algorithm.learner_group
        learners.set_state({"learner": checkpoint.state("rllib.pt")})
        self.algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=learners, inference_only=True
        )

    def _make_evaluator(self) -> Evaluator | None:
        if not self.data.evaluation_numbers():
            return None
        market: Market = self.context.calls.wait(self.segments.judged())
        segments, tables = load_tables(market, self.data.schema)
        network = judged_network(self.config, self.data.schema, self.data.trading)
        return Evaluator(
            segments, tables, network, self.data.trading, self.config.reward,
            self.config.rollout.gamma, len(self.segments.training),
        )  # fmt: skip

    def _post_days(self) -> None:
        """Give the active days to all environments; each takes them with its next episode."""
        calls, self._days = self.context.calls, self._days + 1
        market = calls.wait(self.segments.active())
        calls.wait(self.board.post.remote(self._days, [ray.put(market)]))

    def _rotate(self) -> None:
        self.context.active.rotate()
        self._post_days()

    def _summary(self) -> str:
        rllib, size = self.config.rllib, observation_bytes(self.data.schema)
        return (
            f"RLlib's DQN, network {rllib.network}: {rllib.lanes} accounts, "
            f"{decisions_of_each(self.config)} decisions of each an update; its replay of "
            f"{rllib.capacity:,} observations takes up to {rllib.capacity * size / 2**30:.2f} GiB"
        )

    # --- training --------------------------------------------------------------------------

    def _train(self) -> None:
        stop, train = self.session.stop, self.config.train
        self.session.display.phase("training", train.updates, done=self.updates)
        rhythm, budget = self._rhythm(), Budget(train, self.progress)
        with stop.deferred():
            while stop.requested is None and not budget.spent(self.updates):
                self._take(self.algorithm.train())
                self.session.display.advance(self.updates)
                rhythm.beat(self.updates)
            if stop.requested is None:
                if self.progress.due("metrics", self.updates, 1):
                    self._log_metrics()
                self._evaluate()
            self._save()

    def _rhythm(self) -> Rhythm:
        events = train_events(
            self.config.train, rotates=self.context.rotates, rotate=self._rotate,
            refit=lambda: None, evaluate=self._evaluate, checkpoint=self._save,
        )  # fmt: skip
        metrics = Event("metrics", self.config.learner.metrics_every, self._log_metrics)
        return Rhythm(self.progress, [metrics, *events])

    def _take(self, result: Mapping[str, Any]) -> None:
        """Count what one training step of RLlib did. ApexError when its loss is not finite."""
        self.readings.take(result)
        self.updates += self.readings.updates
        self.progress.decisions = self.progress.inserted = self._before + self.readings.decisions
        loss = self.readings.newest.get("learner/loss", 0.0)
        if not math.isfinite(loss):
            raise ApexError(
                f"RLlib's loss is {loss} at update {self.updates:,}: training diverged; lower "
                "learner.learning_rate"
            )

    def _log_metrics(self) -> None:
        size = self.algorithm.local_replay_buffer.get_num_timesteps()
        learner, actors, replay = self.readings.read(size, self.progress.decisions)
        learner = {"learner/updates": float(self.updates), **learner}
        self.session.log_training(self.progress, [actors], [replay], learner)

    def _weights(self) -> dict[str, torch.Tensor]:
        module = self._learner_state()["rl_module"][DEFAULT_MODULE_ID]
        return judged_weights(module, self.config.rllib)

    def _learner_state(self) -> dict[str, Any]:
        state = self.algorithm.learner_group.get_state()["learner"]
        return {name: state[name] for name in _LEARNER}

    def _evaluate(self) -> None:
        if self.evaluator is None or self.progress.marks.get("evaluated") == self.updates:
            return
        self.progress.marks["evaluated"] = self.updates
        figures = self.evaluator.evaluate(self._weights(), self.updates)
        if self.session.log_evaluation(self.progress, figures):
            self._save(best=self.progress.best)

    # --- checkpoints -----------------------------------------------------------------------

    def _save(self, best: float | None = None) -> None:
        """Write a checkpoint, once for each update count; mark it when it is the best.

        Without the replay, which holds whole observations: a resumed run fills a new one first.
        """
        if self.progress.marks.get("saved") != self.updates:
            self.progress.marks["saved"] = self.updates
            context = self.context
            self.data.registry.take_keys(context.calls.wait(self.segments.keys()))
            parts = {
                "learner.pt": state_part({"average": self._weights()}),
                "rllib.pt": state_part(self._learner_state()),
                "pretrain.pt": state_part(self.extractors.state),
                "rotation.pt": state_part(context.active.state_dict()),
                "progress.pt": state_part(self.progress.state_dict()),
                "registry.json": json_part(self.data.registry.state_dict()),
            }
            self.session.save(self.updates, parts, self.segments.version, self.data.periods)
        if best is not None:
            self.session.mark_best(self.updates, best)


def observation_bytes(schema: Schema) -> int:
    """Of one state in RLlib's replay: float32, market and account."""
    return 4 * (schema.market_size + ACCOUNT_SIZE)


def check_replay(config: Config, schema: Schema) -> None:
    """Raise ConfigError when RLlib's replay could not lie in this machine's memory."""
    there, size = psutil.virtual_memory().total, observation_bytes(schema)
    if config.rllib.capacity * size > there:
        raise ConfigError(
            "rllib.capacity", config.rllib.capacity,
            f"at most {there // size:,}: RLlib keeps whole observations of {size:,} bytes, and "
            f"this machine has {there / 2**30:.1f} GiB",
        )  # fmt: skip
