"""Exponentially weighted statistics as ordered float64 recursions with an explicit carry.

Every function takes observations and the carry that an earlier call returned, and gives one value
an observation and the new carry. A carry is a plain float64 array (store it, send it, hand it
back) and the input carry is never changed. A series run in chunks gives the same bits as run at
once, because the recursion is a strict left fold.

The weights are bias-corrected: the observation of age j (in observations) weighs decay**j, and
weights are divided by their sum, so the first values are plain averages of what there is instead
of leaning on a made-up start. A NaN is a missing observation: it is skipped, no weight decays and
the last value is carried on. Negating a series negates the odd statistics and keeps the even ones
exactly, which the mirrored state relies on.

Recursions: Finch (2009), "Incremental calculation of weighted mean and variance", sections 4 and 9.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ConfigError

F64 = NDArray[np.float64]

_MEAN, _VARIANCE, _PAIR, _LAGGED = 2, 4, 7, 8


def half_life(observations: float) -> float:
    """Decay whose weight halves every ``observations``."""
    if not observations > 0:
        raise ConfigError("half_life", observations, "more than 0 observations")
    return float(0.5 ** (1.0 / observations))


def span(observations: float) -> float:
    """Decay 1 - 2/(n + 1) of an "n-bar EMA"."""
    if not observations >= 1:
        raise ConfigError("span", observations, "at least 1 observation")
    return float(1.0 - 2.0 / (observations + 1.0))


def wilder(observations: float) -> float:
    """Decay 1 - 1/n of Wilder's smoothing (New Concepts in Technical Trading Systems, 1978)."""
    if not observations >= 1:
        raise ConfigError("wilder", observations, "at least 1 observation")
    return float(1.0 - 1.0 / observations)


def ew_mean(values: F64, decay: float, carry: F64 | None = None) -> tuple[F64, F64]:
    """EW mean of ``values`` [n]; NaN before the first observation.

    decay: weight lost to age, from ``half_life``, ``span`` or ``wilder``.
    carry [2]: sum of weights, mean.
    """
    (series,), state = _checked((values,), decay, carry, _MEAN)
    out = np.empty(len(series))
    _mean_kernel(series, decay, state, out)
    return out, state


def ew_variance(values: F64, decay: float, carry: F64 | None = None) -> tuple[F64, F64]:
    """EW variance of ``values`` [n] around their EW mean; NaN before the second observation.

    Unbiased for independent observations: divided by 1 - Σw² of the normalised weights.
    carry [4]: sum of weights, sum of squared weights, mean, weighted sum of squares.
    """
    (series,), state = _checked((values,), decay, carry, _VARIANCE)
    out = np.empty(len(series))
    _variance_kernel(series, decay, state, out)
    return out, state


def ew_std(values: F64, decay: float, carry: F64 | None = None) -> tuple[F64, F64]:
    """Square root of ``ew_variance``, with the same carry."""
    variance, state = ew_variance(values, decay, carry)
    return np.sqrt(variance), state


def ew_correlation(x: F64, y: F64, decay: float, carry: F64 | None = None) -> tuple[F64, F64]:
    """EW correlation of x [n] and y [n], in -1…1; NaN before the second pair.

    A pair with a NaN is missing as a whole. 0 where either does not vary.
    carry [7]: sum of weights, of squared weights, means of x and y, sums Sxx, Syy, Sxy.
    """
    (first, second), state = _checked((x, y), decay, carry, _PAIR)
    out, beta = np.empty(len(first)), np.empty(len(first))
    _pair_kernel(first, second, decay, state, out, beta)
    return out, state


def ew_beta(x: F64, y: F64, decay: float, carry: F64 | None = None) -> tuple[F64, F64]:
    """Slope of the EW regression of y [n] on x [n] (with intercept); NaN before the second pair.

    0 where x does not vary. Same carry as ``ew_correlation``.
    """
    (first, second), state = _checked((x, y), decay, carry, _PAIR)
    correlation, out = np.empty(len(first)), np.empty(len(first))
    _pair_kernel(first, second, decay, state, correlation, out)
    return out, state


def ew_autocorrelation(values: F64, decay: float, carry: F64 | None = None) -> tuple[F64, F64]:
    """EW correlation of ``values`` [n] with the row before, NaN before the second pair.

    A NaN breaks two pairs: its own and the next row's.
    carry [8]: that of ``ew_correlation`` and the last row.
    """
    (series,), state = _checked((values,), decay, carry, _LAGGED)
    if carry is None:
        state[_PAIR] = np.nan
    if not len(series):
        return np.empty(0), state
    before = np.concatenate((state[_PAIR:], series[:-1]))
    out, moments = ew_correlation(before, series, decay, state[:_PAIR])
    return out, np.append(moments, series[-1])


