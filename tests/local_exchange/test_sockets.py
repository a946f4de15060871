"""The real streaming client gets every trade of its subscriptions, and sockets keep the rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import ccxt.pro
import numpy as np
import pytest

from apex_trader.market.source import MarketInfo
from apex_trader.time import DAY, HOUR, MINUTE
from tests.local_exchange import Clock, Feed, Listing, LocalExchange, SocketConfig
from tests.local_exchange.feed import FILL_OFFSET
from tests.local_exchange.frame_faults import GarbageFrame
from tests.local_exchange.samples import exact_trades, options

T = TypeVar("T")
ETH = "ethusdt@aggTrade"


def live(feed: Feed, work: Callable[[LocalExchange], Coroutine[Any, Any, T]], **given: Any) -> T:
    """Work with a live exchange whose clock stands just before the first trade."""

    async def run() -> T:
        clock = given.pop("clock", None) or Clock(feed.begin - 1, speed=0)
        async with LocalExchange(feed, clock=clock, **given) as exchange:
            return await asyncio.wait_for(work(exchange), 30)

    return asyncio.run(run())


@asynccontextmanager
async def socket(
    exchange: LocalExchange, path: str, **more: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(exchange.ws_url + path, **more) as opened,
    ):
        yield opened


async def until(true: Callable[[], object]) -> None:
    """Wait for what must come soon."""
    while not true():
        await asyncio.sleep(0.005)


async def play(exchange: LocalExchange, span: int = 3 * HOUR, step: int = 10 * MINUTE) -> None:
    """Let time pass, and every trade be sent."""
    for _ in range(0, span, step):
        exchange.clock.advance(step)
        await exchange.settle()


async def heard(opened: aiohttp.ClientWebSocketResponse, count: int) -> list[Any]:
    return [json.loads((await opened.receive(5)).data) for _ in range(count)]


@pytest.mark.parametrize("together", [False, True])
def test_ccxt_streams_every_aggregate_trade(
    feed: Feed, eth: Listing, btc: Listing, together: bool
) -> None:
    listings = {"ETH/USDT": eth, "BTC/USDT": btc}

    async def watch(speaker: Any, symbol: str) -> None:
        while True:
            await speaker.watch_trades(symbol)

    async def watch_all(speaker: Any) -> None:
        while True:
            await speaker.watch_trades_for_symbols(list(listings))

    async def work(exchange: LocalExchange) -> dict[str, list[Any]]:
        speaker = ccxt.pro.binance(options(exchange))
        watchers = [watch_all(speaker)] if together else [watch(speaker, s) for s in listings]
        tasks = [asyncio.create_task(watcher) for watcher in watchers]
        await until(lambda: len(exchange.subscribed) == 2)
        await play(exchange)
        # ccxt's cache: watching several symbols at once, it returns what one of them has, and
        # keeps what the others have until they trade again.
        got = speaker.trades
        await until(lambda: all(len(got[s]) >= len(x.trades) for s, x in listings.items()))
        for task in tasks:
            task.cancel()
        await speaker.close()
        return {symbol: list(got[symbol]) for symbol in listings}

    streamed = live(feed, work)
    for symbol, listing in listings.items():
        trades = streamed[symbol]
        assert [int(trade["id"]) for trade in trades] == listing.ids.tolist()
        np.testing.assert_array_equal([t["timestamp"] * 1000 for t in trades], listing.trades.ts)
        for name, values in (("p", listing.trades.price), ("q", listing.trades.amount)):
            np.testing.assert_array_equal([float(t["info"][name]) for t in trades], values)
        assert [{"buy": 1, "sell": -1}[t["side"]] for t in trades] == listing.trades.side.tolist()


def test_ccxt_tells_the_venues_apart(feed: Feed, eth: Listing, perpetual: Listing) -> None:
    symbols = ("ETH/USDT", "ETH/USDT:USDT")
    got: dict[str, list[str]] = {symbol: [] for symbol in symbols}

    async def watch(speaker: Any, symbol: str) -> None:
        while True:
            got[symbol] += [trade["id"] for trade in await speaker.watch_trades(symbol)]

    async def work(exchange: LocalExchange) -> None:
        speaker = ccxt.pro.binance(options(exchange))
        tasks = [asyncio.create_task(watch(speaker, symbol)) for symbol in symbols]
        await until(lambda: len(exchange.subscribed) == 2)
        assert exchange.subscribed == ["futures " + ETH, "spot " + ETH]
        await play(exchange)
        await until(lambda: sum(map(len, got.values())) == len(eth.trades) + len(perpetual.trades))
        for task in tasks:
            task.cancel()
        await speaker.close()

    live(feed, work)
    assert got["ETH/USDT:USDT"] == [str(number) for number in perpetual.ids]


def test_raw_trades_have_other_ids_than_aggregate_ones(feed: Feed, eth: Listing) -> None:
    async def work(exchange: LocalExchange) -> list[Any]:
        async with socket(exchange, "/ws/ethusdt@trade") as opened:
            await until(lambda: exchange.subscribed)
            exchange.clock.advance_to(int(eth.trades.ts[0]))
            return await heard(opened, 1)

    (trade,) = live(feed, work)
    assert (trade["e"], trade["t"]) == ("trade", eth.ids[0] + FILL_OFFSET)


def test_a_trade_that_happened_before_the_subscription_does_not_come(
    feed: Feed, eth: Listing
) -> None:
    async def work(exchange: LocalExchange) -> list[Any]:
        exchange.clock.advance_to(int(eth.trades.ts[9]))
        await exchange.settle()
        async with socket(exchange, "/ws/" + ETH) as opened:
            await until(lambda: exchange.subscribed)
            exchange.clock.advance_to(int(eth.trades.ts[10]))
            return await heard(opened, 1)

    assert [trade["a"] for trade in live(feed, work)] == [eth.ids[10]]


def test_a_trade_is_sent_when_it_is_published(feed: Feed, eth: Listing) -> None:
    published = eth.trades.ts.copy()
    published[0] += MINUTE
    late = Feed([Listing(eth.info, eth.trades, published=published)])

    async def work(exchange: LocalExchange) -> list[Any]:
        async with socket(exchange, "/ws/" + ETH) as opened:
            await until(lambda: exchange.subscribed)
            await play(exchange, 2 * MINUTE, MINUTE)
            return await heard(opened, int((published <= exchange.clock.now()).sum()))

    trades = live(late, work)
    order = np.argsort(published, kind="stable")[: len(trades)]
    assert [trade["a"] for trade in trades] == eth.ids[order].tolist()
    at = [trade["a"] for trade in trades].index(int(eth.ids[0]))
    assert trades[at]["E"] - trades[at]["T"] == MINUTE // 1000
    assert at > 0


def test_combined_streams_name_the_stream_of_each_message(feed: Feed) -> None:
    async def work(exchange: LocalExchange) -> list[Any]:
        path = f"/stream?streams={ETH}/btcusdt@aggTrade&timeUnit=MICROSECOND"
        async with socket(exchange, path) as opened:
            await until(lambda: len(exchange.subscribed) == 2)
            await play(exchange, MINUTE, MINUTE)
            return await heard(opened, exchange.counts["frames"])

    messages = live(feed, work)
    assert {message["stream"] for message in messages} == {ETH, "btcusdt@aggTrade"}
    times = [message["data"]["T"] for message in messages]
    assert times == sorted(times)
    assert times[0] >= feed.begin


def test_control_messages_are_answered(feed: Feed) -> None:
    asked = [
        {"method": "SUBSCRIBE", "params": [ETH, "ethusdt@depth"], "id": 1},
        {"method": "LIST_SUBSCRIPTIONS", "id": "two"},
        {"method": "UNSUBSCRIBE", "params": [ETH], "id": 3},
        {"method": "GET_PROPERTY", "params": ["combined"], "id": 4},
    ]

    async def work(exchange: LocalExchange) -> list[Any]:
        async with socket(exchange, "/ws") as opened:
            for message in asked:
                await opened.send_json(message)
            answers = await heard(opened, 4)
            assert exchange.subscribed == []
            await asyncio.sleep(1)
            await opened.send_str("{")
            await opened.send_json({"method": "SUBSCRIBE", "params": [], "id": 5})
            await opened.send_json({"method": "SHOUT", "params": ["x"], "id": 6})
            return answers + await heard(opened, 3)

    answers = live(feed, work)
    assert answers[:4] == [
        {"result": None, "id": 1},
        {"result": [ETH, "ethusdt@depth"], "id": "two"},
        {"result": None, "id": 3},
        {"result": False, "id": 4},
    ]
    assert [answer["error"]["code"] for answer in answers[4:]] == [3, 2, 2]


def test_who_talks_too_much_is_put_out(feed: Feed) -> None:
    async def work(exchange: LocalExchange) -> int | None:
        async with socket(exchange, "/ws") as opened:
            for number in range(6):
                await opened.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
            while not opened.closed:
                await opened.receive(5)
            return opened.close_code

    assert live(feed, work) == 1008


def test_a_ping_gets_its_pong_and_the_exchange_pings_too(feed: Feed) -> None:
    async def work(exchange: LocalExchange) -> list[aiohttp.WSMsgType]:
        async with socket(exchange, "/ws", autoping=False) as opened:
            await opened.ping(b"here")
            messages = [await opened.receive(5) for _ in range(2)]
            assert b"here" in [message.data for message in messages]
            return sorted(message.type for message in messages)

    kept = SocketConfig(ping_every=0.1)
    assert live(feed, work, sockets=kept) == [aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG]


def test_who_answers_no_ping_is_put_out(feed: Feed) -> None:
    async def work(exchange: LocalExchange) -> int | None:
        async with socket(exchange, "/ws", autoping=False) as opened:
            while not opened.closed:
                await opened.receive(5)
            return opened.close_code

    assert live(feed, work, sockets=SocketConfig(ping_every=0.05, pong_within=0.05)) == 1008


def test_a_connection_ends_after_24_hours_of_the_exchanges_time(feed: Feed) -> None:
    async def work(exchange: LocalExchange) -> int | None:
        async with socket(exchange, "/ws") as opened:
            await until(lambda: exchange.connected)
            await asyncio.sleep(0.05)
            exchange.clock.advance(DAY - 1)
            await asyncio.sleep(0.05)
            assert exchange.connected == 1
            exchange.clock.advance(1)
            await opened.receive(5)
            return opened.close_code

    assert live(feed, work) == 1001


def test_a_client_that_does_not_read_is_put_out_and_holds_nobody_up() -> None:
    async def work(exchange: LocalExchange) -> tuple[int, int]:
        reader, writer = await asyncio.open_connection(*exchange.address.split(":"))
        writer.transport.set_write_buffer_limits(0)
        writer.write(
            b"GET /stream?streams=ethusdt@aggTrade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        async with socket(exchange, "/ws/" + ETH) as opened:
            await until(lambda: exchange.connected == 2)
            exchange.clock.advance_to(exchange.feed.end)
            count = len(await heard(opened, 6_000))
            writer.close()
            return count, exchange.counts["slow client"]

    count = 6_000
    many = Listing(MarketInfo("binance:ETHUSDT"), exact_trades(9, count))
    kept = SocketConfig(backlog=100, patience=0.2)
    # More than the operating system's buffers hold.
    heavy = GarbageFrame("x" * 4000)
    faults = {"frame_faults": lambda frame: heavy if frame.connection == 0 else None}
    assert live(Feed([many]), work, sockets=kept, **faults) == (count, 1)
