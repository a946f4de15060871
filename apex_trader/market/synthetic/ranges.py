"""What minute bars tell of the volatility inside them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.market.synthetic.moments import count_moments, shortfall

F64 = NDArray[np.float64]

#: Of a driftless Brownian motion of unit deviation (Alizadeh, Brandt & Diebold 2002, section 2):
#: mean and variance of ln(range).
LOG_RANGE_MEAN, LOG_RANGE_VARIANCE = 0.42568, 0.08218
#: Half-lives of the weights of neighbouring minutes, minutes.
NEIGHBOURS = (3.0, 10.0, 60.0)
#: Fewest minutes to weigh them by.
FEWEST = 300
#: What few moments add to mean and variance of ln(range made whole), times their number: from two
#: million walks of 10 to 80 moments at random times (without the term in the mean, deviations of 20
#: moments come half a percent too small).
FEW_MEAN, FEW_VARIANCE = -0.087, 0.111
#: Of two Brownian motions of correlation r the log ranges have r²·(ALIKE + (1 - ALIKE)·r⁴), within
#: 0.01 for r from 0.3 to 1 (from 50,000 pairs of walks each).
ALIKE = 0.8
#: Most that two symbols' surprises are taken to have in common; beyond, neither could move alone.
MOST_SHARED = 0.9
#: Deviations that a range, made whole, can hold: the grid of the posterior.
LEAST_RATIO, MOST_RATIO, GRID = 0.8, 5.0, 48
#: Most that the path is taken to go beyond either extreme, and the least seen range, deviations.
MOST_BEYOND, LEAST_SEEN = 0.5, 0.25
#: Terms of the series of ``log_density`` on either side of 0.
TERMS = 5


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


@dataclass(frozen=True)
class Volatility:
    """What is known of each minute's volatility.

    sigma [n]: deviation of the log return, 0 where flat. above, below [n]: log price that the path
    goes beyond high and low. moments [n]: at how many the bar's prices were taken, 0 where flat.
    prior [n], width [n]: mean and variance of the log deviation as the other minutes and the
    minute's activity tell it. surprise [n]: what its range alone says beyond the prior, NaN where
    flat.
    """

    sigma: F64
    above: F64
    below: F64
    moments: F64
    prior: F64
    width: F64
    surprise: F64

    def rows(self, index: slice) -> Volatility:
        """Of some of the minutes."""
        return Volatility(*(getattr(self, f.name)[index] for f in fields(self)))


def minute_sigma(
    up: F64,
    down: F64,
    move: F64,
    orders: F64,
    activity: F64,
    tick: F64,
    rng: np.random.Generator,
) -> Volatility:
    """Volatility of each minute, drawn from what its bar alone tells.

    up, down, move [n]: ln(high/open), ln(open/low), ln(close/open); orders [n]: their mean number,
    0 where a minute is absent; activity [n]: what tells busy minutes, trades or volume; tick [n]:
    the price's step, in logs. Empirical Bayes: the neighbours' log ranges, which are near normal,
    and how much busier the minute is than they give the prior (who sees a busy minute would
    otherwise know that its moves go on), its width is what ranges show beyond their own noise; the
    likelihood is that of a path's high, low and close. It is where ``settling`` starts from, which
    draws the deviation from its exact law. *Drawn* it is: a minute's range alone would make a wide
    range a volatile minute always, never a straight one.
    """
    reach = up + down
    if not (reach > 0).any():
        return Volatility(*np.zeros((7, len(reach))))
    moments, short, sigma = orders, np.zeros(len(reach)), np.zeros(len(reach))
    for _ in range(4):
        sigma, prior, width, surprise = _by_ranges(reach, short * sigma, moments, activity)
        typical = np.exp(prior - 0.5 * width)
        moments = count_moments(up, down, move, orders, typical, tick)
        short = shortfall(moments)
    # beyond the highest of Poisson samples the path goes by an exponential (Wiener-Hopf)
    above, below = np.minimum(0.5 * short * rng.exponential(1.0, (2, len(reach))), MOST_BEYOND)
    sigma = _drawn(up, down, move, above, below, prior, width, rng)
    moments = np.where(reach > 0, moments, 0.0)
    return Volatility(sigma, above * sigma, below * sigma, moments, prior, width, surprise)


def _by_ranges(reach: F64, extra: F64, moments: F64, activity: F64) -> tuple[F64, F64, F64, F64]:
    """(posterior mean of each deviation by ranges alone, prior of its log, the prior's variance,
    what the minute's own range says beyond the prior)"""
    whole = np.where(reach > 0, reach + extra, np.nan)
    few = 1.0 / np.maximum(moments - 1.0, 5.0)
    noise = LOG_RANGE_VARIANCE + FEW_VARIANCE * few
    measured = np.log(whole) - LOG_RANGE_MEAN - FEW_MEAN * few
    prior = _forecast(measured, np.log(np.where(activity > 0, activity, np.nan)))
    known = ~np.isnan(measured)
    spread = float(np.var((measured - prior)[known]))
    width = np.full(len(reach), max(spread - float(noise[known].mean()), 1e-4))
    weight = width / (width + noise)
    log_sigma = prior + np.where(known, weight * (measured - prior), 0.0)
    # the mean of a log-normal deviation, as sums of deviations need it
    log_sigma = log_sigma + 0.5 * weight * noise
    return np.where(reach > 0, np.exp(log_sigma), 0.0), prior, width, measured - prior


def shared_surprise(one: Volatility, two: Volatility, correlation: float) -> float:
    """Correlation of two symbols' log deviations around their priors.

    Mostly one cause makes both more volatile than was thought. Taken to be apart, the symbols'
    paths would differ by more than their closes, and come back to each other. What their ranges say
    together is their noise too: correlation is that of their moves.
    """
    known = ~np.isnan(one.surprise) & ~np.isnan(two.surprise)
    if known.sum() < FEWEST:
        return 0.0
    few = float((1.0 / np.maximum(np.sqrt(one.moments * two.moments)[known] - 1.0, 5.0)).mean())
    # that minutes begin and end at other trades tells on their extremes half as much as on moves
    square = (correlation * (1.0 + 0.5 * few)) ** 2
    alike = square * (ALIKE + (1.0 - ALIKE) * square**2)
    noise = alike * (LOG_RANGE_VARIANCE + FEW_VARIANCE * few)
    shared = float((one.surprise * two.surprise)[known].mean()) - noise
    width = math.sqrt(float(one.width[known].mean() * two.width[known].mean()))
    return min(max(shared / width, 0.0), MOST_SHARED)


def _forecast(measured: F64, activity: F64) -> F64:
    """Each minute's log range [n] as the minutes on both sides, and its activity, tell it.

    Least squares on neighbours' means of several half-lives, as a heterogeneous autoregression has
    them (Corsi 2009). Where there are too few minutes for that, the mean of the middle one.
    """
    means = [_neighbours(measured, half_life) for half_life in NEIGHBOURS]
    simple = np.where(np.isnan(means[1]), np.nan_to_num(measured), means[1])
    beside = [_neighbours(activity, half_life) for half_life in NEIGHBOURS]
    columns = np.stack([np.ones(len(measured)), *means, *beside, activity], axis=1)
    known = ~np.isnan(measured) & ~np.isnan(columns).any(axis=1)
    if known.sum() < FEWEST:
        return simple
    fitted = np.linalg.lstsq(columns[known], measured[known], rcond=None)[0]
    return np.where(known, columns @ fitted, simple)


def _neighbours(values: F64, half_life: float) -> F64:
    mean: F64 = _neighbour_mean(values, math.exp2(-1.0 / half_life))
    return mean


def _drawn(
    up: F64,
    down: F64,
    move: F64,
    above: F64,
    below: F64,
    prior: F64,
    width: F64,
    rng: np.random.Generator,
) -> F64:
    """Deviations drawn from the posterior on a grid of whole range / sigma; above, below [n]: how
    far the path goes beyond the extremes, in deviations."""
    reach, beyond = up + down, above + below
    rows = np.flatnonzero(reach > 0)
    edges = np.linspace(math.log(LEAST_RATIO), math.log(MOST_RATIO), GRID + 1)
    ratio = np.exp(0.5 * (edges[1:] + edges[:-1]))[None, :]
    seen = np.maximum(ratio - beyond[rows, None], LEAST_SEEN)
    sigma = reach[rows, None] / seen
    level = log_density(
        up[rows, None] / sigma + above[rows, None],
        down[rows, None] / sigma + below[rows, None],
        move[rows, None] / sigma,
    ) - 3.0 * np.log(sigma)
    level = level - 0.5 * (np.log(sigma) - prior[rows, None]) ** 2 / width[rows, None]
    # the grid is even in the log of the ratio, the prior in that of sigma
    level = level + np.log(ratio / seen)
    weight = np.cumsum(np.exp(level - level.max(axis=1, keepdims=True)), axis=1)
    point = rng.random(len(rows)) * weight[:, -1]
    place = np.minimum((weight < point[:, None]).sum(axis=1), GRID - 1)
    exact = np.exp(edges[place] + rng.random(len(rows)) * (edges[1] - edges[0]))
    drawn = np.zeros(len(reach))
    drawn[rows] = reach[rows] / np.maximum(exact - beyond[rows], LEAST_SEEN)
    return drawn


def log_density(up: F64, down: F64, move: F64) -> F64:
    """Log density, up to a constant, of a Brownian motion's highest, lowest and last value.

    up, down, move: highest, minus lowest, last, in deviations; shapes that broadcast. The law of
    the last value between two barriers (Feller 1971, volume II, X.5), derived by both. A floor
    stands where the series is lost in rounding.
    """
    total = np.zeros(np.broadcast_shapes(up.shape, down.shape, move.shape))
    for n in range(-TERMS, TERMS + 1):
        passed = move + 2 * n * (up + down)
        mirrored = passed - 2.0 * up
        total = total + 4 * n * n * _curvature(passed) - 4 * n * (n - 1) * _curvature(mirrored)
    return np.asarray(np.log(np.maximum(total, 1e-12)))


def _curvature(value: F64) -> F64:
    square = value * value
    return np.asarray((square - 1.0) * np.exp(-0.5 * square))
