"""A minute's volatility drawn from its exact law given the prices of its orders.

Bars tell a volatility only through the law of a path that is looked at without pause. Given the
prices at the orders' times nothing of the kind is needed: their moves are normal, and the deviation
has a log-normal prior. Drawn in turn with the prices (``settling``), it gets the law that it has
given the bar, however few the orders are.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Proposals of one call, and how wide they are in deviations of what they are drawn from.
PROPOSALS, REACH = 4, 2.0


@njit(cache=True, nogil=True)
def rescale(
    price: F64,
    variance: F64,
    covariance: F64,
    symbol: int,
    begin: int,
    end: int,
    expected: float,
    width: float,
    rng: np.random.Generator,
) -> float:
    """Scale the variances of a symbol's moves between two points anew, in place.

    price, variance [2, n], covariance [n]: see ``settle``; expected, width: mean and variance that
    the log of the moves' deviation has before they are seen, relative to what it is now. Returns by
    how much that log has grown. Random-walk Metropolis on it (its proposals know the points' number
    alone, so they are symmetric), given the other symbol's moves and deviation.
    """
    number, sharp, square, cross = 0, 1.0 / width, 0.0, 0.0
    for i in range(begin + 1, end + 1):
        own = variance[symbol, i]
        if own <= 0.0:
            continue
        move = price[symbol, i] - price[symbol, i - 1]
        number += 1
        if covariance[i] == 0.0:
            square += move * move / own
            sharp += 2.0
            continue
        slope = covariance[i] / variance[1 - symbol, i]
        rest = own - slope * covariance[i]
        square += move * move / rest
        cross += move * slope * (price[1 - symbol, i] - price[1 - symbol, i - 1]) / rest
        sharp += 1.0 + own / rest
    grown = 0.0
    level = _log_density(grown, number, square, cross, expected, width)
    for _ in range(PROPOSALS):
        proposed = grown + REACH / math.sqrt(sharp) * rng.standard_normal()
        there = _log_density(proposed, number, square, cross, expected, width)
        if math.log(1.0 - rng.random()) < there - level:
            grown, level = proposed, there
    factor = math.exp(grown)
    for i in range(begin + 1, end + 1):
        variance[symbol, i] *= factor * factor
        covariance[i] *= factor
    return grown


@njit(cache=True, nogil=True)
def _log_density(
    grown: float, number: int, square: float, cross: float, expected: float, width: float
) -> float:
    """Of the log deviation's growth, up to a constant; square, cross: sums of the moves' squares
    and of their products with the other symbol's, in the variances before it."""
    small = math.exp(-grown)
    likelihood = -number * grown - 0.5 * square * small * small + cross * small
    return likelihood - 0.5 * (grown - expected) ** 2 / width
