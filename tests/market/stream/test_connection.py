"""A socket through ccxt: frames that cannot be read are survived, a lost one is replaced."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.market.exchange.client import streaming
from apex_trader.market.stream.backoff import Backoff
from apex_trader.market.stream.connection import (
    Arrived,
    Connection,
    Event,
    Lost,
    Ponged,
    Subscribed,
)
from apex_trader.time import SECOND
from tests.local_exchange import Clock, LocalExchange
from tests.market.samples import MONDAY
from tests.market.stream.simulated import BTC, ETH, SimulatedClock, configured, listed
from tests.market.stream.tapes import tape

RUBBISH = [
    "not json at all",
    '{"e":"aggTrade","E":17230',
    '{"e":"aggTrade"}',
    '{"e":"aggTrade","s":"ETHUSDT","a":"x","p":null,"q":"1","T":1,"m":true}',
    "[]",
    "[1, 2]",
    "17",
    "null",
    '{"e":"nobody knows this"}',
    "",
]


async def with_connection(
    work: Callable[[LocalExchange, Connection, Callable[[], list[Event]]], Awaitable[None]],
    symbols: dict[str, str] | None = None,
) -> None:
    trades = {ETH: tape(1, 4000, rate=20.0), BTC: tape(2, 4000, rate=20.0)}
    clock = Clock(MONDAY + SECOND, speed=1)
    async with LocalExchange(listed(trades), clock=clock) as exchange:
        client = streaming(configured(exchange))
        try:
            await client.load_markets()
            connection = Connection(
                client, symbols or {ETH: "ETH/USDT", BTC: "BTC/USDT"}, SimulatedClock(clock),
                Backoff(0.01, 0.05, np.random.default_rng(0)), lambda: None,
            )  # fmt: skip
            running = asyncio.create_task(connection.run())
            seen: list[Event] = []

            def events() -> list[Event]:
                if running.done():
                    running.result()
                seen.extend(connection.take())
                return seen

            try:
                await work(exchange, connection, events)
            finally:
                running.cancel()
                await asyncio.wait([running])
        finally:
            await client.close()


async def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def of(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_frames_that_cannot_be_read_are_counted_and_the_trades_go_on() -> None:
    async def work(
        exchange: LocalExchange, connection: Connection, events: Callable[[], list[Event]]
    ) -> None:
        await until(lambda: of(events(), Arrived))
        for text in RUBBISH:
            exchange.say(text)
            seen = len(of(events(), Arrived))
            await until(lambda seen=seen: len(of(events(), Arrived)) > seen + 2)
        # Some are no error to ccxt, and one is a trade that is none.
        assert connection.garbage >= 3
        assert not of(events(), Lost)
        told = [e.trade["info"]["a"] for e in of(events(), Arrived) if e.market == ETH]
        ids = [number for number in told if number != "x"]
        assert ids == list(range(ids[0], ids[0] + len(ids)))

    asyncio.run(with_connection(work))


def test_a_lost_socket_is_replaced_and_the_order_of_events_tells_what_was_heard_where() -> None:
    async def work(
        exchange: LocalExchange, connection: Connection, events: Callable[[], list[Event]]
    ) -> None:
        for number, end in enumerate((exchange.disconnect, exchange.goodbye), 1):
            await until(lambda n=number: len(of(events(), Subscribed)) == n)
            seen = len(of(events(), Arrived))
            await until(lambda s=seen: len(of(events(), Arrived)) > s)
            end()
            await until(lambda n=number: len(of(events(), Lost)) == n)
        await until(lambda: len(of(events(), Subscribed)) == 3)
        order = [type(e) for e in events() if not isinstance(e, Arrived)]
        assert order == [Subscribed, Lost, Subscribed, Lost, Subscribed]
        assert connection.disconnects == 2
        assert connection.live

    asyncio.run(with_connection(work))


def test_a_pong_tells_when_its_ping_was_sent() -> None:
    async def work(
        exchange: LocalExchange, connection: Connection, events: Callable[[], list[Event]]
    ) -> None:
        await until(lambda: connection.live)
        before = exchange.clock.now()
        await connection.ping(1.0)
        await until(lambda: of(events(), Ponged))
        assert before <= of(events(), Ponged)[0].sent <= exchange.clock.now()

    asyncio.run(with_connection(work))


def test_a_socket_that_was_given_up_is_replaced_at_once() -> None:
    async def work(
        exchange: LocalExchange, connection: Connection, events: Callable[[], list[Event]]
    ) -> None:
        await until(lambda: connection.live)
        exchange.half_close()
        connection.replace("nothing is heard")
        await until(lambda: len(of(events(), Subscribed)) == 2)
        assert of(events(), Lost)[0].reason == "nothing is heard"

    asyncio.run(with_connection(work))


def test_a_market_that_the_exchange_does_not_stream_is_refused_for_good() -> None:
    async def work(
        exchange: LocalExchange, connection: Connection, events: Callable[[], list[Event]]
    ) -> None:
        with pytest.raises(ApexError, match="does not stream"):
            await until(lambda: events() is None)

    asyncio.run(with_connection(work, {ETH: "DOGE/USDT"}))
