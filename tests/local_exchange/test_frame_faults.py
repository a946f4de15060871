"""What happens to trades on sockets when it is asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import aiohttp
import ccxt
import ccxt.pro
import numpy as np
import pytest

from apex_trader.market.source import MarketInfo
from apex_trader.time import HOUR
from tests.local_exchange import Clock, Feed, Listing, LocalExchange
from tests.local_exchange.faults import Fault, Random
from tests.local_exchange.frame_faults import (
    Disconnect,
    Duplicate,
    GarbageFrame,
    Goodbye,
    HalfClose,
    Late,
    Missing,
    Reorder,
)
from tests.local_exchange.samples import exact_trades, options

T = TypeVar("T")
COUNT = 40


@pytest.fixture(scope="module")
def small() -> Feed:
    return Feed([Listing(MarketInfo("binance:ETHUSDT"), exact_trades(1, COUNT))])


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.005)


def streamed(
    feed: Feed, faults: Any, work: Callable[[LocalExchange, Any], Coroutine[Any, Any, T]]
) -> T:
    """Work with an exchange and one socket that listens to its only market."""

    async def run() -> T:
        clock = Clock(feed.begin - 1, speed=0)
        async with (
            LocalExchange(feed, frame_faults=faults, clock=clock) as exchange,
            aiohttp.ClientSession() as session,
            session.ws_connect(exchange.ws_url + "/ws/ethusdt@aggTrade") as opened,
        ):
            await until(lambda: exchange.subscribed)
            return await asyncio.wait_for(work(exchange, opened), 30)

    return asyncio.run(run())


async def step(exchange: LocalExchange) -> None:
    """Publish the trades one by one."""
    for time in exchange.feed.all()[0].trades.ts.tolist():
        exchange.clock.advance_to(time)
        await exchange.settle()
    await asyncio.sleep(0)


async def ids(exchange: LocalExchange, opened: Any, count: int) -> list[Any]:
    """What the client hears: aggregate ids, or the raw text where it is no message."""
    await step(exchange)
    heard: list[Any] = []
    while len(heard) < count:
        message = await opened.receive(5)
        if message.type is not aiohttp.WSMsgType.TEXT:
            return [*heard, message.type]
        try:
            heard.append(json.loads(message.data)["a"])
        except ValueError:
            heard.append(message.data)
    return heard


EVERY = list(range(1, COUNT + 1))


def test_without_faults_every_trade_comes_once(small: Feed) -> None:
    assert streamed(small, None, lambda e, s: ids(e, s, COUNT)) == EVERY


def test_duplicates_come_again_at_once(small: Feed) -> None:
    got = streamed(small, {2: Duplicate(2)}, lambda e, s: ids(e, s, COUNT + 2))
    assert got == [1, 2, 3, 3, 3, *EVERY[3:]]


def test_a_missing_trade_never_comes(small: Feed) -> None:
    got = streamed(small, {4: Missing()}, lambda e, s: ids(e, s, COUNT - 1))
    assert got == EVERY[:4] + EVERY[5:]


def test_a_reordered_trade_comes_behind_later_ones(small: Feed) -> None:
    faults = {10: Reorder(behind=3, within=HOUR)}
    got = streamed(small, faults, lambda e, s: ids(e, s, COUNT))
    assert got == [*EVERY[:10], 12, 13, 14, 11, *EVERY[14:]]


def test_a_reordered_trade_is_not_held_back_for_ever(small: Feed) -> None:
    async def work(exchange: LocalExchange, opened: Any) -> Any:
        await step(exchange)
        exchange.clock.advance(5_000_000)
        return (await ids(exchange, opened, COUNT))[-1]

    assert streamed(small, {COUNT - 1: Reorder(behind=5, within=5_000_000)}, work) == COUNT


def test_a_late_trade_comes_when_its_time_has_come(small: Feed) -> None:
    times = small.all()[0].trades.ts
    faults = {10: Late(int(times[20] - times[10]))}
    got = streamed(small, faults, lambda e, s: ids(e, s, COUNT))
    assert got == [*EVERY[:10], *EVERY[11:20], 11, *EVERY[20:]]


def test_held_trades_keep_their_places_when_much_time_passes_at_once(small: Feed) -> None:
    times = small.all()[0].trades.ts

    async def work(exchange: LocalExchange, opened: Any) -> list[Any]:
        exchange.clock.advance_to(exchange.feed.end)
        return await ids(exchange, opened, COUNT)

    faults = {10: Late(int(times[20] - times[10])), 30: Reorder(behind=2, within=HOUR)}
    got = streamed(small, faults, work)
    assert got == [*EVERY[:10], *EVERY[11:20], 11, *EVERY[20:30], 32, 33, 31, *EVERY[33:]]


def test_garbage_comes_beside_the_trades(small: Feed) -> None:
    got = streamed(small, {0: GarbageFrame("{oops")}, lambda e, s: ids(e, s, COUNT + 1))
    assert got == ["{oops", *EVERY]


def test_a_disconnected_client_hears_what_came_before(small: Feed) -> None:
    async def work(exchange: LocalExchange, opened: Any) -> Any:
        heard = await ids(exchange, opened, COUNT)
        return heard, exchange.connected, exchange.counts["disconnect"]

    heard, connected, counted = streamed(small, {5: Disconnect()}, work)
    assert set(heard[:-1]) <= {1, 2, 3, 4, 5}
    assert heard[-1] in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert (connected, counted) == (0, 1)


def test_a_goodbye_is_a_closing_handshake(small: Feed) -> None:
    async def work(exchange: LocalExchange, opened: Any) -> Any:
        return await ids(exchange, opened, COUNT), opened.close_code

    heard, code = streamed(small, {5: Goodbye(1001)}, work)
    assert (heard[:5], code) == ([1, 2, 3, 4, 5], 1001)


def test_a_half_closed_connection_is_silent_and_stays(small: Feed) -> None:
    async def work(exchange: LocalExchange, opened: Any) -> Any:
        heard = await ids(exchange, opened, 3)
        await opened.ping()
        with pytest.raises(asyncio.TimeoutError):
            await opened.receive(0.3)
        return heard, opened.closed, opened._response.connection.transport.is_closing()

    assert streamed(small, {3: HalfClose()}, work) == ([1, 2, 3], False, False)


def test_everybody_can_be_disconnected_or_silenced_at_once(small: Feed) -> None:
    async def work(exchange: LocalExchange, opened: Any) -> Any:
        exchange.say("hello")
        first = (await opened.receive(5)).data
        ended = exchange.disconnect("futures"), exchange.goodbye(code=1012)
        await opened.receive(5)
        return first, ended, opened.close_code, exchange.counts["goodbye"]

    assert streamed(small, None, work) == ("hello", (0, 1), 1012, 1)


def test_ccxt_notices_a_half_closed_connection_by_its_missing_pongs(small: Feed) -> None:
    async def run() -> None:
        clock = Clock(small.begin - 1, speed=0)
        async with LocalExchange(small, clock=clock) as exchange:
            speaker = ccxt.pro.binance(options(exchange))
            speaker.streaming = {"keepAlive": 100}
            watching = asyncio.create_task(speaker.watch_trades("ETH/USDT"))
            await until(lambda: exchange.subscribed)
            exchange.half_close()
            with pytest.raises(ccxt.RequestTimeout):
                await asyncio.wait_for(watching, 20)
            await speaker.close()

    asyncio.run(run())


def test_a_stormy_connection_still_gets_most_trades_and_everything_is_counted() -> None:
    count = 3000
    feed = Feed([Listing(MarketInfo("binance:ETHUSDT"), exact_trades(5, count))])
    rates: dict[Fault, float] = {
        Disconnect(): 0.01, Duplicate(): 0.02, Missing(): 0.02, Reorder(): 0.02,
        GarbageFrame(): 0.01,
    }  # fmt: skip
    heard: list[int] = []

    async def listen(exchange: LocalExchange) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.ws_connect(exchange.ws_url + "/ws/ethusdt@aggTrade") as opened:
                    async for message in opened:
                        try:
                            heard.append(json.loads(message.data)["a"])
                        except ValueError:
                            continue

    async def run() -> LocalExchange:
        clock = Clock(feed.begin - 1, speed=0)
        script: Random[Fault] = Random(np.random.default_rng(1), rates)
        async with LocalExchange(feed, clock=clock, frame_faults=script) as exchange:
            listener = asyncio.create_task(listen(exchange))
            for time in feed.all()[0].trades.ts[::10].tolist():
                await until(lambda: exchange.subscribed)
                exchange.clock.advance_to(time)
                await exchange.settle()
            listener.cancel()
            return exchange

    counts = asyncio.run(run()).counts
    assert counts["disconnect"] >= 20
    assert counts["connections"] >= counts["disconnect"]
    assert min(counts[name] for name in ("duplicate", "missing", "reorder", "garbageframe")) >= 10
    assert counts["frames"] >= len(heard)
    assert len(set(heard)) > count / 2
