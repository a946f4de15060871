"""How often a planted market prints a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Nodes of the average over bursts of activity.
_NODES = 9


@dataclass(frozen=True)
class Pace:
    """Orders of the tape arrive as a Poisson process of random rate (Cox 1955).

    rates [m] a second, and the share [m] of time that each stands for. mean: rate at the long-run
    volatility. The rate follows volatility
    and bursts (``market.synthetic.tape.activity``), never the price's direction, and is about
    constant over the few seconds of a wait.
    """

    rates: F64
    share: F64
    mean: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any], relative: F64, share: F64) -> Pace:
        """Of a planted market's parameters.

        relative [k]: total volatility over its long-run level; share [k] of time of each.
        """
        mean = parameters["trades_per_second"] / parameters["sweep"]
        burst = parameters["burstiness"]
        nodes, weight = np.polynomial.hermite_e.hermegauss(_NODES)
        factor = np.exp(burst * nodes - 0.5 * burst * burst)
        rates = mean * np.multiply.outer(relative, factor)
        shares = np.multiply.outer(share, weight / weight.sum())
        return cls(rates.ravel(), shares.ravel(), mean)

    @property
    def gap(self) -> float:
        """Mean seconds between prints, over prints."""
        return 1.0 / float(self.share @ self.rates)

    def at(self, relative: float) -> float:
        """Mean rate where the volatility is ``relative`` times its long-run level."""
        return self.mean * relative

    def silent(self, seconds: F64) -> F64:
        """Chance that no order arrives within each of some spans."""
        chance: F64 = np.exp(-np.multiply.outer(seconds, self.rates)) @ self.share
        return chance

    def decayed(self, rate: float) -> float:
        """Mean of exp(-rate · age) over the age of the newest print."""
        return float(self.share @ (self.rates / (self.rates + rate)))
