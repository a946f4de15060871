"""What a plan earns in the mean, over the days' volatilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    weights = np.zeros(len(grid))
    place = np.interp(np.log(values), np.log(grid), np.arange(len(grid), dtype=np.float64))
    low = np.minimum(place.astype(np.int64), len(grid) - 2)
    np.add.at(weights, low, share * (1.0 - (place - low)))
    np.add.at(weights, low + 1, share * (place - low))
    return float(weights @ gains[:, 0]), float(np.sqrt(np.sum((weights * gains[:, 1]) ** 2)))
