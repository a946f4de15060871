"""Configuration of the networks and of the extractor's pretraining."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from apex_trader.errors import ConfigError


def _positive(field_name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(field_name, value, "a number above 0")


def _whole(field_name: str, value: int, least: int = 1) -> None:
    if value != int(value) or value < least:
        raise ConfigError(field_name, value, f"a whole number, at least {least}")


def _share(field_name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(field_name, value, "a share between 0 and 1")


@dataclass(frozen=True)
class StackConfig:
    """One convolution stack, the same for every clock.

    strides: kernel and stride, in rows, of each strided convolution; kernels do not overlap, so
        that each is one matrix product. The default folds 300 rows into 30, then 6.
    channels: output channels of each convolution.
    features: width of the stack's output.
    """

    strides: tuple[int, ...] = (10, 5)
    channels: tuple[int, ...] = (32, 96)
    features: int = 192

    def __post_init__(self) -> None:
        # Hydra hands over lists
        object.__setattr__(self, "strides", tuple(self.strides))
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.strides or len(self.strides) != len(self.channels):
            raise ConfigError(
                "models.stack.channels", self.channels, "one entry for each of models.stack.strides"
            )
        for stride, channels in zip(self.strides, self.channels, strict=True):
            _whole("models.stack.strides", stride)
            _whole("models.stack.channels", channels)
        _whole("models.stack.features", self.features)


@dataclass(frozen=True)
class EncoderConfig:
    """The market encoder: windows through one stack a clock, the rest through small MLPs.

    stack: the convolution stacks.
    hidden_features: width that ``cnn_hidden`` is reduced to.
    vector_features: width that ``cnn_predictions``, ``pivots`` and ``regime`` are each brought to.
    fusion: width of the layer that joins all of them.
    width: number of features that all this ends in. The CNN's predictions and the latest moves are
        added to them as they are.
    deep_gain: scale of these features against what is added; less of it learns them more slowly,
        and memorises later.
    """

    stack: StackConfig = field(default_factory=StackConfig)
    hidden_features: int = 128
    vector_features: int = 64
    fusion: int = 576
    width: int = 256
    deep_gain: float = 0.01

    def __post_init__(self) -> None:
        for name in ("hidden_features", "vector_features", "fusion", "width"):
            _whole(f"models.encoder.{name}", getattr(self, name))
        _positive("models.encoder.deep_gain", self.deep_gain)


@dataclass(frozen=True)
class DuelingConfig:
    """The dueling Q-network over the encoder.

    encoder: the market encoder.
    hidden: width of the value stream's and of the advantage stream's hidden layer.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    hidden: int = 384

    def __post_init__(self) -> None:
        _whole("models.dueling.hidden", self.hidden)


@dataclass(frozen=True)
class CNNConfig:
    """The multi-timeframe CNN that is pretrained and then frozen.

    stack: the convolution stacks, one a clock. The default gives 1.9 M parameters on ``eth_full``.
    trunk: width of the layer that joins the clocks.
    dropout: share of the trunk's units dropped while fitting.
    clock_dropout: share of (row, clock) pairs dropped whole while fitting.
    """

    stack: StackConfig = field(
        default_factory=lambda: StackConfig(channels=(64, 128), features=256)
    )
    trunk: int = 512
    dropout: float = 0.5
    clock_dropout: float = 0.2

    def __post_init__(self) -> None:
        _whole("models.cnn.trunk", self.trunk)
        for name in ("dropout", "clock_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"models.cnn.{name}", getattr(self, name), "a share in [0, 1)")


@dataclass(frozen=True)
class PretrainConfig:
    """How the extractor is fitted and judged.

    steps: most optimiser steps. seconds: most wall-clock seconds of fitting, 0 for no such limit;
        whichever comes first ends it, and the learning rate follows the nearer one. With a limit
        in seconds the result depends on the machine's speed.
    batch_size: rows of a batch; ``mirror_share`` of them are taken from the mirrored market.
    learning_rate, weight_decay: of AdamW, which fits the deep path; the rate warms up over
        ``warmup`` steps, then falls as a cosine to a twentieth.
    linear_rate: of the linear path's gradient descent, in units of the largest stable rate.
    grad_clip: largest norm of the deep path's gradient.
    validation_share: last part of the slice that is kept for validation, after an embargo of the
        longest horizon.
    validation_rows: at most so many validation rows, evenly spread, are looked at.
    evaluate_every: steps between validations; the weights of the best one are kept.
    patience: validations without improvement after which fitting ends early, 0 for never.
    round_trip_cost: dead band of the classes, as a share of the price: two fees of 0.02%.
    half_weight_labels: independent labels (the fitting time over the horizon) with which a horizon
        has half of its full weight. Long horizons repeat a few labels over thousands of rows:
        counted like short ones, they teach the network to tell the dates apart.
    half_weight_bars: bars of a clock, closed in the fitting time, with which its windows are
        believed by half. Fewer bars tell the dates apart and teach nothing else.
    average: decay per step of the averaged weights that are validated and frozen, 0 for none.
    magnitude_weight, volatility_weight, pivot_weight: weights of those losses against the mean
        cross-entropy of the directions.
    baseline_rows: rows that the logistic regression is fitted on, 0 to leave it out.
    """

    steps: int = 4000
    seconds: float = 0.0
    batch_size: int = 256
    mirror_share: float = 0.5
    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    linear_rate: float = 1.0
    warmup: int = 50
    grad_clip: float = 1.0
    validation_share: float = 0.2
    validation_rows: int = 4096
    evaluate_every: int = 100
    patience: int = 10
    round_trip_cost: float = 0.0004
    half_weight_labels: float = 3000.0
    half_weight_bars: float = 1000.0
    average: float = 0.99
    magnitude_weight: float = 0.2
    volatility_weight: float = 0.2
    pivot_weight: float = 0.2
    baseline_rows: int = 10_000

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validation_rows", "evaluate_every"):
            _whole(f"pretrain.{name}", getattr(self, name))
        for name in ("warmup", "patience", "baseline_rows"):
            _whole(f"pretrain.{name}", getattr(self, name), least=0)
        for name in ("learning_rate", "linear_rate", "grad_clip"):
            _positive(f"pretrain.{name}", getattr(self, name))
        for name in (
            "seconds", "weight_decay", "round_trip_cost", "half_weight_labels",
            "half_weight_bars",
            "magnitude_weight", "volatility_weight", "pivot_weight",
        ):  # fmt: skip
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"pretrain.{name}", value, "a number, at least 0")
        _share("pretrain.mirror_share", self.mirror_share)
        if not 0.0 <= self.average < 1.0:
            raise ConfigError("pretrain.average", self.average, "a decay in [0, 1)")
        if not 0.0 < self.validation_share < 1.0:
            raise ConfigError(
                "pretrain.validation_share", self.validation_share, "a share above 0 and below 1"
            )
