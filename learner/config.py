"""Configuration of the learner."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from apex_trader.errors import ConfigError

MODES = ("auto", "on", "off")
PRECISIONS = ("auto", "float32", "bf16")
TARGET_UPDATES = ("soft", "periodic")


@dataclass(frozen=True)
class LearnerConfig:
    """How the Q-network is trained. γ and n are the rollout's: γⁿ comes with each transition.

    batch_size: transitions an update; every sample must have exactly this many.
    learning_rate, weight_decay: AdamW (Loshchilov & Hutter 2019). The decay acts on matrices and
        convolution kernels alone, never on biases and normalisation gains.
    encoder_rate: the encoder's learning rate over that of the heads. Its thousands of inputs fit
        the rewards' noise at the heads' rate.
    decay_updates: updates over which both rates fall, as half a cosine, to a twentieth, and stay
        there; 0 for constant rates, null for the run's budget, train.updates: resumed with a larger
        one, the rates rise to where they would stand in it.
    adam_beta1, adam_beta2, adam_epsilon: its moments. ε is 1e-8, AdamW's usual one.
    gradient_clip: largest L2 norm of the whole gradient.
    huber_delta: |TD| above which the loss is linear, in units of reward.
    target_update: "soft" (target ← target + rate·(online − target) after each update) or
        "periodic" (a copy every target_period updates, as in Mnih et al. 2015).
    target_rate, target_period: see target_update.
    average_updates: updates over which the weights that are judged are averaged; 1 judges the
        newest as they are.
    mirror_share: share of each batch that is turned upside down, chosen at random, 0…1.
    precision: "float32"; "bf16" (autocast; weights, Adam moments and TD errors stay float32); or
        "auto": bf16 on a GPU that has it, float32 elsewhere.
    compile: torch.compile of the loss: "auto" is on for a GPU, off for the CPU.
    cuda_graph: one CUDA graph for the whole update: "auto" is on for a GPU; ignored on the CPU.
    metrics_every: updates between two readings of the metrics, which are summed on the device.
    publish_every: updates between two versions of the weights that the actors pull.
    arena_bytes: device memory for the resident segments' tables.
    """

    batch_size: int = 512
    learning_rate: float = 3e-4
    weight_decay: float = 0.1
    encoder_rate: float = 0.1
    decay_updates: int | None = None
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    gradient_clip: float = 10.0
    huber_delta: float = 1.0
    target_update: str = "soft"
    target_rate: float = 0.005
    target_period: int = 2500
    average_updates: int = 500
    mirror_share: float = 0.5
    precision: str = "auto"
    compile: str = "auto"
    cuda_graph: str = "auto"
    metrics_every: int = 100
    publish_every: int = 50
    arena_bytes: int = 16 << 30

    def __post_init__(self) -> None:
        for name in ("adam_beta1", "adam_beta2"):
            self._between(name, 0.0, 1.0, "above 0 and below 1", open_ends=True)
        for name in (
            "batch_size",
            "target_period",
            "average_updates",
            "metrics_every",
            "publish_every",
            "arena_bytes",
        ):
            self._whole(name)
        for name in (
            "learning_rate",
            "encoder_rate",
            "adam_epsilon",
            "gradient_clip",
            "huber_delta",
        ):
            self._between(name, 0.0, math.inf, "a finite number above 0", open_ends=True)
        if self.decay_updates is not None:
            self._whole("decay_updates", least=0)
        self._between("weight_decay", 0.0, 1e3, "0 (none) or more, at most 1000")
        self._between("mirror_share", 0.0, 1.0, "between 0 and 1")
        self._between("target_rate", 0.0, 1.0, "above 0 and at most 1")
        if self.target_rate == 0.0:
            raise ConfigError("learner.target_rate", self.target_rate, "above 0 and at most 1")
        self._one_of("target_update", TARGET_UPDATES)
        self._one_of("precision", PRECISIONS)
        self._one_of("compile", MODES)
        self._one_of("cuda_graph", MODES)

    def for_budget(self, updates: int) -> Self:
        """The same with a budget of updates wherever it follows the run's."""
        return self if self.decay_updates is not None else replace(self, decay_updates=updates)

    def _between(
        self, name: str, low: float, high: float, allowed: str, open_ends: bool = False
    ) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        inside = number and (low < value < high if open_ends else low <= value <= high)
        if not inside:
            raise ConfigError(f"learner.{name}", value, allowed)

    def _whole(self, name: str, least: int = 1) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f"learner.{name}", value, f"a whole number of at least {least}")

    def _one_of(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise ConfigError(
                f"learner.{name}", getattr(self, name), "one of " + ", ".join(allowed)
            )
