"""Small random tapes of numbered trades, and ways in which a connection may spoil them."""

import numpy as np

from apex_trader.market.types import Trades
from apex_trader.time import SECOND
from tests.market.samples import MONDAY


def tape(
    seed: int, count: int, *, first: int = 1000, start: int = MONDAY, rate: float = 5.0
) -> Trades:
    """Trades with consecutive ids, about ``rate`` a second, on whole milliseconds, many at once."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(SECOND / rate, count) * rng.integers(0, 2, count)
    ts = start + (np.cumsum(gaps) // 1000 * 1000).astype(np.int64)
    price = np.round(2000 * np.exp(np.cumsum(rng.normal(0, 1e-4, count))), 2)
    side = rng.choice(np.array([-1, 1], np.int8), count)
    amount = rng.integers(1, 5000, count) / 1e4
    return Trades(ts, price, amount, side, first + np.arange(count))


def same(a: Trades, b: Trades) -> bool:
    """Whether both are the same trades in the same order."""
    names = ["ts", "price", "amount", "side"] + (["id"] if a.id is not None else [])
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)
