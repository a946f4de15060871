"""The calibrated confidence of one agent: fitted, saved as plain JSON, and read back checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError, MismatchError
from apex_trader.evaluation.confidence.calibrators import Calibrator, from_plain, to_plain
from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.confidence.orders import Orders
from apex_trader.evaluation.confidence.reliability import Reliability, reliability
from apex_trader.evaluation.confidence.selection import select
from apex_trader.time import format_date

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]

FORMAT = 1


@dataclass(frozen=True)
class Belongs:
    """What a calibration is of; any other agent's is another.

    checkpoint: its name. weights: digest of the network's. extractor: version, None without CNN
    blocks. schema: fingerprint.
    """

    checkpoint: str
    weights: str
    extractor: str | None
    schema: str


@dataclass(frozen=True)
class Fit:
    """One calibrator and what it was fitted on: labelled orders of one kind, on so many days.

    losses: method → log loss of days left out, nats an order.
    """

    calibrator: Calibrator
    losses: Mapping[str, float]
    orders: int
    days: int


@dataclass(frozen=True)
class Confidence:
    """An agent's confidence in its orders.

    entering: of orders that add risk. closing: of orders that only close; None where there were too
    few. days: dates that it was calibrated on. conditions: horizon, costs and fills of the labels.
    """

    entering: Fit
    closing: Fit | None
    days: tuple[str, ...]
    belongs: Belongs
    conditions: Mapping[str, Any]

    def of(self, features: F64, adds_risk: Bool) -> F64:
        """[k] probability that each order beats keeping the position; NaN where none is known.

        features [k, 3]: see ``features.OrderFeatures``. adds_risk [k]: the kind of each.
        """
        out = np.full(len(features), np.nan)
        out[adds_risk] = self.entering.calibrator.probability(features[adds_risk])
        if self.closing is not None:
            out[~adds_risk] = self.closing.calibrator.probability(features[~adds_risk])
        return out

    def to_plain(self) -> dict[str, Any]:
        """Plain values for JSON: numbers and names alone, nothing that could be run."""
        return {
            "format": FORMAT,
            "belongs": asdict(self.belongs),
            "conditions": dict(self.conditions),
            "days": list(self.days),
            "entering": _fit_to_plain(self.entering),
            "closing": _fit_to_plain(self.closing) if self.closing is not None else None,
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], place: str) -> Confidence:
        """See ``to_plain``. ApexError, naming the place, for anything else."""
        try:
            if values["format"] != FORMAT:
                raise KeyError(f"format {values['format']}")
            closing = values["closing"]
            return cls(
                _fit_from_plain(values["entering"]),
                _fit_from_plain(closing) if closing is not None else None,
                tuple(values["days"]),
                Belongs(**values["belongs"]),
                dict(values["conditions"]),
            )
        except (ApexError, KeyError, TypeError, AttributeError) as error:
            raise _unreadable(place, error) from None

    def require(self, wanted: Belongs, place: str) -> None:
        """MismatchError unless it was calibrated for this very agent."""
        for name, value in asdict(wanted).items():
            if (found := getattr(self.belongs, name)) != value:
                raise MismatchError(
                    f"{place} was calibrated for {name} {_short(found)}, the agent has "
                    f"{_short(value)}: remove the file, and the next backtest calibrates anew"
                )


@dataclass(frozen=True)
class Calibrated:
    """A confidence, and how well it foretold each calibration day from the others alone."""

    confidence: Confidence
    foretold: Reliability

    def to_plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.confidence.to_plain(), "foretold": asdict(self.foretold)}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], place: str) -> Calibrated:
        """See ``to_plain``. ApexError, naming the place, for anything else."""
        confidence = Confidence.from_plain(values, place)
        try:
            return cls(confidence, Reliability.from_plain(values["foretold"]))
        except (KeyError, TypeError) as error:
            raise _unreadable(place, error) from None


@dataclass(frozen=True)
class Uncalibrated:
    """Why there is no confidence, in a sentence: then no order is refused."""

    reason: str

    def notes(self) -> list[str]:
        """What a reader must not miss."""
        return [f"{self.reason[:1].upper()}{self.reason[1:]}. No order was refused."]

    def to_plain(self) -> dict[str, Any]:
        """For ``result.json``."""
        return {"calibrated": False, "reason": self.reason}


def calibrate(
    orders: Orders,
    config: ConfidenceConfig,
    belongs: Belongs,
    conditions: Mapping[str, Any],
    random: np.random.Generator,
) -> Calibrated | Uncalibrated:
    """Fit on the orders of the calibration days. random: draws days for intervals."""
    known = orders.where(orders.label.known)
    entering = known.where(known.adds_risk)
    if lacking := _lacking(entering, config):
        return Uncalibrated(f"confidence is not calibrated, not enough data: {lacking}")
    closing = known.where(~known.adds_risk)
    chosen = select(entering, config)
    other = None if _lacking(closing, config) else select(closing, config)
    confidence = Confidence(
        Fit(chosen.calibrator, chosen.losses, *_size(entering)),
        Fit(other.calibrator, other.losses, *_size(closing)) if other is not None else None,
        tuple(format_date(day) for day in np.unique(known.day).tolist()),
        belongs,
        conditions,
    )
    foretold = reliability(
        chosen.foretold, entering.label.better, entering.day, random, config.draws
    )
    assert foretold is not None
    return Calibrated(confidence, foretold)


def _lacking(orders: Orders, config: ConfidenceConfig) -> str:
    """What is too little to calibrate on; empty when nothing is."""
    count, days = _size(orders)
    if days >= config.min_days and count >= config.min_orders:
        return ""
    return (
        f"{count:,} orders on {days} calibration day{'s' * (days != 1)}, where "
        f"{config.min_orders:,} on {config.min_days} are asked for (confidence.min_orders, "
        "confidence.min_days)"
    )


def _size(orders: Orders) -> tuple[int, int]:
    return len(orders), len(np.unique(orders.day))


def _fit_to_plain(fit: Fit) -> dict[str, Any]:
    return {
        "calibrator": to_plain(fit.calibrator), "losses": dict(fit.losses), "orders": fit.orders,
        "days": fit.days,
    }  # fmt: skip


def _fit_from_plain(values: Mapping[str, Any]) -> Fit:
    return Fit(from_plain(values["calibrator"]), dict(values["losses"]), int(values["orders"]),
               int(values["days"]))  # fmt: skip


def _unreadable(place: str, error: Exception) -> ApexError:
    return ApexError(
        f"{place} is no calibration that this version reads ({error}): remove it, and the next "
        "backtest calibrates anew"
    )


def _short(value: object) -> str:
    return str(value)[:16]
