"""What the ranges of minute bars tell of the volatility inside them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: Of a driftless Brownian motion of unit deviation (Alizadeh, Brandt & Diebold 2002, section 2):
#: mean and variance of ln(range), and the ratio of the mean range to the mean absolute move.
LOG_RANGE_MEAN, LOG_RANGE_VARIANCE = 0.43, 0.29**2
RANGE_OVER_MOVE = 2.0
#: Half-life of the weights of neighbouring minutes, minutes.
NEIGHBOURS = 10.0
#: Largest part of a minute's deviation that its extremes are taken to fall short.
MAX_SHORTFALL = 0.2
#: A range of more deviations than this is taken to be the deviation's own.
MAX_RATIO = 5.0


@njit(cache=True, nogil=True)
def _neighbour_mean(values: F64, keep: float) -> F64:
    """Mean over the neighbours on both sides, exponentially weighted, without the row itself."""
    n = len(values)
    total, weight = np.zeros(n), np.zeros(n)
    for reverse in range(2):
        s, w = 0.0, 0.0
        for i in range(n):
            k = n - 1 - i if reverse else i
            total[k] += s
            weight[k] += w
            s, w = keep * s, keep * w
            if not np.isnan(values[k]):
                s += values[k]
                w += 1.0
    mean = np.full(n, np.nan)
    for k in range(n):
        if weight[k] > 0.0:
            mean[k] = total[k] / weight[k]
    return mean


def shortfall(move: F64, reach: F64, sigma: F64) -> float:
    """How far high and low together fall short of a continuous path's, in deviations.

    A minute's extremes are those of its trades, a finite sample of the path; a path made to touch
    no more than them would hurry (its moves would foretell each other). Measured on all minutes by
    mean range = 2·mean |move|, which a continuous martingale keeps.
    """
    scale = float(sigma.sum())
    if scale <= 0:
        return 0.0
    missing = RANGE_OVER_MOVE * float(np.abs(move).sum()) - float(reach.sum())
    return min(max(missing / scale, 0.0), MAX_SHORTFALL)


def minute_sigma(move: F64, reach: F64, rng: np.random.Generator) -> tuple[F64, float]:
    """(deviation [n] of each minute's log return, shortfall of the ranges, see ``shortfall``).

    move: ln(close/open) [n]; reach: ln(high/low) [n]. Empirical Bayes on log ranges, which are near
    normal: the neighbours' mean is the prior, its width what the ranges show beyond their own
    noise, and the deviation is *drawn* from the posterior. A minute's own range alone would make a
    wide range a volatile minute always, never a straight one.
    """
    if len(reach) == 0:
        return np.empty(0), 0.0
    short = 0.0
    sigma = _posterior(reach, short, np.zeros(len(reach)), None)
    for _ in range(3):
        short = shortfall(move, reach, sigma)
        sigma = _posterior(reach, short, sigma, None)
    sigma = _posterior(reach, short, sigma, rng)
    return np.maximum(sigma, (reach + short * sigma) / MAX_RATIO), short


def _posterior(reach: F64, short: float, sigma: F64, rng: np.random.Generator | None) -> F64:
    """Posterior mean (drawn when there is an rng) of each deviation, given ranges made whole."""
    whole = np.where(reach > 0, reach + short * sigma, np.nan)
    measured = np.log(whole) - LOG_RANGE_MEAN
    prior = _neighbour_mean(measured, math.exp2(-1.0 / NEIGHBOURS))
    known = ~np.isnan(measured) & ~np.isnan(prior)
    prior = np.where(np.isnan(prior), np.where(np.isnan(measured), 0.0, measured), prior)
    spread = float(np.var((measured - prior)[known])) if known.any() else 0.0
    width = max(spread - LOG_RANGE_VARIANCE, 0.0)
    weight = width / (width + LOG_RANGE_VARIANCE)
    log_sigma = prior + np.where(known, weight * (measured - prior), 0.0)
    if rng is not None:
        log_sigma += math.sqrt(weight * LOG_RANGE_VARIANCE) * rng.standard_normal(len(reach))
    return np.where(reach > 0, np.exp(log_sigma), 0.0)