def average_true_range(
    high: F64, low: F64, close: F64, decay: float, carry: F64 | None = None
) -> tuple[F64, F64]:
    """EW mean of the true range of bars [n]; log prices give a log range.

    Wilder's ATR14 is ``wilder(14)``. The first bar's range is high - low.
    carry [3]: sum of weights, mean, last close.
    """
    (highs, lows, closes), state = _checked((high, low, close), decay, carry, _MEAN + 1)
    if carry is None:
        state[_MEAN] = np.nan
    out = np.empty(len(highs))
    if not len(highs):
        return out, state
    before = np.concatenate((state[_MEAN:], closes[:-1]))
    out, moments = ew_mean(true_range(highs, lows, before), decay, state[:_MEAN])
    return out, np.append(moments, closes[-1])


def true_range(high: F64, low: F64, previous_close: F64) -> F64:
    """Wilder's true range [n]: from min(low, previous close) to max(high, previous close).

    NaN in ``previous_close`` means that there is none.
    """
    return np.fmax(high, previous_close) - np.fmin(low, previous_close)


def _checked(
    series: tuple[F64, ...], decay: float, carry: F64 | None, size: int
) -> tuple[tuple[F64, ...], F64]:
    """The series as contiguous float64 of equal length, and an own copy of the carry."""
    if not 0.0 <= decay < 1.0:
        raise ConfigError("decay", decay, "at least 0 and below 1")
    arrays = tuple(np.ascontiguousarray(s, np.float64) for s in series)
    lengths = {a.shape for a in arrays}
    if len(lengths) != 1 or arrays[0].ndim != 1:
        raise ConfigError("values", sorted(lengths), "one-dimensional and equally long")
    if carry is None:
        return arrays, np.zeros(size)
    if carry.shape != (size,):
        raise ConfigError("carry", carry.shape, f"the [{size}] array that an earlier call returned")
    return arrays, np.array(carry, np.float64)


@njit(cache=True, nogil=True)
def _mean_kernel(values: F64, decay: float, carry: F64, out: F64) -> None:  # pragma: no cover
    weight, mean = carry[0], carry[1]
    for i in range(len(values)):
        x = values[i]
        if not np.isnan(x):
            weight = decay * weight + 1.0
            mean += (x - mean) / weight
        out[i] = mean if weight > 0.0 else np.nan
    carry[0], carry[1] = weight, mean


@njit(cache=True, nogil=True)
def _variance_kernel(values: F64, decay: float, carry: F64, out: F64) -> None:  # pragma: no cover
    weight, squared, mean, total = carry[0], carry[1], carry[2], carry[3]
    for i in range(len(values)):
        x = values[i]
        if not np.isnan(x):
            weight = decay * weight + 1.0
            squared = decay * decay * squared + 1.0
            delta = x - mean
            mean += delta / weight
            total = decay * total + delta * (x - mean)
        spare = weight * weight - squared
        out[i] = total * weight / spare if spare > 0.0 else np.nan
    carry[0], carry[1], carry[2], carry[3] = weight, squared, mean, total


@njit(cache=True, nogil=True)
def _pair_kernel(
    x: F64, y: F64, decay: float, carry: F64, correlation: F64, beta: F64
) -> None:  # pragma: no cover
    weight, squared, mean_x, mean_y = carry[0], carry[1], carry[2], carry[3]
    sxx, syy, sxy = carry[4], carry[5], carry[6]
    for i in range(len(x)):
        if not (np.isnan(x[i]) or np.isnan(y[i])):
            weight = decay * weight + 1.0
            squared = decay * decay * squared + 1.0
            dx, dy = x[i] - mean_x, y[i] - mean_y
            mean_x += dx / weight
            mean_y += dy / weight
            sxx = decay * sxx + dx * (x[i] - mean_x)
            syy = decay * syy + dy * (y[i] - mean_y)
            sxy = decay * sxy + dx * (y[i] - mean_y)
        if weight * weight - squared > 0.0:
            spread = np.sqrt(sxx) * np.sqrt(syy)
            raw = sxy / spread if spread > 0.0 else 0.0
            correlation[i] = min(1.0, max(-1.0, raw))
            beta[i] = sxy / sxx if sxx > 0.0 else 0.0
        else:
            correlation[i] = np.nan
            beta[i] = np.nan
    carry[0], carry[1], carry[2], carry[3] = weight, squared, mean_x, mean_y
    carry[4], carry[5], carry[6] = sxx, syy, sxy
