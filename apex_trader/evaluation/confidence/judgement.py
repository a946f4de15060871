"""What confidence was worth on a period: calibration, coverage, and the gated account."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from apex_trader.evaluation.backtest import run_continuous
from apex_trader.evaluation.confidence.confidence import Calibrated
from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.confidence.coverage import Coverage, coverage
from apex_trader.evaluation.confidence.features import OrderFeatures
from apex_trader.evaluation.confidence.gate import GatedPolicy
from apex_trader.evaluation.confidence.orders import ValuedPolicy, by_target, collect_orders
from apex_trader.evaluation.confidence.reliability import Reliability, reliability
from apex_trader.evaluation.record import Record
from apex_trader.trading.config import RewardConfig
from apex_trader.trading.path import MarketPath

#: Share of orders below which the gate is said to be hardly ever reached.
HARDLY = 0.01


@dataclass(frozen=True)
class ConfidenceJudgement:
    """Confidence on a period that neither chose nor calibrated anything; orders that add risk.

    calibrated: the confidence, and how well it foretold the calibration days. held: how well it
    foretold the period's orders, None without any whose outcome is known. coverage: at each level.
    largest: highest confidence of an order, NaN without orders. asked, passed: orders of the gated
    account, and those of them that were let through. record: the gated account's; its actions are
    those of the set ``target``.
    """

    gate: float
    horizon: int
    calibrated: Calibrated
    held: Reliability | None
    coverage: tuple[Coverage, ...]
    largest: float
    asked: int
    passed: int
    record: Record

    @property
    def covered(self) -> float:
        """Share of the ungated agent's orders that reach the gate."""
        return next(c.orders for c in self.coverage if c.level == self.gate)

    @property
    def gap_error(self) -> float:
        """Standard error of ``held.gap``: of the days judged and of those calibrated on."""
        judged = self.held.gap.error if self.held is not None else float("nan")
        return float(np.hypot(judged, self.calibrated.foretold.gap.error))

    def notes(self) -> list[str]:
        """What a reader must not miss."""
        found = []
        if self.held is not None and self.covered < HARDLY:
            found.append(
                f"Confidence of {self.gate:g} is hardly ever reached: {self.covered:.2%} of the "
                f"agent's entries are that sure, the surest {self.largest:.2f}. Gated, it opened "
                f"{self.passed:,} position{'s' * (self.passed != 1)}, asking {self.asked:,} times."
            )
        if self.held is not None and abs(self.held.gap.value) > 2.0 * self.gap_error:
            said = self.held.base_rate.value + self.held.gap.value
            sure = "too sure" if self.held.gap.value > 0 else "not sure enough"
            found.append(
                f"Confidence was {sure} on the days judged: of entries said to succeed with "
                f"{said:.1%}, {self.held.base_rate.value:.1%} did "
                f"(± {self.held.base_rate.error:.1%} over days)."
            )
        return found

    def to_plain(self) -> dict[str, Any]:
        """For ``result.json``; the gated account's figures are beside the agent's own there."""
        return {
            "calibrated": True,
            "gate": self.gate,
            "horizon_decisions": self.horizon,
            "policy": self.record.name,
            "fitted": self.calibrated.to_plain(),
            "held": asdict(self.held) if self.held is not None else None,
            "coverage": [asdict(c) for c in self.coverage],
            "largest": self.largest,
            "asked": self.asked,
            "passed": self.passed,
            "notes": self.notes(),
        }


def judge_confidence(
    calibrated: Calibrated,
    agent: ValuedPolicy,
    path: MarketPath,
    features: OrderFeatures,
    reward: RewardConfig,
    config: ConfidenceConfig,
    random: np.random.Generator,
) -> ConfidenceJudgement:
    """Run the gated account over the path and judge what confidence said of every entry there.

    features: as the confidence was calibrated with. random: draws days for intervals.
    """
    sigma = np.asarray(path.arrays["sigma_decision"])
    gated = GatedPolicy(agent, calibrated.confidence, features, sigma, config.gate)
    record = run_continuous(path, gated, by_target(features.trading), reward)
    orders = collect_orders(path, agent, features, reward)
    entries = orders.where(orders.adds_risk)
    said = calibrated.confidence.of(entries.features, entries.adds_risk)
    known = entries.label.known
    held = reliability(
        said[known], entries.label.better[known], entries.day[known], random, config.draws
    )
    own = said[entries.passed]
    return ConfidenceJudgement(
        config.gate, features.horizon, calibrated, held,
        coverage(own, int(path.startable.sum()), config.gate),
        float(said.max(initial=-np.inf)) if len(said) else float("nan"),
        gated.asked, gated.passed, record,
    )  # fmt: skip
