"""What an order would have gained over keeping the position: a fact, not an estimate.

Our orders do not move the market, so both choices can be looked up on the path. Each is held over
the horizon, an order that is not filled is given again at the next decision, and a position that is
open at the end is valued net of the costs of leaving it, as every backtest does, so that neither
entering nor holding on is flattered. In log returns of the account, the terms of ``reward.core``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """What n orders came to.

    gain [n]: net log return of the order less that of keeping the position, over the horizon.
    known [n]: the episode lasts that long; gain is NaN where it does not. end [n]: µs at which the
    label was known (where the episode's rows ended, if it is not).
    """

    gain: F64
    known: Bool
    end: I64

    @property
    def better(self) -> Bool:
        """[n]: the order beat keeping the position; False where it is not known."""
        return self.known & (self.gain > 0.0)


def unit_cost(trading: TradingConfig) -> float:
    """Cost of one transaction as a share of the position's value, in the log account."""
    return trading.fee + trading.slippage_bps * 1e-4


def transactions(positions: I64, targets: I64) -> I64:
    """[n] how many more transactions an order needs than keeping does, both left at the end.

    2 to enter, 0 to close, 2 to flip.
    """
    more: I64 = np.abs(targets - positions) + np.abs(targets) - np.abs(positions)
    return more


def label_orders(
    path: MarketPath,
    rows: I64,
    positions: I64,
    targets: I64,
    horizon: int,
    trading: TradingConfig,
) -> Labels:
    """Labels of orders at global rows [n] from positions [n] to targets [n], each in −1, 0, 1.

    horizon: decisions, at least 1. A label reads the order's own episode alone, which ends with its
    day at the latest: it never reaches into another day, so none reaches from calibration days
    into test days. ApexError for a horizon below 1.
    """
    if horizon < 1:
        raise ApexError(f"a label needs a horizon of at least one decision, not {horizon}")
    table = path.arrays.view(np.ndarray)
    following, late = table["next_row"], _late(table)
    at, known = np.asarray(rows, np.int64).copy(), np.ones(len(rows), np.bool_)
    filled, price, paid = np.zeros(len(rows), np.bool_), np.zeros(len(rows)), np.zeros(len(rows))
    for _ in range(horizon):
        known &= following[at] >= 0
        fills = known & ~filled & np.isfinite(table["fill_price"][at])
        price[fills] = table["fill_price"][at[fills]]
        paid += np.where(known & (filled | (fills & ~late[at])), table["funding"][at], 0.0)
        filled |= fills
        at = np.where(known, following[at], at)
    charged = paid if trading.funding and trading.instrument == "perpetual" else 0.0
    earned = (targets - positions) * (table["mark"][at] - price - charged)
    costs = transactions(positions, targets) * unit_cost(trading)
    gain = trading.exposure * np.where(filled, earned - costs, 0.0)
    return Labels(np.where(known, gain, np.nan), known, table["ts"][at])


def _late(table: NDArray[np.void]) -> Bool:
    """[n]: a fill at this row comes at the next decision itself, after that step's funding."""
    later = np.maximum(table["next_row"], 0)
    return np.asarray(table["fill_ts"] >= table["ts"][later], np.bool_)
