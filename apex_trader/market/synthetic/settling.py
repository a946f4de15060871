"""Prices of orders drawn from their exact law given the minutes' open, high, low and close.

At the times of its orders a driftless price is a Gaussian walk, and a minute's high and low are the
largest and the least of *these* prices, not of the path between them. So given the bars every order
lies strictly between low and high but one that stands at each, and it may be any of them. That law
has no closed form, but its parts have: between two fixed points a bridge, at an extreme a choice of
the order that stands there. They are redrawn in turn (a Metropolis-within-Gibbs sampler, Tierney
1994, whose proposals are Brownian bridges and whose acceptance is "inside the bar"), from a start
that ``bridge`` draws nearly right on a lattice: the lattice alone errs by half a cell at the
extremes, which foretells one part in a hundred of the next moves. A minute's volatility is unknown
as well, and is drawn in the same turns, given the prices (``rescaling``).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.market.synthetic.rescaling import rescale

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Most points between which both extremes are placed together, all pairs of them weighed.
MOST_TOGETHER = 16
#: Part of the rounds in which volatilities are held: a start that is rougher than its law would
#: make them too high, and they take long to come back.
HELD = 1.0 / 3.0


@njit(cache=True, nogil=True)
def settle(
    price: F64,
    variance: F64,
    covariance: F64,
    low: F64,
    high: F64,
    top: I64,
    bottom: I64,
    spans: I64,
    span_symbol: I64,
    expected: F64,
    width: F64,
    partner: I64,
    shared: float,
    sweeps: int,
    rng: np.random.Generator,
) -> None:
    """Redraw the prices of two symbols' points in place, each given the other's, ``sweeps`` times.

    price [2, n]: log prices at the points of both symbols in time order, a start inside the bars;
    variance [2, n], covariance [n]: of the moves to each point from the one before; low, high
    [2, n]: what each price must lie strictly between, infinite where the symbol does not trade.
    spans [m, 2]: first and last point of the stretches whose ends are fixed; span_symbol [m]; top,
    bottom [m]: point in a span that stands at its bar's high and low, -1 where none has to (moved
    in place). expected, width [m]: mean and variance that the log of a span's deviation has before
    its prices are seen, relative to what ``variance`` says (changed with it, in place); where the
    width is 0 the variance is known. partner [m]: the other symbol's span of the same minute, -1
    where it has none; shared: correlation of the two logs.
    """
    n = price.shape[1]
    drift, passed, made = np.zeros(n), np.zeros(n), np.zeros(n)
    weight = np.zeros(n)
    for sweep in range(2 * sweeps):
        k = sweep % 2
        free = sweep >= 2 * HELD * sweeps
        _given_other(price[1 - k], variance[k], variance[1 - k], covariance, drift, passed)
        walk = price[k]
        for i in range(n):
            walk[i] -= drift[i]
        for span in range(len(spans)):
            if span_symbol[span] == k:
                _span(walk, drift, passed, low[k], high[k], top, bottom, span, spans[span, 0],
                      spans[span, 1], made, weight, rng)  # fmt: skip
        for i in range(n):
            walk[i] += drift[i]
        for span in range(len(spans)):
            if free and span_symbol[span] == k and width[span] > 0.0:
                likely, unsure = _given_partner(expected, width, span, partner[span], shared)
                expected[span] -= rescale(price, variance, covariance, k, spans[span, 0],
                                          spans[span, 1], likely, unsure, rng)  # fmt: skip


@njit(cache=True, nogil=True)
def _given_other(
    other: F64, variance: F64, other_variance: F64, covariance: F64, drift: F64, passed: F64
) -> None:
    """The moves' means and variances given the other symbol's, summed over the points."""
    for i in range(1, len(other)):
        slope = covariance[i] / other_variance[i] if covariance[i] != 0.0 else 0.0
        drift[i] = drift[i - 1] + slope * (other[i] - other[i - 1])
        passed[i] = passed[i - 1] + variance[i] - slope * covariance[i]


@njit(cache=True, nogil=True)
def _given_partner(
    expected: F64, width: F64, span: int, partner: int, shared: float
) -> tuple[float, float]:
    """A log deviation's mean and variance given the other symbol's, before the prices are seen."""
    if partner < 0 or width[partner] <= 0.0:
        return expected[span], width[span]
    surprise = -expected[partner] / math.sqrt(width[partner])
    likely = expected[span] + shared * math.sqrt(width[span]) * surprise
    return likely, width[span] * (1.0 - shared * shared)


@njit(cache=True, nogil=True)
def _span(
    walk: F64,
    drift: F64,
    passed: F64,
    low: F64,
    high: F64,
    top: I64,
    bottom: I64,
    span: int,
    start: int,
    stop: int,
    made: F64,
    weight: F64,
    rng: np.random.Generator,
) -> None:
    """Blocks of one random length over a span, from a random place on."""
    whole = stop - start
    length = int(2.0 * whole ** rng.random())
    first = start - int(rng.random() * length)
    while first < stop:
        begin, end = max(first, start), min(first + length, stop)
        first += length
        if end - begin >= 2 and passed[end] > passed[begin]:
            _block(walk, drift, passed, low, high, top, bottom, span, begin, end, made, weight, rng)


@njit(cache=True, nogil=True)
def _block(
    walk: F64,
    drift: F64,
    passed: F64,
    low: F64,
    high: F64,
    top: I64,
    bottom: I64,
    span: int,
    begin: int,
    end: int,
    made: F64,
    weight: F64,
    rng: np.random.Generator,
) -> None:
    """Propose the points between two others anew; taken if all lie inside their bar."""
    has_top = begin < top[span] < end
    has_bottom = begin < bottom[span] < end
    one, two = -1, -1
    made[begin], made[end] = walk[begin], walk[end]
    if has_top and has_bottom:
        if end - begin - 1 > MOST_TOGETHER:
            return
        one, two = _choose_pair(walk, drift, passed, low, high, begin, end, rng)
        made[one], made[two] = high[one] - drift[one], low[two] - drift[two]
    elif has_top:
        one = _choose(walk, drift, passed, high, begin, end, weight, rng)
        made[one] = high[one] - drift[one]
    elif has_bottom:
        two = _choose(walk, drift, passed, low, begin, end, weight, rng)
        made[two] = low[two] - drift[two]
    left = begin
    for _ in range(3):
        right = end
        if left < one < right:
            right = one
        if left < two < right:
            right = two
        if not _bridge(drift, passed, low, high, left, right, made, rng):
            return
        left = right
        if left == end:
            break
    for i in range(begin + 1, end):
        walk[i] = made[i]
    if has_top:
        top[span] = one
    if has_bottom:
        bottom[span] = two


@njit(cache=True, nogil=True)
def _bridge(
    drift: F64,
    passed: F64,
    low: F64,
    high: F64,
    left: int,
    right: int,
    made: F64,
    rng: np.random.Generator,
) -> bool:
    """A Brownian bridge between two points, until it leaves its bar at an order."""
    goal, end = made[right], passed[right]
    for i in range(left + 1, right):
        rest = end - passed[i - 1]
        step = passed[i] - passed[i - 1]
        value = made[i - 1]
        if rest > 0.0:
            value += step / rest * (goal - value)
            value += math.sqrt(max(step * (end - passed[i]) / rest, 0.0)) * rng.standard_normal()
        if not low[i] < value + drift[i] < high[i]:
            return False
        made[i] = value
    return True


@njit(cache=True, nogil=True)
def _log_move(move: float, variance: float) -> float:
    """Log density of a move, up to a constant; a point at no distance in time cannot move."""
    if variance <= 0.0:
        return -1e300
    return -0.5 * (move * move / variance + math.log(variance))


@njit(cache=True, nogil=True)
def _choose(
    walk: F64,
    drift: F64,
    passed: F64,
    level: F64,
    begin: int,
    end: int,
    weight: F64,
    rng: np.random.Generator,
) -> int:
    """The order of a block that stands at ``level``: in proportion to the density of its being
    there, given both ends of the block."""
    most = -math.inf
    for i in range(begin + 1, end):
        weight[i] = -math.inf
        if math.isfinite(level[i]):
            at = level[i] - drift[i]
            weight[i] = _log_move(at - walk[begin], passed[i] - passed[begin])
            weight[i] += _log_move(walk[end] - at, passed[end] - passed[i])
            most = max(most, weight[i])
    total = 0.0
    for i in range(begin + 1, end):
        total += math.exp(weight[i] - most)
        weight[i] = total
    point = rng.random() * total
    for i in range(begin + 1, end):
        if point < weight[i]:
            return i
    return end - 1


@njit(cache=True, nogil=True)
def _choose_pair(
    walk: F64,
    drift: F64,
    passed: F64,
    low: F64,
    high: F64,
    begin: int,
    end: int,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """The orders of a block that stand at its bar's high and low, as ``_choose``."""
    n = end - begin - 1
    weight = np.full((n, n), -math.inf)
    for a in range(n):
        i = begin + 1 + a
        for b in range(n):
            j = begin + 1 + b
            if a == b or not (math.isfinite(high[i]) and math.isfinite(low[j])):
                continue
            first, second = min(i, j), max(i, j)
            to_first, to_second = high[i] - drift[i], low[j] - drift[j]
            if j < i:
                to_first, to_second = to_second, to_first
            weight[a, b] = (
                _log_move(to_first - walk[begin], passed[first] - passed[begin])
                + _log_move(to_second - to_first, passed[second] - passed[first])
                + _log_move(walk[end] - to_second, passed[end] - passed[second])
            )
    most = weight.max()
    point = rng.random() * np.exp(weight - most).sum()
    one, two = 0, 0
    for a in range(n):
        for b in range(n):
            if weight[a, b] == -math.inf:
                continue
            one, two = begin + 1 + a, begin + 1 + b
            point -= math.exp(weight[a, b] - most)
            if point < 0.0:
                return one, two
    return one, two
