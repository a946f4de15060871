"""Exact small markets, and the options that point a ccxt client at a local exchange."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from apex_trader.market.types import Bars, Trades
from apex_trader.time import CLOCKS, HOUR
from tests.local_exchange import LocalExchange
from tests.market.samples import MONDAY, random_trades

FIRST_ID = 3_187_655


def exact_trades(seed: int, count: int, start: int = MONDAY, span: int = 2 * HOUR) -> Trades:
    """Trades at whole milliseconds, as the exchange reports them before 2025."""
    trades = random_trades(seed, count, start, span)
    return replace(trades, ts=trades.ts // 1000 * 1000)


def exact_bars(seed: int, count: int, clock: str, start: int = MONDAY) -> Bars:
    """Bars whose every value has few decimals, as the exchange's text has."""
    rng = np.random.default_rng(seed)
    low = rng.integers(199_000, 200_000, count)
    high = low + rng.integers(0, 500, count)
    at = rng.random((2, count))
    open_, close = (low + (high - low) * at).astype(np.int64)
    volume = rng.integers(1, 10**7, count)
    return Bars(
        start + np.arange(count) * CLOCKS[clock], open_ / 100, high / 100, low / 100, close / 100,
        volume / 10**4, (volume // 2) / 10**4, rng.integers(1, 500, count).astype(np.float64),
        clock,
    )  # fmt: skip


def options(exchange: LocalExchange, **more: Any) -> dict[str, Any]:
    """A ccxt client's options: the addresses, and aggregate trades on sockets."""
    aggregate = {"name": "aggTrade"}
    names = {"watchTrades": aggregate, "watchTradesForSymbols": aggregate, "tradesLimit": 10_000}
    return {
        "urls": exchange.ccxt_urls(), "enableRateLimit": False, "timeout": 3000, "options": names,
        "newUpdates": True, **more,
    }  # fmt: skip
