"""What a plan earns in the mean, over the days' volatilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from apex_trader.evaluation.optimum.volatility import Volatility

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """Expected log return a day, net of costs. Errors: standard errors, 0 where none is drawn."""

    oracle: float
    filtered: float
    oracle_error: float = 0.0
    filtered_error: float = 0.0


def over_volatilities(volatility: Volatility, grid: F64, gains: F64) -> tuple[float, float]:
    """(mean, its error) over all days, of gains [g, 2] with their errors at volatilities [g].

    The law of volatility moves slowly against any signal that is worth trading every few seconds,
    so the mean of the gains is the gain of the mean.
    """
    values, share = volatility.spread()
    # Straight lines between the points would lie above gains that rise ever faster.
    basis = CubicSpline(np.log(grid), np.identity(len(grid)))(np.log(values))
    weights: F64 = share @ basis
    return float(weights @ gains[:, 0]), float(np.sqrt(np.sum((weights * gains[:, 1]) ** 2)))
