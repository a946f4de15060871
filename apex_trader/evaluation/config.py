"""Configuration of how a run is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from apex_trader.errors import ConfigError


@dataclass(frozen=True)
class EvaluationConfig:
    """How an agent is judged; see docs/evaluation.md.

    ledger: folder or URL where every trial and every look at test days is noted; empty for the
        market store's own.
    adverse_bps: fees in basis points an order, beside the configured one and none, at which the
        agent is judged again.
    latencies: seconds from decision to market at which it is judged again, as far as an order is
        still filled before the next decision.
    draws: of days, in the bootstrap. shuffles: of the market's days, in the placebo.
    block_days: days that the placebo keeps together.
    random_accounts: accounts that trade as often and as long as the agent, at random.
    average_fast, average_slow: hours that the moving averages of a baseline are of.
    logistic_days: training days of the logistic regression, evenly spread; 0 leaves it out.
    logistic_horizon: decisions ahead that it looks.
    """

    ledger: str = ""
    adverse_bps: tuple[float, ...] = (5.0, 10.0)
    latencies: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0)
    draws: int = 10_000
    shuffles: int = 1_000
    block_days: int = 1
    random_accounts: int = 100
    average_fast: float = 1.0
    average_slow: float = 6.0
    logistic_days: int = 8
    logistic_horizon: int = 12

    def __post_init__(self) -> None:
        for name in ("draws", "shuffles", "random_accounts"):
            if not 1 <= getattr(self, name) <= 1_000_000:
                raise ConfigError(f"evaluation.{name}", getattr(self, name), "1 to 1,000,000")
        for name in ("block_days", "logistic_horizon"):
            if getattr(self, name) < 1:
                raise ConfigError(f"evaluation.{name}", getattr(self, name), "1 or more")
        if self.logistic_days < 0:
            raise ConfigError("evaluation.logistic_days", self.logistic_days, "0 or more")
        if not 0.0 < self.average_fast < self.average_slow < math.inf:
            raise ConfigError(
                "evaluation.average_fast", self.average_fast,
                f"hours above 0, below average_slow={self.average_slow:g}",
            )  # fmt: skip
        self._check_points("adverse_bps", 1_000.0, "basis points from 0 to 1,000")
        self._check_points("latencies", 60.0, "seconds from 0 to 60")

    def _check_points(self, name: str, most: float, allowed: str) -> None:
        for value in getattr(self, name):
            if not 0.0 <= value <= most:
                raise ConfigError(f"evaluation.{name}", value, allowed)
