"""Ways from an order's features to the probability that it beats keeping the position.

Every one rises with the advantage, or does not fall, and is fitted by scikit-learn. None claims
more than the days allow: after d days, each a sample of its own, no frequency is known to be nearer
to 0 or 1 than 1/(d + 2) (the rule of succession), so probabilities stay between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from apex_trader.errors import ApexError
from apex_trader.evaluation.confidence.features import COST, EDGE, VOLATILITY

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]


class Calibrator(Protocol):
    """A fitted way from features to probability."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    @classmethod
    def fit(cls, features: F64, better: Bool, days: int) -> Self:
        """Of orders [n, 3] that beat keeping or did not [n], asked on so many days."""
        ...

    def probability(self, features: F64) -> F64:
        """[n] of orders with features [n, 3]."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same probability for every order: the advantage tells nothing."""

    rate: float
    margin: float
    name: ClassVar[str] = "constant"

    @classmethod
    def fit(cls, features: F64, better: Bool, days: int) -> Self:
        """See ``Calibrator.fit``."""
        return cls(float(better.mean()), _margin(days))

    def probability(self, features: F64) -> F64:
        """See ``Calibrator.probability``."""
        return _within(np.full(len(features), self.rate), self.margin)


@dataclass(frozen=True)
class Linear:
    """A logistic regression on some inputs: logit = bias + Σ weight · (input − centre) / spread."""

    bias: float
    weights: tuple[float, ...]
    centres: tuple[float, ...]
    spreads: tuple[float, ...]

    @classmethod
    def fit(cls, inputs: F64, better: Bool, signs: tuple[int, ...]) -> Self:
        """Inputs [n, m]; an input with sign 1 must not have a negative weight, with −1 no positive
        one, with 0 it may have any. One that would is left out, and the rest fitted again."""
        centres = inputs.mean(0)
        spreads = np.where((spread := inputs.std(0)) > 0.0, spread, 1.0)
        scaled, weights = (inputs - centres) / spreads, np.zeros(inputs.shape[1])
        used, bias = np.ones(inputs.shape[1], np.bool_), _logit(better)
        while used.any() and better.any() and not better.all():
            model = LogisticRegression(C=1.0, max_iter=1_000).fit(scaled[:, used], better)
            bias, weights = float(model.intercept_[0]), np.zeros(len(used))
            weights[used] = model.coef_[0]
            wrong = weights * np.array(signs) < 0.0
            if not wrong.any():
                break
            used &= ~wrong
            bias, weights = _logit(better), np.zeros(len(used))
        return cls(bias, _plain(weights), _plain(centres), _plain(spreads))

    def probability(self, inputs: F64) -> F64:
        """[n] of inputs [n, m]."""
        scaled = (inputs - np.array(self.centres)) / np.array(self.spreads)
        logit = self.bias + scaled @ np.array(self.weights)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -500.0, 500.0))))


@dataclass(frozen=True)
class Logistic:
    """A logistic curve of the edge (Platt 1999)."""

    linear: Linear
    margin: float
    name: ClassVar[str] = "logistic"

    @classmethod
    def fit(cls, features: F64, better: Bool, days: int) -> Self:
        """See ``Calibrator.fit``."""
        return cls(Linear.fit(features[:, [EDGE]], better, (1,)), _margin(days))

    def probability(self, features: F64) -> F64:
        """See ``Calibrator.probability``."""
        return _within(self.linear.probability(features[:, [EDGE]]), self.margin)


@dataclass(frozen=True)
class Beta:
    """Beta calibration (Kull, Silva Filho & Flach 2017) of the edge's own logistic probability.

    Two slopes instead of one: small edges may mean less, or more, than large ones.
    """

    linear: Linear
    centre: float
    spread: float
    margin: float
    name: ClassVar[str] = "beta"

    @classmethod
    def fit(cls, features: F64, better: Bool, days: int) -> Self:
        """See ``Calibrator.fit``."""
        edge = features[:, EDGE]
        centre, spread = float(np.median(edge)), float(edge.std()) or 1.0
        linear = Linear.fit(_beta_inputs(edge, centre, spread), better, (1, 1))
        return cls(linear, centre, spread, _margin(days))

    def probability(self, features: F64) -> F64:
        """See ``Calibrator.probability``."""
        inputs = _beta_inputs(features[:, EDGE], self.centre, self.spread)
        return _within(self.linear.probability(inputs), self.margin)


@dataclass(frozen=True)
class Isotonic:
    """The rising step curve of the edge that fits best (Zadrozny & Elkan 2002)."""

    edges: tuple[float, ...]
    rates: tuple[float, ...]
    margin: float
    name: ClassVar[str] = "isotonic"

    @classmethod
    def fit(cls, features: F64, better: Bool, days: int) -> Self:
        """See ``Calibrator.fit``."""
        model = IsotonicRegression(out_of_bounds="clip")
        model.fit(features[:, EDGE], better.astype(np.float64))
        return cls(_plain(model.X_thresholds_), _plain(model.y_thresholds_), _margin(days))

    def probability(self, features: F64) -> F64:
        """See ``Calibrator.probability``; straight between the steps' ends."""
        return _within(np.interp(features[:, EDGE], self.edges, self.rates), self.margin)


@dataclass(frozen=True)
class Market:
    """A logistic regression on edge, cost and volatility; rising in edge, falling in cost."""

    linear: Linear
    margin: float
    name: ClassVar[str] = "market"

    @classmethod
    def fit(cls, features: F64, better: Bool, days: int) -> Self:
        """See ``Calibrator.fit``."""
        return cls(Linear.fit(features[:, _MARKET], better, (1, -1, 0)), _margin(days))

    def probability(self, features: F64) -> F64:
        """See ``Calibrator.probability``."""
        return _within(self.linear.probability(features[:, _MARKET]), self.margin)


_MARKET = [EDGE, COST, VOLATILITY]
#: By name, the simplest first: of equally good ones the simplest is taken.
CALIBRATORS: Mapping[str, type[Calibrator]] = {
    kind.name: kind for kind in (Constant, Logistic, Beta, Isotonic, Market)
}


def to_plain(calibrator: Calibrator) -> dict[str, Any]:
    """Plain values of a calibrator, for JSON."""
    return {"method": calibrator.name, **asdict(calibrator)}  # type: ignore[call-overload]


def from_plain(values: Mapping[str, Any]) -> Calibrator:
    """See ``to_plain``. ApexError for values that are no calibrator's."""
    try:
        given = _tuples(values)
        kind = CALIBRATORS[str(given.pop("method"))]
        if "linear" in given:
            given["linear"] = Linear(**_tuples(given["linear"]))
        return kind(**given)
    except (KeyError, TypeError, AttributeError) as error:
        raise ApexError(f"these are no values of a calibrator: {error}") from None


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists alone."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _beta_inputs(edge: F64, centre: float, spread: float) -> F64:
    """[n, 2] ln s and −ln(1 − s) of s = 1/(1 + exp(−(edge − centre)/spread))."""
    x = (edge - centre) / spread
    return np.stack([-np.logaddexp(0.0, -x), np.logaddexp(0.0, x)], axis=1)


def _margin(days: int) -> float:
    return 1.0 / (days + 2)


def _within(probability: F64, margin: float) -> F64:
    return np.asarray(np.clip(probability, margin, 1.0 - margin))


def _logit(better: Bool) -> float:
    """Of the share, a half added to both counts so that it is finite."""
    wins, losses = better.sum() + 0.5, (~better).sum() + 0.5
    return float(np.log(wins / losses))


def _plain(values: F64) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
