"""The hidden deviation as prices show it: a bank of Kalman filters, one a level of volatility."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.optimum.volatility import Volatility
from apex_trader.time import MINUTE

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: How uncertain the first price's level is: far more than any deviation.
_DIFFUSE = 1e-2
#: Variance of a print around the latent price, squared ticks: half a spread, dithering.
_TICK_NOISE = 0.5
#: µs between updates of the season and of the volatility's chances.
_BEAT = MINUTE


@dataclass(frozen=True)
class Deviations:
    """The law of both symbols' log prices: correlated walks, a deviation each.

    decay: of the deviation, per second. variance: of the deviation. ratio, correlation: of BTC's
    walk. noise: variance of a print of (ETH, BTC).
    """

    decay: float
    variance: float
    ratio: float
    correlation: float
    noise: tuple[float, float]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Deviations:
        """Of a generator's parameters."""
        scatter = _TICK_NOISE + 0.25 * parameters["spread_ticks"] ** 2
        prices = (parameters["eth_price"], parameters["btc_price"])
        tick = parameters["tick_size"]
        return cls(
            decay=math.log(2.0) / parameters["half_life"],
            variance=(parameters["deviation"] * 1e-4) ** 2,
            ratio=parameters["btc_ratio"],
            correlation=parameters["correlation"],
            noise=(scatter * (tick / prices[0]) ** 2, scatter * (tick / prices[1]) ** 2),
        )

    def explained(self, volatility: float, gap: float) -> float:
        """Variance of ETH's deviation that prices seen explain, in the steady state.

        volatility: of ETH's walk per √second; gap: seconds between prints. The covariance of the
        walks has eigenvalues r; along each the Riccati equation is one of scalars: with
        f = exp(-decay·gap), A = (1 - f)² and q = variance·(1 - f²), the error's variance P solves
        A·P² + (1 - f²)·r·P = q·r.
        """
        shared = self.correlation * self.ratio
        walks = np.array([[1.0, shared], [shared, self.ratio**2]]) * volatility**2 * gap
        values, vectors = np.linalg.eigh(walks)
        keep = math.exp(-self.decay * gap)
        a, b = (1.0 - keep) ** 2, (1.0 - keep * keep) * np.maximum(values, 0.0)
        q = self.variance * b
        error = (
            np.where(b > 0.0, 2.0 * q / (b + np.sqrt(b * b + 4.0 * a * q)), 0.0)
            if q.any()
            else np.zeros(2)
        )
        return self.variance - float(vectors[0] ** 2 @ error)


@dataclass(frozen=True)
class Estimate:
    """What the filter knows at each time: mean [n] of ETH's deviation, ln of its volatility [n]."""

    mean: F64
    log_volatility: F64


def estimate(
    law: Deviations, volatility: Volatility, prints: tuple[Prints, Prints], ts: I64
) -> Estimate:
    """The deviation given the prints before each time ``ts`` [n] µs, ascending.

    Each level of volatility has its Kalman filter of (walk, deviation) of both symbols, updated
    print by print (Kalman 1960); the levels' chances follow their chain and the likelihood of what
    each foretold (a multiple-model filter, Blom & Bar-Shalom 1988, without mixing the states).
    """
    levels, share = volatility.levels()
    if not len(ts):
        return Estimate(np.zeros(0), np.zeros(0))
    first = min(int(p.ts[0]) for p in prints if len(p))
    beats = np.arange(first // _BEAT * _BEAT, int(ts[-1]) + _BEAT, _BEAT, dtype=np.int64)
    season = volatility.seasonal(beats)
    eth, btc = prints
    origin = np.array([p.log_price[0] if len(p) else 0.0 for p in prints])
    mean, log_level = _bank(
        eth.ts, eth.log_price - origin[0], btc.ts, btc.log_price - origin[1], ts, beats, season,
        levels, share, volatility.transition(_BEAT / 1e6), law.decay, law.variance, law.ratio,
        law.correlation, np.array(law.noise),
    )  # fmt: skip
    return Estimate(mean, log_level)


@njit(cache=True, nogil=True)
def _predict(state: F64, cov: F64, seconds: float, sigma: float, decay: float, variance: float,
             ratio: float, correlation: float) -> None:  # fmt: skip
    """Moves (walk, deviation) of ETH and BTC on by some seconds."""
    keep = math.exp(-decay * seconds)
    for own in (1, 3):
        state[own] *= keep
        for k in range(4):
            cov[own, k] *= keep
        for k in range(4):
            cov[k, own] *= keep
        cov[own, own] += variance * (1.0 - keep * keep)
    walk = sigma * sigma * seconds
    cov[0, 0] += walk
    cov[2, 2] += ratio * ratio * walk
    cov[0, 2] += correlation * ratio * walk
    cov[2, 0] += correlation * ratio * walk


@njit(cache=True, nogil=True)
def _update(state: F64, cov: F64, symbol: int, price: float, noise: float) -> float:
    """Takes in one print; its log likelihood, up to a constant."""
    o = 2 * symbol
    spread = cov[o, o] + 2.0 * cov[o, o + 1] + cov[o + 1, o + 1] + noise
    error = price - state[o] - state[o + 1]
    shift = cov[:, o] + cov[:, o + 1]
    for k in range(4):
        state[k] += shift[k] / spread * error
        for m in range(4):
            cov[k, m] -= shift[k] * shift[m] / spread
    return float(-0.5 * (error * error / spread + math.log(spread)))


@njit(cache=True, nogil=True)
def _bank(ts_0: I64, price_0: F64, ts_1: I64, price_1: F64, ts: I64, beats: I64, season: F64,
          levels: F64, share: F64, transition: F64, decay: float, variance: float, ratio: float,
          correlation: float, noise: F64) -> tuple[F64, F64]:  # fmt: skip
    count, never = len(levels), np.int64(2**62)
    state, cov = np.zeros((count, 4)), np.zeros((count, 4, 4))
    for level in range(count):
        cov[level, 0, 0] = cov[level, 2, 2] = _DIFFUSE
        cov[level, 1, 1] = cov[level, 3, 3] = variance
    chance, now = share.copy(), beats[0]
    mean, log_level = np.zeros(len(ts)), np.zeros(len(ts))
    log_levels = np.log(levels)
    i, j, beat, row = 0, 0, 0, 0
    while row < len(ts):
        next_0 = ts_0[i] if i < len(ts_0) else never
        next_1 = ts_1[j] if j < len(ts_1) else never
        next_beat = beats[beat + 1] if beat + 1 < len(beats) else never
        # A print at a decision's own time is not known to it: decisions come first.
        at = min(ts[row], next_0, next_1, next_beat)
        seconds = (at - now) / 1e6 if at > now else 0.0
        now = max(at, now)
        if seconds > 0.0:
            for level in range(count):
                _predict(state[level], cov[level], seconds, levels[level] * season[beat], decay,
                         variance, ratio, correlation)  # fmt: skip
        if at == ts[row]:
            mean[row] = np.sum(chance * state[:, 1])
            log_level[row] = np.sum(chance * log_levels) + math.log(season[beat])
            row += 1
        elif at == next_beat:
            beat += 1
            chance = chance @ transition
        else:
            symbol = 0 if next_0 <= next_1 else 1
            price = price_0[i] if symbol == 0 else price_1[j]
            likely = np.empty(count)
            for level in range(count):
                likely[level] = _update(state[level], cov[level], symbol, price, noise[symbol])
            chance = chance * np.exp(likely - likely.max())
            chance /= chance.sum()
            i, j = i + (symbol == 0), j + (symbol == 1)
    return mean, log_level
