"""What confidence is computed from: the advantage in units of the noise, the costs, the volatility.

All of it is known at the decision and even: in the market turned upside down, with mirrored values
and positions, an order has the same features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.confidence.labels import transactions, unit_cost
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Columns of a feature matrix. All are per unit of position changed, over the horizon's σ:
#: the advantage, the costs that the order has more than keeping; and ln σ of a decision.
COLUMNS = ("edge", "cost", "volatility")
EDGE, COST, VOLATILITY = range(3)
#: Least σ of a decision that is divided by; a dead market has no noise to measure an edge in.
_LEAST_SIGMA = 1e-8


@dataclass(frozen=True)
class OrderFeatures:
    """How decisions become features.

    horizon: decisions. scale: reward of a log return of 1, the unit of Q (``reward.scale``).
    """

    actions: Actions
    trading: TradingConfig
    scale: float
    horizon: int

    def of(self, q: NDArray[np.float32], positions: I64, chosen: I64, sigma: F64) -> F64:
        """[k, 3] features of k decisions; the rows that order nothing are 0.

        q [k, A] action values; positions [k] held, −1, 0, 1; chosen [k] actions; sigma [k] σ over
        one decision (log units). edge = (Q(chosen) − Q(keep)) / (scale · exposure · units · σ√H),
        with units = |target − position|; cost = costs / (units · σ√H).
        """
        targets = self.targets(positions, chosen)
        units = np.maximum(np.abs(targets - positions), 1)
        noise = np.maximum(np.asarray(sigma, np.float64), _LEAST_SIGMA)
        over = units * noise * np.sqrt(self.horizon)
        out = np.empty((len(positions), len(COLUMNS)))
        out[:, EDGE] = self._advantage(q, positions, chosen) / (over * self._unit)
        out[:, COST] = transactions(positions, targets) * unit_cost(self.trading) / over
        out[:, VOLATILITY] = np.log(noise)
        out[targets == positions] = 0.0
        return out

    def targets(self, positions: I64, chosen: I64) -> I64:
        """[k] the position that each action asks for."""
        return self.actions.wanted[positions + 1, chosen].astype(np.int64)

    @property
    def _unit(self) -> float:
        return self.scale * self.trading.exposure

    def _advantage(self, q: NDArray[np.float32], positions: I64, chosen: I64) -> F64:
        """[k] value of the chosen action less the best that keeps the position.

        Where every action trades (sell_buy when flat), less the best of the others.
        """
        lanes = np.arange(len(positions))
        values = np.asarray(q, np.float64)
        keeps = self.actions.wanted[positions + 1] == positions[:, None]
        keeps[~keeps.any(1)] = True
        keeps[lanes, chosen] = False
        best = np.where(keeps, values, -np.inf).max(1)
        return np.where(np.isfinite(best), values[lanes, chosen] - best, 0.0)


def adds_risk(positions: I64, targets: I64) -> Bool:
    """[k]: the order opens a position, or flips to the other side; closing is none."""
    adds: Bool = (targets != 0) & (targets != positions)
    return adds
