"""Small planted markets that several tests read."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.fills import order_fills
from apex_trader.market.synthetic import SyntheticMarket, generate
from apex_trader.time import SECOND

ETH, BTC = "synthetic:ETHUSDT", "synthetic:BTCUSDT"
SMALL = {"history_days": 3, "minute_days": 2}


@functools.cache
def market(name: str, seed: int = 1, **parameters: float | str) -> dict[str, SyntheticMarket]:
    """The planted market with a short history."""
    return generate(name, seed, **{**SMALL, "days": 1, **parameters})


def seen(made: SyntheticMarket, grid: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log price of the last second closed by each time of a grid of seconds."""
    assert made.seconds is not None
    row = np.searchsorted(made.seconds.ts, grid, side="left") - 1
    return np.log(made.seconds.close[np.maximum(row, 0)])


def net_profit(
    made: SyntheticMarket,
    decisions: NDArray[np.int64],
    signal: NDArray[np.float64],
    threshold: float,
    fee: float = 2e-4,
) -> float:
    """Log return of a policy that turns with a signal beyond the threshold, after fees.

    Orders fill at the first trade a second or more after the decision.
    """
    assert made.trades is not None
    fill, _ = order_fills(decisions, made.trades, SECOND, 3 * SECOND)
    wanted = np.where(signal > threshold, 1, np.where(signal < -threshold, -1, 0))
    turns = np.flatnonzero((wanted != 0) & ~np.isnan(fill))
    turns = turns[np.r_[True, wanted[turns][1:] != wanted[turns][:-1]]]
    position, price = wanted[turns], fill[turns]
    gross = float(np.sum(position[:-1] * np.diff(price)))
    return gross - fee * (2 * len(turns) - 1)


def autocorrelation(values: NDArray[np.float64], lag: int) -> float:
    """Correlation of a series with itself, ``lag`` rows later."""
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])
