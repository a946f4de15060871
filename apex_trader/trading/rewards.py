"""The stored terms of the reward.

They are built on log returns and on products of two quantities that both change sign when the
market is turned upside down, so the stored reward is even. Potentials are never stored:
``potentials``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.time import SECOND
from apex_trader.trading.config import RewardConfig

F64 = NDArray[np.float64]

#: The stored terms, in the order of ``Step.terms``.
TERMS = ("core", "frequency", "risk", "duration", "pivot")
CORE, FREQUENCY, RISK, DURATION, PIVOT = range(len(TERMS))
FIRST_LEVEL = 2


class Weights(NamedTuple):
    """A ``RewardConfig`` as the kernels read it: every weight times the scale."""

    core: float
    frequency: float
    choppy_factor: float
    risk: float
    duration: float
    duration_edges: F64
    duration_factors: F64
    pivot_levels: F64

    @classmethod
    def of(cls, config: RewardConfig) -> Weights:
        """The weights of a configuration; duration edges in seconds."""
        return cls(
            core=config.scale * config.core,
            frequency=config.scale * config.frequency,
            choppy_factor=config.choppy_factor,
            risk=config.scale * config.risk,
            duration=config.scale * config.duration,
            duration_edges=np.array(config.duration_edges, np.float64) / SECOND,
            duration_factors=np.array(config.duration_factors, np.float64),
            pivot_levels=config.scale * config.pivot_bonus * np.array(config.pivot_level_weights),
        )


@njit(cache=True, nogil=True)
def frequency_term(rate: float, choppiness: float, choppy_factor: float) -> float:
    """−(trade rate above its allowance)² · (1 + choppy_factor · choppiness).

    rate: decayed trade rate over its allowance, capped as the feature is, so that the state tells
    all that the term depends on. choppiness 0…1: how much the regime punishes trading.
    """
    excess = max(0.0, rate - 1.0)
    return -excess * excess * (1.0 + choppy_factor * choppiness)


@njit(cache=True, nogil=True)
def differential_sharpe(core: float, mean: float, square: float, floor: float) -> float:
    """How much one return moves the decayed Sharpe ratio (Moody & Saffell 1998, section 3).

    D = (B·ΔA − A·ΔB/2) / (B − A²)^{3/2}, with A, B the decayed first and second moment before the
    step, ΔA = core − A, ΔB = core² − B: the derivative with respect to the decay rate, so the term
    does not shrink with a longer half-life. floor: least standard deviation, without which the
    first return after a flat stretch would count without bound.
    """
    variance = max(square - mean * mean, floor * floor)
    if variance <= 0.0:
        return 0.0
    square = variance + mean * mean
    first, second = core - mean, core * core - square
    return (square * first - 0.5 * mean * second) / (variance * math.sqrt(variance))


@njit(cache=True, nogil=True)
def duration_shape(seconds: float, edges: F64, factors: F64) -> float:
    """factor of the holding time − 1, at a closing trade: below 0 punishes, above 0 rewards.

    seconds: how long the position had been held. factors[b] belongs to edges[b−1] ≤ seconds <
    edges[b].
    """
    band = 0
    while band < len(edges) and seconds >= edges[band]:
        band += 1
    return float(factors[band] - 1.0)


@njit(cache=True, nogil=True)
def pivot_bonus(position: int, kind: int, level: int, levels: F64) -> float:
    """levels[level − 2] when the position stood on the pivot's right side, else 0.

    position: −1, 0, 1, held when the pivot's bar closed. kind: +1 high (right: short), −1 low
    (right: long). Paid when the pivot is confirmed, never before.
    """
    return float(levels[level - FIRST_LEVEL]) if position * kind < 0 else 0.0
