"""The CNN extractor on Ray: fitted before the run, and refitted beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray

from actors.pretraining import PretrainActor
from apex_trader.runtime.config import Config
from apex_trader.runtime.ray_calls import SLICE, PartLostError
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_part import Handle, Part
from apex_trader.runtime.ray_resources import HELPER_CPUS
from apex_trader.runtime.ray_segments import Market, Segments
from learner.arena import has_cnn
from learner.checkpoint import Checkpoint


class PretrainShell(Part):
    """Fits extractors in a process of its own, a few seconds a call."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
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


class Extractors:
    """The driver's side. state: of the pretraining as checkpoints keep it, None without a CNN."""

    PART = "pretraining"

    def __init__(self, context: RunContext, segments: Segments) -> None:
        self._context, self._segments = context, segments
        self.state: dict[str, Any] | None = None
        self._refit: _Refit | None = None

    @property
    def needed(self) -> bool:
        """Whether states hold CNN features."""
        return has_cnn(self._context.data.schema)

    def supply(self, checkpoint: Checkpoint | None) -> None:
        """The extractor that the run begins with: the checkpoint's, or a new one."""
        if not self.needed:
            return
        if checkpoint is not None:
            self.state = checkpoint.state("pretrain.pt")
            assert self.state is not None
            self._segments.adopt(self.state["extractor"])
            return
        while self.state is None:
            try:
                self._fit()
            except PartLostError:
                self._context.restarts.lost(self.PART)
        self._context.restarts.back(self.PART)

    def refit(self, supply: Callable[[], None]) -> None:
        """Refit beside the run, which never waits; ``supply`` gives every part the result."""
        if self.needed and self._refit is None:
            self._refit = _Refit(self, supply)
            self._refit.begin()

    def _fit(self) -> None:
        calls, data, config = self._context.calls, self._context.data, self._context.config
        market = self._segments.build(data.numbers(data.periods.extractor))
        self._context.session.display.phase("pretraining the CNN", config.pretrain.steps)
        shell, done = self.shell(), False
        calls.wait(shell.begin.remote(market, None))
        while not done:
            done, metrics = calls.wait(shell.advance.remote(SLICE))
            share = metrics.get("pretrain/progress", 0.0)
            self._context.session.display.advance(share * config.pretrain.steps)
            self.log(metrics)
        self.adopt(shell, calls.wait(shell.finish.remote()))

    def shell(self) -> Handle:
        """A part that fits. One that died has lost its fit: nothing is gained by a restart."""
        shell = ray.remote(num_cpus=HELPER_CPUS, max_restarts=0)(PretrainShell)
        return shell.remote(self._context.config)

    def adopt(self, shell: Handle, result: tuple[Any, Any, dict[str, float]]) -> None:
        """Use what a shell has fitted, and let it go."""
        extractor, self.state, metrics = result
        ray.kill(shell)
        self._segments.adopt(extractor)
        steps = float(self._context.config.pretrain.steps)
        self._context.session.metrics.log({"pretrain/step": steps, **metrics})

    def log(self, metrics: dict[str, float]) -> None:
        """A reading of the fit, when there is one."""
        if "pretrain/step" in metrics:
            self._context.session.metrics.log(metrics)

    def ended(self) -> None:
        """The refit is over."""
        self._refit = None

    def begin_refit(self, shell: Handle, then: Callable[[Any], None], failed: Any) -> None:
        """Give a shell the extractor's days and the present state."""
        context = self._context
        numbers = context.data.numbers(context.data.periods.extractor)

        def begin(market: Market) -> None:
            context.calls.fly(shell.begin.remote(market, self.state), then, failed)

        context.calls.fly(self._segments.ask(numbers), begin, failed)

    @property
    def context(self) -> RunContext:
        """The run's."""
        return self._context


class _Refit:
    """One refit, call after call; dropped where the run ends before it."""

    def __init__(self, extractors: Extractors, supply: Callable[[], None]) -> None:
        self._extractors, self._context = extractors, extractors.context
        self._shell, self._supply = extractors.shell(), supply

    def begin(self) -> None:
        self._extractors.begin_refit(self._shell, self._advance, self._failed)

    def _advance(self, _: Any) -> None:
        self._context.calls.fly(self._shell.advance.remote(SLICE), self._advanced, self._failed)

    def _advanced(self, result: tuple[bool, dict[str, float]]) -> None:
        done, metrics = result
        self._extractors.log(metrics)
        if self._context.ending:
            self._drop()
        elif done:
            self._context.calls.fly(self._shell.finish.remote(), self._finish, self._failed)
        else:
            self._advance(None)

    def _finish(self, result: tuple[Any, Any, dict[str, float]]) -> None:
        self._extractors.ended()
        self._extractors.adopt(self._shell, result)
        self._supply()

    def _failed(self, _: BaseException) -> None:
        self._drop()
        self._context.session.display.say("the refit of the extractor died: the old one stays")

    def _drop(self) -> None:
        self._extractors.ended()
        ray.kill(self._shell)
