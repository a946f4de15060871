"""Small random markets for the store's tests."""

import numpy as np

from apex_trader.market.types import Bars, Trades
from apex_trader.time import CLOCKS, HOUR

#: 2024-03-04, a Monday.
MONDAY = 1_709_510_400_000_000


def random_trades(seed: int, count: int, start: int = MONDAY, span: int = HOUR) -> Trades:
    """Trades at random times of [start, start + span), prices on a cent grid, sides known."""
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(start, start + span, count))
    price = np.round(2000 * np.exp(np.cumsum(rng.normal(0, 1e-4, count))), 2)
    side = rng.choice(np.array([-1, 1], np.int8), count)
    return Trades(ts, price, rng.integers(1, 5000, count) / 1e4, side)


def random_bars(seed: int, count: int, clock: str, start: int = MONDAY, zero: float = 0.1) -> Bars:
    """Bars without gaps; a share ``zero`` of them carries the last price with volume 0."""
    rng = np.random.default_rng(seed)
    close = np.round(2000 * np.exp(np.cumsum(rng.normal(0, 1e-3, count))), 2)
    empty = rng.random(count) < zero
    empty[0] = False
    last_real = np.maximum.accumulate(np.where(empty, 0, np.arange(count)))
    close = close[last_real]
    open_ = np.where(empty, close, np.r_[close[0], close[:-1]])
    wick = np.where(empty, 0.0, rng.integers(0, 100, count) / 100)
    volume = np.where(empty, 0.0, rng.integers(1, 10_000, count) / 1e4)
    return Bars(
        start + np.arange(count) * CLOCKS[clock], open_, np.maximum(open_, close) + wick,
        np.minimum(open_, close) - wick, close, volume, volume * 0.5,
        np.where(empty, 0.0, rng.integers(1, 50, count).astype(float)), clock=clock,
    )  # fmt: skip
