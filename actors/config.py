"""Configuration of the rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from apex_trader.errors import ConfigError
from apex_trader.time import DAY, SECOND


@dataclass(frozen=True)
class RolloutConfig:
    """How experience is made.

    lanes: accounts that one actor steps in lockstep. branches: lanes that share one market time,
    and with it one encoding of the market; divides lanes.
    outcomes: what an experience holds. "taken": what followed on the action that was taken. "all":
    what each action would have led to over n_step decisions, had the policy gone on greedily: the
    market is exogenous, so the simulator knows, and one encoding trains all of them.
    n_step: decisions of a transition. gamma: discount of a decision.
    epsilon_base, epsilon_exponent: lane i of N explores with probability
    base^(1 + exponent·i/(N − 1)) (0.4 and 7, Horgan et al. 2018, section 4.1).
    explore_decisions: mean number of decisions that an explored action is kept (Dabney et al. 2021,
    "Temporally-extended ε-greedy exploration").
    episode_steps: decisions after which an episode is cut (and bootstraps); 0 lets it run to the
    end of its day or to a gap.
    extrema_radius: decisions around a pivot that belong to the stratum "extrema".
    movement_sigmas: a transition belongs to "movement" when the market moved by more than this
    many standard deviations over it.
    collect_steps: decisions of every lane between two deliveries to the replay.
    source: "replay": days of the market store, again and again. "stream": the live market, each
    decision once, as it comes; the lanes keep their accounts from day to day.
    seal_every: with source=stream, seconds of market time after which what came is made part of
    the day's segment; a divisor of a day.
    """

    lanes: int = 64
    branches: int = 1
    outcomes: Literal["taken", "all"] = "all"
    n_step: int = 12
    gamma: float = 0.997
    epsilon_base: float = 0.4
    epsilon_exponent: float = 7.0
    explore_decisions: float = 1.0
    episode_steps: int = 0
    extrema_radius: int = 12
    movement_sigmas: float = 3.0
    collect_steps: int = 32
    source: Literal["replay", "stream"] = "replay"
    seal_every: int = 300

    def __post_init__(self) -> None:
        for name in ("lanes", "branches", "n_step", "collect_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("branches", self.lanes % self.branches == 0, f"divides lanes={self.lanes}")
        self._require("gamma", 0.0 <= self.gamma <= 1.0, "between 0 and 1")
        self._require("epsilon_base", 0.0 <= self.epsilon_base <= 1.0, "between 0 and 1")
        self._require("explore_decisions", self.explore_decisions >= 1.0, "at least 1")
        for name in ("epsilon_exponent", "episode_steps", "extrema_radius", "movement_sigmas"):
            self._require(name, getattr(self, name) >= 0, "not negative")
        divides = self.seal_every >= 1 and DAY // SECOND % self.seal_every == 0
        self._require("seal_every", divides, "whole seconds that divide a day, such as 60 or 300")

    def _require(self, field: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ConfigError(f"rollout.{field}", getattr(self, field), allowed)

    @property
    def groups(self) -> int:
        """Market times that one actor stands at."""
        return self.lanes // self.branches

    @property
    def largest_insert(self) -> int:
        """Most transitions that one delivery can hold, tails of ended episodes included.

        A step gives at most one transition for every step taken, and those still open before.
        """
        return self.lanes * (self.collect_steps + self.n_step)
