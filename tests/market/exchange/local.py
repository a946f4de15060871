"""A small market on the local exchange, and how to speak with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from apex_trader.market.exchange.client import rest
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.pages import Pages, UnifiedPages, pages
from apex_trader.market.exchange.requests import Requests
from apex_trader.market.exchange.retry import Retry
from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Funding, Trades
from apex_trader.time import DAY, HOUR
from tests.local_exchange import Feed, Listing, LocalExchange
from tests.market.samples import MONDAY, random_trades

T = TypeVar("T")


def numbered_trades(seed: int, count: int, start: int = MONDAY, span: int = DAY) -> Trades:
    """Trades in whole milliseconds, many of them equal, with consecutive aggregate ids."""
    trades = random_trades(seed, count, start, span)
    ts = trades.ts // 1000 * 1000
    # Sweeps: whole runs of trades share one millisecond.
    swept = np.random.default_rng(seed).random(count) < 0.6
    swept[0] = False
    last = np.maximum.accumulate(np.where(swept, 0, np.arange(count)))
    return replace(trades, ts=ts[last], id=np.arange(5000, 5000 + count, dtype=np.int64))


def listing(market: str, trades: Trades) -> Listing:
    """The market with bars made of its trades and, for futures, funding every eight hours."""
    days = np.arange(trades.ts[0] // DAY * DAY, trades.ts[-1], 8 * HOUR)
    funding = Funding(days, np.round(np.sin(days / DAY) / 1000, 8))
    return Listing(MarketInfo(market, tick_size=0.01, lot_size=0.0001), trades, funding=funding)


def feed(seed: int = 0, count: int = 4000, days: int = 1, start: int = MONDAY) -> Feed:
    """ETHUSDT on spot and as a perpetual, BTCUSDT on spot."""
    markets = ("binance:ETHUSDT", "binance:BTCUSDT", "binanceusdm:ETHUSDT")
    return Feed(
        listing(market, numbered_trades(seed + k, count, start, days * DAY))
        for k, market in enumerate(markets)
    )


def config(exchange: LocalExchange, name: str = "binance", **changes: Any) -> ExchangeConfig:
    """How to reach the local exchange, without patience."""
    given = {"timeout": 20.0, "retries": 6, "backoff": 0.001, "backoff_limit": 0.01, **changes}
    return ExchangeConfig(
        name, url=exchange.rest_url, ws_url=exchange.ws_url, archive_url=exchange.archive_url,
        **given,
    )  # fmt: skip


@asynccontextmanager
async def asking(exchange: LocalExchange, name: str = "binance", *, unified: bool = False,
                 strict: bool = False, **changes: Any) -> AsyncIterator[
    tuple[Requests, Pages]
]:  # fmt: skip
    """Requests to the local exchange without a rate limiter's pauses.

    unified: as an exchange is asked of which only ccxt's unified endpoints are known. strict:
    rows that cannot be an answer are refused.
    """
    settings = config(exchange, name, **changes)
    client = rest(settings, microseconds=not unified)
    client.enableRateLimit = False
    try:
        requests = Requests(client, settings, Retry(settings, np.random.default_rng(0)))
        yield (
            requests,
            (UnifiedPages(requests, strict=strict) if unified else pages(requests, strict=strict)),
        )
    finally:
        await client.close()


def with_exchange(work: Callable[[LocalExchange], Awaitable[T]], given: Feed, **options: Any) -> T:
    """What ``work`` makes of an open local exchange."""

    async def run() -> T:
        async with LocalExchange(given, **options) as exchange:
            return await work(exchange)

    return asyncio.run(run())
