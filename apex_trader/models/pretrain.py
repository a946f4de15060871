"""Fitting the extractor on its own slice of training time, and judging it on the slice's end."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.errors import DataError, MismatchError
from apex_trader.models.config import CNNConfig, PretrainConfig
from apex_trader.models.extractor import (
    CLASSES,
    CNNExtractor,
    ExtractorOutput,
    both_sides,
    inverse_magnitude,
)
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.models.judge import judge
from apex_trader.models.labels import Labels, label_rows
from apex_trader.models.losses import Targets, horizon_shares, pretrain_loss, saturating
from apex_trader.models.wide_deep import WideDeepOptimiser
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.schema import HORIZONS
from apex_trader.state.segment import Segment
from apex_trader.time import CLOCKS

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

#: Rows that the linear path's rate is measured on.
_RATE_ROWS = 512
#: Rows that are passed through the network at once outside fitting.
_EVALUATION_BATCH = 512


class Pretrainer:
    """Fits one extractor: steps, validates, keeps the best weights, freezes them.

    The slice is cut in time: a part to fit on, an embargo of the longest horizon, then
    ``validation_share`` of its rows to validate on. A label that is known only after the part's
    end is purged from it. Half of each batch is the mirrored market.

    Weights are averaged over steps (Polyak & Juditsky 1992): against labels that are mostly
    noise the average is far better than any one step. The averaged weights of the validation with
    the least loss are kept. They are selected on the rows
    that their figures are reported for; the choice is between a few dozen sets of weights, and
    neither RL nor its tests ever sees the figures.

    Args:
        tables: the slice's tables, its segments in order.
        segments: the slice's segments, ascending.
        config: budget, losses, validation.
        seed: of weights, batches and baselines.
        cnn: widths of the network.
        initial: weights to go on from, instead of random ones (a refit).

    Raises:
        DataError: a horizon has no label to fit or to validate on.
        MismatchError: tables and segments differ, or ``initial`` is of another schema or size.
    """

    def __init__(
        self,
        tables: MarketTables,
        segments: Sequence[Segment],
        config: PretrainConfig,
        seed: int,
        cnn: CNNConfig | None = None,
        initial: FrozenExtractor | None = None,
    ) -> None:
        self.tables, self.config, self.seed = tables, config, seed
        self.cnn = cnn or CNNConfig()
        self.segment_keys = [segment.key for segment in segments]
        self.labels = label_rows(segments, tables.schema, config.round_trip_cost)
        if not np.array_equal(tables.ts.cpu().numpy(), self.labels.ts):
            raise MismatchError(
                "the pretraining tables do not hold the decision rows of the slice's segments: "
                "make them of the same segments, in the same order"
            )
        self.fit_valid, self.fit_pivot, self.validation_valid, self.validation_pivot = _split(
            self.labels, tables, config
        )
        self.fit_rows = np.flatnonzero(self.fit_valid.any(1))
        self.validation_rows = _evenly(
            np.flatnonzero(self.validation_valid.any(1)), config.validation_rows
        )
        self._rng = np.random.default_rng(seed)
        self._targets = Targets.of(self.labels, tables.device)
        interval, horizons = tables.schema.decision_interval, np.array(tables.schema.horizons)
        independent = self.fit_valid.sum(0) * interval / horizons
        shares = horizon_shares(independent, config.half_weight_labels)
        self._shares = torch.from_numpy(shares).to(tables.device)
        self._build(initial)

    def _build(self, initial: FrozenExtractor | None) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.network = CNNExtractor(self.tables.schema, self.cnn, generator)
        if initial is None:
            self._start_at_base_rates()
        else:
            _check_initial(initial, self.tables, self.cnn)
            self.network.load_state_dict(initial.network.state_dict())
        self.network.believe(self._trust())
        self.network.to(self.tables.device)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimiser = WideDeepOptimiser(self.network, self._sample_inputs(), self.config)
        self.step_count, self.seconds, self._stale = 0, 0.0, 0
        self.best_loss, self.best_step = math.inf, 0
        self.best_weights = _copy(self.network.state_dict())
        self.metrics: dict[str, float] = {}

    def _trust(self) -> dict[str, float]:
        """How far each clock is believed: n / (n + ``half_weight_bars``), n its bars in the fit."""
        span = len(self.fit_rows) * self.tables.schema.decision_interval
        return {
            clock: saturating(span / CLOCKS[clock], self.config.half_weight_bars)
            for clock in self.tables.schema.clocks
        }

    def _sample_inputs(self) -> Tensor:
        """Windows of some rows to fit on, half of them mirrored."""
        rows = _evenly(self.fit_rows, _RATE_ROWS)
        index = torch.from_numpy(rows).to(self.tables.device)
        mirror = torch.arange(len(rows), device=index.device) % 2 == 0
        return gather(self.tables, index, mirror, blocks=self.network.block_names)

    def _start_at_base_rates(self) -> None:
        """Biases of the heads: what the fitting rows' averages say, the same for up and down.

        At the small learning rate a bias would take thousands of steps to get there, and until
        then the network would spend its features on it.
        """
        labels, valid = self.labels, self.fit_valid
        with torch.no_grad():
            bias = self.network.direction.bias.view(HORIZONS, CLASSES)
            scale = self.network.scale.bias.view(2, HORIZONS)
            for h in range(HORIZONS):
                rows = valid[:, h]
                if not rows.any():
                    continue
                counts = np.bincount(labels.direction[rows, h], minlength=CLASSES) + 1.0
                shares = (counts + counts[::-1]) / (2.0 * counts.sum())
                bias[h] = torch.from_numpy(np.log(shares))
                scale[0, h] = inverse_magnitude(float(labels.magnitude[rows, h].mean()))
                scale[1, h] = float(labels.volatility[rows, h].mean())
            swings = labels.pivot[self.fit_pivot]
            if len(swings):
                rate = (float(swings.sum()) + 1.0) / (len(swings) + 2.0)
                self.network.pivot.bias.fill_(math.log(rate / (1.0 - rate)))

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1; 1 when fitting is over."""
        config = self.config
        if config.patience and self._stale >= config.patience:
            return 1.0
        by_time = self.seconds / config.seconds if config.seconds else 0.0
        return min(1.0, max(self.step_count / config.steps, by_time))

    @property
    def done(self) -> bool:
        """Whether the budget is spent, or patience is."""
        return self.progress >= 1.0

    def fit(
        self,
        steps: int | None = None,
        seconds: float | None = None,
        report: Callable[[Pretrainer], None] | None = None,
    ) -> dict[str, float]:
        """Goes on until the budget is spent, at most ``steps`` and ``seconds`` more.

        ``report`` is called after every validation. Returns the metrics.
        """
        until_step = math.inf if steps is None else self.step_count + steps
        until_second = math.inf if seconds is None else self.seconds + seconds
        while not self.done and self.step_count < until_step and self.seconds < until_second:
            began = time.perf_counter()
            loss = self._step()
            self.seconds += time.perf_counter() - began
            if self.done or self.step_count % self.config.evaluate_every == 0:
                began = time.perf_counter()
                self._validate(float(loss))
                self.seconds += time.perf_counter() - began
                if report is not None:
                    report(self)
        return self.metrics

    def _step(self) -> Tensor:
        config, device = self.config, self.tables.device
        rows = self._rng.choice(self.fit_rows, config.batch_size)
        mirrored = np.arange(config.batch_size) < round(config.mirror_share * config.batch_size)
        index = torch.from_numpy(rows).to(device)
        mirror = torch.from_numpy(mirrored).to(device)
        valid = torch.from_numpy(self.fit_valid[rows]).to(device)
        pivot = torch.from_numpy(self.fit_pivot[rows]).to(device)
        self.network.train()
        windows = gather(self.tables, index, mirror, blocks=self.network.block_names)
        with _seeded(device, int(self._rng.integers(2**62))):
            output = self.network(windows)
        targets = self._targets.take(index, mirror)
        loss = pretrain_loss(output, targets, valid, pivot, self._shares, config).total
        self.optimiser.step(loss, self.step_count, self.progress)
        self.step_count += 1
        self._average()
        return loss.detach()

    def _average(self) -> None:
        """Moves the averaged weights; the decay grows from 0, so that the start is forgotten."""
        decay = min(self.config.average, self.step_count / (self.step_count + 10.0))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()),
                list(self.network.parameters()),
                1.0 - decay if self.config.average else 1.0,
            )

    @torch.no_grad()
    def _predict(self, rows: I64) -> ExtractorOutput:
        parts = []
        for start in range(0, len(rows), _EVALUATION_BATCH):
            at = torch.from_numpy(rows[start : start + _EVALUATION_BATCH]).to(self.tables.device)
            parts.append(both_sides(self.averaged, self.tables, at)[0])
        return ExtractorOutput(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _validate(self, fit_loss: float) -> None:
        rows = self.validation_rows
        index = torch.from_numpy(rows).to(self.tables.device)
        losses = pretrain_loss(
            self._predict(rows),
            self._targets.take(index, None),
            torch.from_numpy(self.validation_valid[rows]).to(index.device),
            torch.from_numpy(self.validation_pivot[rows]).to(index.device),
            self._shares,
            self.config,
        )
        loss = float(losses.total)
        if loss < self.best_loss:
            self.best_loss, self.best_step, self._stale = loss, self.step_count, 0
            self.best_weights = _copy(self.averaged.state_dict())
        else:
            self._stale += 1
        self.metrics = {
            "pretrain/step": float(self.step_count),
            "pretrain/seconds": self.seconds,
            "pretrain/fit_loss": fit_loss,
            "pretrain/validation_loss": loss,
            "pretrain/validation_cross_entropy": float(losses.direction),
            "pretrain/validation_magnitude": float(losses.magnitude),
            "pretrain/validation_volatility": float(losses.volatility),
            "pretrain/validation_pivot": float(losses.pivot),
            "pretrain/best_loss": self.best_loss,
            "pretrain/best_step": float(self.best_step),
            "pretrain/learning_rate": self.optimiser.rate,
        }

    def freeze(self) -> FrozenExtractor:
        """The best weights so far, judged on validation against the baselines."""
        current = _copy(self.averaged.state_dict())
        self.averaged.load_state_dict(self.best_weights)
        figures = {
            **self.metrics,
            **judge(
                self._predict(self.validation_rows), self.labels, self.tables, self.network,
                (self.fit_valid, self.validation_valid, self.validation_pivot),
                self.validation_rows, self.config, self.seed,
            ),
        }  # fmt: skip
        weights = self.best_weights
        self.averaged.load_state_dict(current)
        return FrozenExtractor(self.tables.schema, self.cnn, weights, figures)

    def state_dict(self) -> dict[str, Any]:
        """Everything that fitting goes on from, on the CPU."""
        return {
            "segments": list(self.segment_keys),
            "network": _copy(self.network.state_dict()),
            "averaged": _copy(self.averaged.state_dict()),
            "best_weights": _copy(self.best_weights),
            "optimiser": self.optimiser.state_dict(),
            "generator": self._rng.bit_generator.state,
            "counters": [self.step_count, self.seconds, self._stale, self.best_loss,
                         self.best_step],
            "metrics": dict(self.metrics),
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where a ``state_dict`` was taken. MismatchError when its slice is another."""
        if list(state["segments"]) != self.segment_keys:
            raise MismatchError(
                "the saved pretraining was on other market segments: resume it with the same "
                "market store and slice, or begin a new run"
            )
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.best_weights = _copy(state["best_weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._rng.bit_generator.state = state["generator"]
        steps, self.seconds, stale, self.best_loss, best = state["counters"]
        self.step_count, self._stale, self.best_step = int(steps), int(stale), int(best)
        self.metrics = dict(state["metrics"])


def _split(
    labels: Labels, tables: MarketTables, config: PretrainConfig
) -> tuple[Bool, Bool, Bool, Bool]:
    """Labels to fit on and to validate on: (horizons, pivot) of each part."""
    schema = tables.schema
    cut = min(int(len(labels) * (1.0 - config.validation_share)), len(labels) - 1)
    begin = int(labels.ts[cut])
    end = int(labels.ts[-1]) + schema.decision_interval
    fit = labels.between(int(labels.ts[0]), begin - max(schema.horizons))
    validation = labels.between(begin, end)
    for part, valid in (("to fit on", fit[0]), ("to validate on", validation[0])):
        for horizon, count in zip(schema.horizons, valid.sum(0), strict=True):
            if not count:
                raise DataError(
                    "pretraining slice",
                    f"no row {part} has a label for the horizon of {horizon // 1_000_000} s "
                    f"({len(labels)} decision rows)",
                    "Give pretraining more days (its share of training time), or set shorter "
                    "state.horizons",
                )
    return *fit, *validation


def _evenly(rows: I64, most: int) -> I64:
    """At most ``most`` of the rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Dropout takes no generator: seed torch's own for one forward pass, then put it back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _copy(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in weights.items()}


def _check_initial(initial: FrozenExtractor, tables: MarketTables, cnn: CNNConfig) -> None:
    if initial.schema.fingerprint != tables.schema.fingerprint or initial.config != cnn:
        raise MismatchError(
            f"extractor {initial.version[:12]} ({initial.schema.name!r}) cannot be refitted on "
            f"schema {tables.schema.name!r} with other widths: use its own schema and models.cnn"
        )
