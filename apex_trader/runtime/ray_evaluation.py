"""The evaluator on Ray: judges checkpointed weights on the validation days, beside the run."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError

from actors.evaluation import Evaluator
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import tables_with_cnn
from apex_trader.runtime.parts import make_network
from apex_trader.runtime.ray_calls import NotStartedError
from apex_trader.runtime.ray_checkpoints import Checkpoints
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_part import NOT_STARTED, Part, Ref
from apex_trader.runtime.ray_resources import HELPER_CPUS
from apex_trader.runtime.ray_segments import Market, Segments
from apex_trader.trading.config import TradingConfig


class EvaluatorActor(Part):
    """Greedy runs over the validation days."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._evaluator: Evaluator | None = None

    def start(self, market: Market, training: int, trading: TradingConfig) -> None:
        """Take the days to judge on, or the same with another extractor's rows.

        training: how many of them, the first, are training days.
        """
        segments, rows = market.load()
        schema = self._config.state.build()
        tables = tables_with_cnn(segments, schema, rows, market.version)
        network = make_network(self._config, schema, trading)
        self._evaluator = Evaluator(
            segments, tables, network, trading, self._config.reward, self._config.rollout.gamma,
            training,
        )  # fmt: skip

    def evaluate(self, weights: dict[str, Any], updates: int) -> dict[str, float] | str:
        """``eval/...`` figures of a set of weights."""
        if self._evaluator is None:
            return NOT_STARTED
        return self._evaluator.evaluate(weights, updates)


class Evaluation:
    """The driver's side: weights are saved first, so that they are still there when they win."""

    PART = "evaluator"

    def __init__(self, context: RunContext, segments: Segments, checkpoints: Checkpoints) -> None:
        self._context, self._segments, self._checkpoints = context, segments, checkpoints
        self._handle = context.make(EvaluatorActor, context.config, cpus=HELPER_CPUS)
        self._needed = bool(context.data.periods.validation)
        self._busy = False
        if self._needed:
            context.restarts.watch(self.PART, self._handle, self._revive)

    @property
    def up_to_date(self) -> bool:
        """Whether the learner's present weights are judged, as far as there are days for it."""
        judged = self._context.progress.marks.get("evaluated")
        return not self._needed or judged == self._context.updates

    def start(self) -> None:
        """Start it and wait for it."""
        if self._needed:
            calls = self._context.calls
            calls.wait(self._start(calls.wait(self._segments.judged())))

    def supply(self) -> None:
        """Give it the rows of the present extractor, once they are made."""
        if self._needed:
            calls = self._context.calls
            calls.fly(self._segments.judged(), lambda market: calls.fly(self._start(market)))

    def begin(self) -> bool | None:
        """Save and judge the learner's present weights; False while a part for it is missing."""
        if self._busy or self.up_to_date:
            return None
        if self.PART in self._context.restarts.down or self._checkpoints.busy:
            return False
        return self._checkpoints.save(self._judge)

    def _start(self, market: Market) -> Ref:
        return self._handle.start.remote(
            market, len(self._segments.training), self._context.data.trading
        )

    def _judge(self, updates: int, weights: Ref) -> None:
        """Weights that are saved. They go from the learner to the evaluator by themselves."""
        if self._context.progress.marks.get("evaluated") == updates:
            return
        self._busy, known = True, self._context.restarts.of(self.PART)
        held, name = self._context.session.checkpoints.held, f"step-{updates:06d}"
        held.add(name)

        def answer(figures: dict[str, float]) -> None:
            self._busy = False
            held.discard(name)
            self._context.progress.marks["evaluated"] = updates
            if self._context.session.log_evaluation(self._context.progress, figures):
                self._context.session.mark_best(updates, self._context.progress.best)

        def failed(error: BaseException) -> None:
            self._busy = False
            held.discard(name)
            self._context.rhythm.again("evaluate")
            if isinstance(error, RayActorError | NotStartedError):
                self._context.restarts.lost(self.PART, known)

        judged = self._handle.evaluate.remote(weights, updates)
        self._context.calls.fly(judged, answer, failed)

    def _revive(self) -> None:
        """From its market on: the segment server may have died too, and its segments with it."""
        calls, restarts = self._context.calls, self._context.restarts

        def start(market: Market) -> None:
            again = restarts.retry(self.PART, self._revive)
            calls.fly(self._start(market), lambda _: restarts.back(self.PART), again)

        calls.persist(self._segments.judged, start)
