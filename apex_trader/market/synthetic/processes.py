"""Latent processes that the planted markets are made of, on steps of any length."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import TimeGrid
from apex_trader.time import DAY, HOUR

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

YEAR_SECONDS = 365.25 * 86_400.0
#: Hour (UTC) at which the daily season of volatility peaks: the overlap of Europe and America.
SEASON_PEAK_HOUR = 15.0
#: The faster of the two volatility factors, as a share of the slower one's half-life.
FAST_FACTOR = 1.0 / 48.0


@njit(cache=True, nogil=True)
def _autoregression(keep: F64, shock: F64, first: float) -> F64:
    path = np.empty(len(shock) + 1)
    path[0] = first
    for k in range(len(shock)):
        path[k + 1] = keep[k] * path[k] + shock[k]
    return path


def ornstein_uhlenbeck(dt: F64, half_life: float, rng: np.random.Generator) -> F64:
    """A stationary Ornstein-Uhlenbeck process of unit variance at the edges [n + 1].

    Exact for steps ``dt`` [n] of any length (Uhlenbeck & Ornstein 1930, the transition density);
    dt and half_life in seconds.
    """
    keep = np.exp2(-dt / half_life)
    shock = np.sqrt(1.0 - keep * keep) * rng.standard_normal(len(dt))
    path: F64 = _autoregression(keep, shock, float(rng.standard_normal()))
    return path


def volatility_path(
    grid: TimeGrid,
    annual: float,
    clustering: float,
    half_life: float,
    season: float,
    rng: np.random.Generator,
) -> F64:
    """Volatility of each step [n], per √second; its mean square is that of ``annual``.

    exp of two Ornstein-Uhlenbeck factors of equal variance, slow and 48 times faster (a two-factor
    log-normal stochastic volatility, Chernov, Gallant, Ghysels & Tauchen 2003), with ``clustering``
    the standard deviation of their sum, times a daily cosine of amplitude ``season`` in logs.
    Nothing in it depends on the price, so the market's mirror image is equally likely.
    """
    dt = grid.dt
    slow = ornstein_uhlenbeck(dt, half_life, rng)[:-1]
    fast = ornstein_uhlenbeck(dt, half_life * FAST_FACTOR, rng)[:-1]
    hour = (grid.edges[:-1] % DAY) / HOUR
    cosine = season * np.cos((hour - SEASON_PEAK_HOUR) * (2.0 * math.pi / 24.0))
    level = clustering * math.sqrt(0.5) * (slow + fast) + cosine
    # E exp(2·N(0, c²)) = exp(2c²); the mean of exp(2·a·cos) over a day is I0(2a)
    excess = math.exp(clustering * clustering) * math.sqrt(float(np.i0(2.0 * season)))
    scale = annual / math.sqrt(YEAR_SECONDS) / excess
    path: F64 = scale * np.exp(level)
    return path


def random_walks(sigma: F64, dt: F64, correlation: float, rng: np.random.Generator) -> F64:
    """Two correlated martingales [2, n + 1] from 0; sigma [2, n] per √second, dt [n] seconds."""
    first, second = rng.standard_normal((2, len(dt)))
    mixed = correlation * second + math.sqrt(1.0 - correlation * correlation) * first
    steps = sigma * np.sqrt(dt) * np.stack([mixed, second])
    return np.concatenate([np.zeros((2, 1)), np.cumsum(steps, axis=1)], axis=1)


def markov_chain(seconds: F64, duration: float, states: int, rng: np.random.Generator) -> I64:
    """State at each time [n + 1] of a continuous-time chain over 0..states-1.

    It stays ``duration`` seconds in the mean and leaves to any of the others alike, so every state
    is equally likely at any time. ``seconds`` [n + 1] ascend from 0.
    """
    expected = seconds[-1] / duration
    holds = int(expected + 10.0 * math.sqrt(expected) + 20)
    switches = np.cumsum(rng.exponential(duration, holds))
    jumps = rng.integers(1, states, holds)
    visited = (np.concatenate([rng.integers(0, states, 1), jumps])).cumsum() % states
    state: I64 = visited[np.searchsorted(switches, seconds, side="right")]
    return state
