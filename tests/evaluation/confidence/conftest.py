"""A market whose next moves are partly told, and agents that know how much of it they like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from apex_trader.evaluation.backtest import path_of
from apex_trader.evaluation.confidence.features import OrderFeatures
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath
from tests.evaluation.conftest import segment

SIGMA = 2e-4  # of the segments' decisions
HORIZON = 10
#: The reward's scale that the agent below values actions in.
SCALE = 1_000.0


@dataclass
class Knowing:
    """A greedy agent with a forecast of the log return over the horizon, row by row.

    Values net of costs, as a learned Q is: Q(target) − Q(keep) is what it expects of the order.
    """

    forecast: NDArray[np.float64]
    trading: TradingConfig
    name: str = "agent"

    def values(self, rows, accounts):  # type: ignore[no-untyped-def]
        positions = np.round(accounts[:, 0]).astype(np.int64)
        actions = Actions.of(self.trading)
        wanted = actions.wanted[positions + 1].astype(np.int64)
        cost = self.trading.fee + self.trading.slippage_bps * 1e-4
        moves = np.abs(wanted - positions[:, None]) + np.abs(wanted)
        q = wanted * self.forecast[rows, None] - moves * cost
        return (SCALE * self.trading.exposure * q).astype(np.float32)

    def act(self, rows, accounts, positions):  # type: ignore[no-untyped-def]
        return self.values(rows, accounts).argmax(1).astype(np.uint8)


def told_market(
    seed: int, days: int, edge: float, rows: int = 240
) -> tuple[MarketPath, NDArray[np.float64], NDArray[np.float64]]:
    """(path, forecast [n], probability [n] that the log return over the horizon is above 0).

    A drift that is constant for 20 decisions moves the price by ``edge`` · σ√10 · z over the
    horizon of 10, z normal, beside noise of σ 2e-4 a decision. The forecast is what the drift does
    in the rest of its stretch; the next one is independent. With edge 0, a martingale, the
    forecast is that of a drift of edge 1 which is not there.
    """
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, SIGMA, (days, rows))
    z = np.repeat(rng.normal(0.0, 1.0, (days, rows // 20)), 20, axis=1)
    unit = SIGMA / np.sqrt(HORIZON)
    steps = edge * unit * z + noise  # a step leads from its row to the next
    mark = 7.0 + np.cumsum(np.concatenate([np.zeros((days, 1)), steps[:, :-1]], axis=1), axis=1)
    left = np.minimum(20 - np.arange(rows) % 20, HORIZON)
    told = unit * z * left
    unknown = np.sqrt(HORIZON * SIGMA**2 + (edge * unit * (HORIZON - left)) ** 2)
    path = path_of([segment(m, m.copy(), day) for day, m in enumerate(mark)])
    return path, ((edge or 1.0) * told).ravel(), norm.cdf(edge * told / unknown).ravel()


def features_of(trading: TradingConfig) -> OrderFeatures:
    """How decisions of the agent above become features."""
    return OrderFeatures(Actions.of(trading), trading, SCALE, HORIZON)
