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
    both symbols from print to print: over each interval, up to the newest print of each. The two
    share the time in which both are on their way, which their covariance is of.
    """
    if not len(ts):
        return Belief(np.zeros((0, 3)), np.zeros(0))
    first = max((int(p.ts[0]) for p in prints if len(p)), default=int(ts[0]))
    beats = np.arange(min(first // interval * interval, int(ts[0])), int(ts[-1]) + 1, interval)
    moves, elapsed, shared = _moves(prints, beats)
    levels, share = volatility.levels()
    chances, log_level = _filter(
        moves, elapsed, shared, volatility.seasonal(beats), levels, share,
        law.transition(interval / SECOND), volatility.transition(interval / SECOND), law.speed,
        law.ratio, law.correlation, np.array(law.noise),
    )  # fmt: skip
    rows = (ts - beats[0]) // interval
    return Belief(chances[rows], log_level[rows])


def _moves(prints: tuple[Prints, Prints], beats: I64) -> tuple[F64, F64, F64]:
    """(log returns [2, n] from the newest print of the beat before to that of each beat, seconds
    [2, n] that each took, seconds [n] that both shared); NaN where there is no print yet."""
    price, made = np.full((2, len(beats)), np.nan), np.full((2, len(beats)), np.nan)
    for k, one in enumerate(prints):
        place = one.before(beats)
        known = place >= 0
        price[k, known] = one.log_price[place[known]]
        made[k, known] = (one.ts[place[known]] - beats[0]) / SECOND
    before = np.concatenate([np.full((2, 1), np.nan), made[:, :-1]], axis=1)
    both = np.maximum(made.min(axis=0) - before.max(axis=0), 0.0)
    return np.diff(price, axis=1, prepend=np.nan), made - before, both


@njit(cache=True, nogil=True)
def _likelihood(move: F64, elapsed: F64, shared: float, speed: float, ratio: float,
                variance: float, correlation: float, noise: F64) -> float:  # fmt: skip
    """Log density of two symbols' returns (of one where the other is NaN), up to a constant.

    speed, variance: of ETH, per second.
    """
    a = variance * elapsed[0] + 2.0 * noise[0]
    b = ratio * ratio * variance * elapsed[1] + 2.0 * noise[1]
    x, y = move[0] - speed * elapsed[0], move[1] - ratio * speed * elapsed[1]
    if math.isnan(y):
        return float(-0.5 * (x * x / a + math.log(a)))
    if math.isnan(x):
        return float(-0.5 * (y * y / b + math.log(b)))
    c = correlation * ratio * variance * shared
    det = a * b - c * c
    return float(-0.5 * ((b * x * x - 2.0 * c * x * y + a * y * y) / det + math.log(det)))


@njit(cache=True, nogil=True)
def _filter(moves: F64, elapsed: F64, shared: F64, season: F64, levels: F64, share: F64,
            trends: F64, volatilities: F64, speed: float, ratio: float, correlation: float,
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
                    variance = (levels[level] * season[k - 1]) ** 2
                    for state in range(3):
                        likely[state, level] = _likelihood(
                            moves[:, k],
                            elapsed[:, k],
                            shared[k],
                            (state - 1) * speed,
                            ratio,
                            variance,
                            correlation,
                            noise,
                        )
                belief = belief * np.exp(likely - likely.max())
                belief /= belief.sum()
        for state in range(3):
            chances[k, state] = belief[state].sum()
        log_level[k] = np.sum(belief.sum(axis=0) * log_levels) + math.log(season[k])
    return chances, log_level
