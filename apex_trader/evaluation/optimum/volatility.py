"""The planted markets' hidden volatility as a Markov chain of a few levels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.optimum.autoregression import rouwenhorst
from apex_trader.market.synthetic.planted import per_second
from apex_trader.market.synthetic.processes import FAST_FACTOR, SEASON_PEAK_HOUR
from apex_trader.time import DAY, HOUR

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Levels of each of the two factors.
_LEVELS = 3
#: Nodes of the average over levels and the time of day.
_NODES, _HOURS = 7, 12
#: How far a grid of volatilities reaches beyond, in logs: it has a width where nothing changes.
_MARGIN = 0.05


@dataclass(frozen=True)
class Volatility:
    """Law of the random walk's volatility per √second: two log-normal factors and a daily season.

    scale: the volatility where all of them are 0. See ``market.synthetic.processes``.
    """

    scale: float
    clustering: float
    half_life: float
    season: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Volatility:
        """Of a planted market's parameters: ETH's walk."""
        clustering, season = parameters["clustering"], parameters["season"]
        excess = math.exp(clustering * clustering) * math.sqrt(float(np.i0(2.0 * season)))
        scale = per_second(parameters["volatility"]) / excess
        return cls(scale, clustering, parameters["clustering_half_life"], season)

    def levels(self) -> tuple[F64, F64]:
        """(volatility [L] of each level without the season, its share of time [L])."""
        grid, table = rouwenhorst(0.0, _LEVELS)
        both = (grid[:, None] + grid[None, :]).ravel()
        share = (table[0][:, None] * table[0][None, :]).ravel()
        level: F64 = self.clustering * math.sqrt(0.5) * both
        return self.scale * np.exp(level), share

    def transition(self, seconds: float) -> F64:
        """[L, L] chances of the levels after some seconds."""
        slow, fast = (
            rouwenhorst(math.pow(2.0, -seconds / half_life), _LEVELS)[1]
            for half_life in (self.half_life, self.half_life * FAST_FACTOR)
        )
        return np.asarray(np.kron(slow, fast), np.float64)

    def seasonal(self, ts: I64) -> F64:
        """[n] factor of the time of day, µs."""
        hour = (ts % DAY) / HOUR
        angle = (hour - SEASON_PEAK_HOUR) * (2.0 * math.pi / 24.0)
        factor: F64 = np.exp(self.season * np.cos(angle))
        return factor

    def spread(self) -> tuple[F64, F64]:
        """(volatilities [m], share of time [m] of each): what a mean over days runs over."""
        nodes, weight = np.polynomial.hermite_e.hermegauss(_NODES)
        hours = self.seasonal(np.arange(_HOURS, dtype=np.int64) * (DAY // _HOURS))
        values = self.scale * np.multiply.outer(np.exp(self.clustering * nodes), hours)
        share = np.multiply.outer(weight / weight.sum(), np.full(_HOURS, 1.0 / _HOURS))
        return values.ravel(), share.ravel()

    def grid(self, points: int) -> F64:
        """Volatilities [points], evenly in logs, that hold nearly all that occurs."""
        values, _ = self.spread()
        low, high = np.log(values.min()) - _MARGIN, np.log(values.max()) + _MARGIN
        return np.asarray(np.exp(np.linspace(low, high, points)), np.float64)
