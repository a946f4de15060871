"""The hidden trend as prices show it: an exact filter of trend and volatility together."""

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
from apex_trader.market.synthetic.planted import per_second
from apex_trader.time import SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Variance of a print around the latent price, squared ticks: half a spread, dithering.
_TICK_NOISE = 0.5


@dataclass(frozen=True)
class Trends:
    """The law of the drift: a symmetric chain of down, flat and up, shared by both symbols.

    speed: ETH's drift when up, log return per second; BTC's is ``ratio`` times as much. leave:
    rate of leaving a state, per second. correlation: of the walks. noise: variance of a print of
    (ETH, BTC).
    """

    speed: float
    leave: float
    ratio: float
    correlation: float
    noise: tuple[float, float]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Trends:
        """Of a generator's parameters."""
        duration = parameters["duration"]
        typical = per_second(parameters["volatility"])
        scatter = _TICK_NOISE + 0.25 * parameters["spread_ticks"] ** 2
        ticks = [parameters["tick_size"] / parameters[p] for p in ("eth_price", "btc_price")]
        return cls(
            speed=parameters["strength"] * typical / math.sqrt(duration),
            leave=1.0 / duration,
            ratio=parameters["btc_ratio"],
            correlation=parameters["correlation"],
            noise=(scatter * ticks[0] ** 2, scatter * ticks[1] ** 2),
        )

    def transition(self, seconds: float) -> F64:
        """[3, 3] chances of down, flat, up after some seconds."""
        faded = math.exp(-1.5 * self.leave * seconds)
        return faded * np.identity(3) + (1.0 - faded) / 3.0

    def drift(self, seconds: float | F64) -> F64:
        """Expected log return of ETH over some seconds that begin in an uptrend."""
        rate = 1.5 * self.leave
        expected: F64 = self.speed * -np.expm1(-rate * np.asarray(seconds)) / rate
        return expected

    def signal(self, volatility: F64 | float, seconds: float) -> F64:
        """Drift over noise of the best mix of both symbols' returns over some seconds."""
        both = math.sqrt(2.0 / (1.0 + self.correlation))
        ratio: F64 = self.speed * math.sqrt(seconds) * both / np.asarray(volatility)
        return ratio


@dataclass(frozen=True)
class Belief:
    """What the filter knows at each time: chances [n, 3] of down, flat, up; ln volatility [n]."""

    chances: F64
    log_volatility: F64


def believe(
    law: Trends, volatility: Volatility, prints: tuple[Prints, Prints], ts: I64, interval: int
) -> Belief:
    """The trend's chances given the prints before each time ``ts`` [n] µs, multiples of interval.

    Hamilton's (1989) filter of the joint chain of trend and level of volatility, on the returns of
    both symbols over each interval.
    """
    if not len(ts):
        return Belief(np.zeros((0, 3)), np.zeros(0))
    first = max((int(p.ts[0]) for p in prints if len(p)), default=int(ts[0]))
    beats = np.arange(min(first // interval * interval, int(ts[0])), int(ts[-1]) + 1, interval)
    moves = np.stack([_moves(p, beats) for p in prints])
    levels, share = volatility.levels()
    chances, log_level = _filter(
        moves, volatility.seasonal(beats), levels, share, law.transition(interval / SECOND),
        volatility.transition(interval / SECOND), interval / SECOND, law.speed, law.ratio,
        law.correlation, np.array(law.noise),
    )  # fmt: skip
    rows = (ts - beats[0]) // interval
    return Belief(chances[rows], log_level[rows])


def _moves(prints: Prints, beats: I64) -> F64:
    """[n] log return up to each beat since the one before, as known at it; NaN where not."""
    place = prints.before(beats)
    price = np.where(place >= 0, prints.log_price[np.maximum(place, 0)], np.nan)
    return np.diff(price, prepend=np.nan)


@njit(cache=True, nogil=True)
def _likelihood(first: float, second: float, drift: float, ratio: float, variance: float,
                correlation: float, noise: F64) -> float:  # fmt: skip
    """Density of two symbols' returns (one of them where the other is NaN), up to a constant."""
    a, b = variance + 2.0 * noise[0], ratio * ratio * variance + 2.0 * noise[1]
    x, y = first - drift, second - ratio * drift
    if math.isnan(y):
        return float(-0.5 * (x * x / a + math.log(a)))
    if math.isnan(x):
        return float(-0.5 * (y * y / b + math.log(b)))
    shared = correlation * ratio * variance
    det = a * b - shared * shared
    return float(-0.5 * ((b * x * x - 2.0 * shared * x * y + a * y * y) / det + math.log(det)))


@njit(cache=True, nogil=True)
def _filter(moves: F64, season: F64, levels: F64, share: F64, trends: F64, volatilities: F64,
            seconds: float, speed: float, ratio: float, correlation: float,
            noise: F64) -> tuple[F64, F64]:  # fmt: skip
    n, count = moves.shape[1], len(levels)
    belief = np.empty((3, count))
    for level in range(count):
        belief[:, level] = share[level] / 3.0
    chances, log_level = np.empty((n, 3)), np.empty(n)
    log_levels = np.log(levels)
    likely = np.empty((3, count))
    for k in range(n):
        if k > 0:
            belief = trends @ belief @ volatilities
            if not (math.isnan(moves[0, k]) and math.isnan(moves[1, k])):
                for level in range(count):
                    variance = (levels[level] * season[k - 1]) ** 2 * seconds
                    for state in range(3):
                        drift = (state - 1) * speed * seconds
                        likely[state, level] = _likelihood(
                            moves[0, k], moves[1, k], drift, ratio, variance, correlation, noise
                        )
                belief = belief * np.exp(likely - likely.max())
                belief /= belief.sum()
        for state in range(3):
            chances[k, state] = belief[state].sum()
        log_level[k] = np.sum(belief.sum(axis=0) * log_levels) + math.log(season[k])
    return chances, log_level
