"""A feed that listens to the local exchange in simulated time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.kinds import concatenate
from apex_trader.market.seconds import concatenate_seconds
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.batch import LiveSeconds
from apex_trader.market.stream.config import StreamConfig
from apex_trader.market.stream.feed import TradeFeed
from apex_trader.market.types import I64, Seconds, Trades
from apex_trader.time import SECOND
from tests.local_exchange import Clock, Feed, Listing, LocalExchange

ETH, BTC = "binance:ETHUSDT", "binance:BTCUSDT"
#: Simulated seconds are real milliseconds: what waits for real time takes long in simulated time.
PATIENT = StreamConfig(
    watermark=1.5, reorder=0.5, patience=3e6, ping=0, stall=3e5, backoff=1.0, backoff_limit=20.0,
    skew=600.0, save=300.0,
)  # fmt: skip


class SimulatedClock:
    """The exchange's clock in the place of the machine's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        return self._clock.now()

    async def sleep(self, seconds: float) -> None:
        await self._clock.until(self._clock.now() + round(seconds * SECOND))


def listed(trades: Mapping[str, Trades], published: Mapping[str, I64] | None = None) -> Feed:
    return Feed(
        [Listing(MarketInfo(m), trades=t, published=(published or {}).get(m))
         for m, t in trades.items()]
    )  # fmt: skip


def configured(exchange: LocalExchange, name: str = "binance") -> ExchangeConfig:
    return ExchangeConfig(
        name, url=exchange.rest_url, ws_url=exchange.ws_url, backoff=0.05, backoff_limit=0.5
    )


def feed_of(
    exchange: LocalExchange, markets: list[str], *, store: MarketStore | None = None,
    since: int | None = None, stream: StreamConfig = PATIENT, seed: int = 0,
) -> TradeFeed:  # fmt: skip
    exchanges = dict.fromkeys(market.partition(":")[0] for market in markets)
    return TradeFeed(
        [configured(exchange, name) for name in exchanges], markets, store=store, since=since,
        stream=stream, clock=SimulatedClock(exchange.clock),
        generator=np.random.default_rng(seed),
    )  # fmt: skip


@dataclass
class Heard:
    """Everything that a feed handed on."""

    batches: list[LiveSeconds] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)

    def seconds(self, market: str) -> Seconds:
        return concatenate_seconds([batch.seconds[market] for batch in self.batches])

    def trades(self, market: str) -> Trades:
        out = concatenate("trades", [batch.trades[market] for batch in self.batches])
        assert isinstance(out, Trades)
        return out

    def count(self, name: str) -> int:
        return int(self.metrics[f"stream/{name}"])


@contextlib.asynccontextmanager
async def moving(
    exchange: LocalExchange, step: float = 0.25,
    events: Mapping[int, Callable[[], object]] | None = None,
) -> AsyncIterator[None]:  # fmt: skip
    """The exchange's time moves on, as fast as it can tell everything in time.

    step: simulated seconds a move. events: what happens at which time (µs).
    """
    todo = sorted((events or {}).items())

    async def move() -> None:
        while True:
            now = exchange.clock.advance(round(step * SECOND))
            while todo and todo[0][0] <= now:
                todo.pop(0)[1]()
            await exchange.settle()
            for _ in range(3):
                await asyncio.sleep(0)

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def listen(feed: TradeFeed, until: int, timeout: float = 240.0) -> Heard:
    """Iterate an open feed until it has closed everything before ``until``; batches follow on."""
    heard = Heard()

    async def iterate() -> None:
        async for batch in feed:
            assert not heard.batches or batch.start == heard.batches[-1].until
            heard.batches.append(batch)
            if batch.until >= until:
                return

    try:
        await asyncio.wait_for(iterate(), timeout)
    finally:
        heard.metrics = feed.metrics()
    return heard


async def hear(
    exchange: LocalExchange, feed: TradeFeed, until: int, step: float = 0.25,
    events: Mapping[int, Callable[[], object]] | None = None,
) -> tuple[Heard, int]:  # fmt: skip
    """Open a feed, listen until ``until``, close it: what it handed on, and where it began."""
    async with feed, moving(exchange, step, events):
        return await listen(feed, until), feed.start
