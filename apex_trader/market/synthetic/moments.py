"""At how many moments the prices of minute bars were taken, told by the bars themselves.

Of few moments the extremes fall short of the path's between them; of many the first price is hardly
ever the highest. Both tell the number, the second far better: it needs no mean move to compare with
(whose chance deviations over ten days would make the number wrong by an eighth).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

F64 = NDArray[np.float64]

#: What both extremes of samples at n random times fall short, in deviations: FIRST/sqrt(n) -
#: SECOND/n. By Spitzer's identity (1956) for the largest of n exchangeable sums, whose times are
#: Beta(k, n - k), and exact but for terms of n^-3/2.
FIRST, SECOND = math.sqrt(2.0), math.sqrt(2.0 / math.pi)
#: Largest part of a minute's deviation that its extremes are taken to fall short.
MAX_SHORTFALL = 0.35
#: How near an extreme counts as at it: in deviations of the move from one moment to the next, and
#: at least in ticks, further than the trades of one order go.
NEAR, NEAR_TICKS = 0.5, 2.5
#: By how much a share of ends near extremes falls, in logs, where moments are one log unit more.
RESPONSE = 0.5 / (1.0 + math.sqrt(2.0) * NEAR)
#: Variance of the log number of moments around that of orders, before any bar is seen.
PRIOR_VARIANCE = 1.0
#: Fewest and most moments that are told apart, times those of orders.
LEAST_FACTOR, MOST_FACTOR = 0.02, 50.0


def shortfall(moments: F64) -> F64:
    """How far high and low together fall short of a continuous path's [n], in deviations; moments
    [n]: their number, first and last among them, 0 where a minute is absent."""
    steps = np.maximum(moments - 1.0, 1.0)
    found = np.minimum(FIRST / np.sqrt(steps) - SECOND / steps, MAX_SHORTFALL)
    return np.where(moments > 0, found, 0.0)


def near_extreme(distance: F64, moments: F64) -> F64:
    """Chance that a walk never goes further than ``distance`` above its first price.

    distance: in deviations of the whole walk; moments: their number. Without distance that is
    Sparre Andersen's theorem (1954), C(2k, k)/4^k for k symmetric exchangeable moves of any law. At
    Poisson times a Brownian motion's new highs are exponential (Wiener-Hopf), so each distance adds
    to it as a level of the path would: the barrier stands 1/sqrt(2k) further away.
    """
    beyond = 1.0 / np.sqrt(2.0 * np.maximum(moments - 1.0, 0.5))
    return np.asarray(2.0 * ndtr(distance + beyond) - 1.0)


def count_moments(up: F64, down: F64, move: F64, orders: F64, typical: F64, tick: F64) -> F64:
    """Number of moments of each minute [n], 0 where it is absent, in proportion to ``orders``.

    up, down, move [n]: ln(high/open), ln(open/low), ln(close/open); orders [n]: their mean number,
    0 where a minute is absent, whose level is the prior; typical [n]: deviation of each minute's
    log return as other minutes tell it; tick [n]: size of the price's step, in logs. The level is
    such that as many opens and closes lie near a high or low as there do: near, not at, for an
    order's further trades and the spread make an extreme that the price itself did not.
    """
    known = (up + down > 0) & (orders > 0)
    if not known.any():
        return orders
    up, down, move, prior, scale, step = (
        values[known] for values in (up, down, move, orders, typical, tick)
    )
    level = 0.0
    for _ in range(3):
        steps = np.maximum(math.exp(level) * prior - 1.0, 1.0)
        near = np.maximum(NEAR * scale / np.sqrt(steps), NEAR_TICKS * step)
        ends = (up, down, up - move, down + move)
        seen = sum(float((end <= near).mean()) for end in ends) / len(ends)
        level = _level(near / scale, prior, seen)
        events = seen * len(ends) * len(up)
        level *= events / (events + 1.0 / (RESPONSE**2 * PRIOR_VARIANCE))
    return np.asarray(math.exp(level) * orders)


def _level(distance: F64, prior: F64, seen: float) -> float:
    """Log factor on the prior at which a share of the ends are so near."""

    def beyond(log_factor: float) -> float:
        return float(near_extreme(distance, math.exp(log_factor) * prior).mean()) - seen

    least, most = math.log(LEAST_FACTOR), math.log(MOST_FACTOR)
    if beyond(least) <= 0.0:
        return least
    if beyond(most) >= 0.0:
        return most
    return float(brentq(beyond, least, most, xtol=1e-6))
