"""The unmodified ccxt trades on the local exchange, and the money adds up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.async_support as ccxt_async
import pytest

from apex_trader.time import MINUTE
from tests.local_exchange import Clock, Feed, LocalExchange
from tests.local_exchange.faults import LostAnswer, On, Refuse, Unknown
from tests.local_exchange.samples import options
from tests.local_exchange.trading.config import Account, TradingConfig
from tests.market.samples import MONDAY

TRADER = Account(spot={"USDT": "10000", "ETH": "2"}, futures={"USDT": "10000"})
SYMBOLS = {"binance": "ETH/USDT", "binanceusdm": "ETH/USDT:USDT"}


def trade(
    feed: Feed, name: str, work: Callable[[LocalExchange, Any], Awaitable[Any]], **given: Any
) -> Any:
    async def run() -> Any:
        clock = Clock(MONDAY + 10 * MINUTE, speed=0)
        terms = TradingConfig(timestamps="host")
        async with LocalExchange(
            feed, clock=clock, accounts=[TRADER], trading=terms, **given
        ) as exchange:
            keys = {"apiKey": TRADER.key, "secret": TRADER.secret}
            client = getattr(ccxt_async, name)(options(exchange, **keys))
            try:
                answer = await asyncio.wait_for(work(exchange, client), 20)
                exchange.truth.check()
                return answer
            finally:
                await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_a_market_order_fills_with_the_trades_that_come(feed: Feed, name: str) -> None:
    async def work(exchange: LocalExchange, client: Any) -> None:
        symbol = SYMBOLS[name]
        placed = await client.create_order(
            symbol, "market", "buy", 0.5, None, {"newClientOrderId": "mine-1"}
        )
        assert placed["status"] == "open"
        exchange.clock.advance(MINUTE)
        await exchange.settle()
        order = await client.fetch_order(None, symbol, {"origClientOrderId": "mine-1"})
        assert (order["status"], order["filled"]) == ("closed", 0.5)
        fills = await client.fetch_my_trades(symbol)
        assert sum(Decimal(str(fill["amount"])) for fill in fills) == Decimal("0.5")
        assert [o.id for o in exchange.truth.named("mine-1")] == [int(order["id"])]

    trade(feed, name, work)


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_an_order_whose_answer_is_lost_was_taken_once(feed: Feed, name: str) -> None:
    async def work(exchange: LocalExchange, client: Any) -> None:
        symbol = SYMBOLS[name]
        await client.load_markets()
        exchange.follow([On(LostAnswer(), "POST", times=1)])
        order = (symbol, "market", "buy", 0.5, None, {"newClientOrderId": "mine-1"})
        with pytest.raises(ccxt.NetworkError):
            await client.create_order(*order)
        with pytest.raises(ccxt.BaseError, match=r"-4116|-2010"):
            await client.create_order(*order)
        assert len(exchange.truth.named("mine-1")) == 1
        assert [a.accepted for a in exchange.truth.arrivals] == [True, False]

    trade(feed, name, work)


def test_a_wrong_secret_and_an_unknown_key_are_refused(feed: Feed) -> None:
    async def work(exchange: LocalExchange, client: Any) -> None:
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="-1022"):
            await client.fapiPrivateV3GetAccount()
        client.apiKey = "unknown"
        with pytest.raises(ccxt.AuthenticationError, match="-2015"):
            await client.fapiPrivateV3GetAccount()

    trade(feed, "binanceusdm", work)


@pytest.mark.parametrize("executed", [False, True])
def test_an_unknown_status_is_told_by_the_truth_alone(feed: Feed, executed: bool) -> None:
    async def work(exchange: LocalExchange, client: Any) -> None:
        await client.load_markets()
        exchange.follow([On(Unknown(executed), "POST", times=1), On(Refuse(-2019), "POST")])
        with pytest.raises(ccxt.BaseError, match="-1007"):
            await client.create_order(SYMBOLS["binanceusdm"], "market", "buy", 0.5)
        with pytest.raises(ccxt.BaseError, match="-2019"):
            await client.create_order(SYMBOLS["binanceusdm"], "market", "buy", 0.5)
        assert len(exchange.truth.orders) == executed

    trade(feed, "binanceusdm", work)
