"""What the exchange refuses, and the code that it gives: filters, funds, keys, and mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local_exchange import Account
from tests.local_exchange.desk import QUIET, TRADER, Desk, trade

LIMIT = {"type": "LIMIT", "timeInForce": "GTC"}
MARKET = {"type": "MARKET"}


def limit(quantity: Any, price: Any, **more: Any) -> dict[str, Any]:
    return {**LIMIT, "quantity": quantity, "price": price, **more}


def market(quantity: Any, **more: Any) -> dict[str, Any]:
    return {**MARKET, "quantity": quantity, **more}


#: Spot: one code for filters, and their name in the message.
SPOT = [
    (limit("1", "2000.001"), -1013, "PRICE_FILTER"),
    (limit("1", "0"), -1013, "Invalid price"),
    (limit("1.0005", "2000"), -1013, "LOT_SIZE"),
    (limit("0", "2000"), -1013, "Invalid quantity"),
    (limit("9001", "2000"), -1013, "LOT_SIZE"),
    (market("901"), -1013, "MARKET_LOT_SIZE"),
    (limit("0.002", "2000"), -1013, "NOTIONAL"),
    (market("0.002"), -1013, "NOTIONAL"),
    (limit("1", "2000.000000001"), -1111, "precision"),
    (limit("6", "1990"), -2010, "insufficient balance"),
    (limit("1", "2000", side="SELLL"), -1117, "side"),
    (limit("1", "2000", type="STOP"), -1116, "orderType"),
    (limit("1", "2000", timeInForce="GTX"), -1115, "timeInForce"),
    ({"type": "LIMIT", "quantity": "1", "price": "2000"}, -1102, "timeInForce"),
    ({**LIMIT, "quantity": "1"}, -1102, "price"),
    ({**LIMIT, "price": "2000"}, -1102, "quantity"),
    (market("1", price="2000"), -1106, "price"),
    (market("1", timeInForce="GTC"), -1106, "timeInForce"),
    (market("1", quoteOrderQty="5"), -1128, "Combination"),
    (limit("one", "2000"), -1100, "quantity"),
    (limit("1", "1990", newClientOrderId="no spaces"), -1100, "newClientOrderId"),
    (limit("1", "1990", symbol="DOGEUSDT"), -1121, "symbol"),
    (limit("1", "1990", timestamp="1"), -1021, "recvWindow"),
    (limit("1", "1990", recvWindow="60001"), -1131, "recvWindow"),
]
#: Futures: each has a code of its own.
FUTURES = [
    (limit("1", "2000.001"), -1111, "Precision"),
    (limit("1", "0.00"), -4013, "min price"),
    (limit("1", "306178"), -4002, "max price"),
    (limit("1", "2100.01"), -4016, "higher than 2100"),
    (limit("1", "1899.99", side="SELL"), -4024, "lower than 1900"),
    (limit("1.0005", "2000"), -1111, "Precision"),
    (limit("0", "2000"), -4003, "zero"),
    (limit("10001", "2000"), -4005, "max quantity"),
    (market("2001"), -4005, "max quantity"),
    (limit("0.009", "2000"), -4164, "notional"),
    (limit("101", "2000"), -2019, "Margin"),
    (limit("1", "2000", side="BYE"), -1117, "side"),
    (limit("1", "2000", type="STOP"), -1116, "orderType"),
    (limit("1", "2000", timeInForce="GTD"), -1115, "timeInForce"),
    ({"type": "LIMIT", "quantity": "1", "price": "2000"}, -1102, "timeInForce"),
    (market("1", price="2000"), -1106, "price"),
    (limit("1", "1990", newClientOrderId="x" * 37), -4015, "36"),
    (limit("1", "1990", newClientOrderId="n°1"), -1100, "newClientOrderId"),
    (limit("1", "1990", positionSide="LONG"), -4061, "position side"),
    (limit("1", "1990", symbol="DOGEUSDT"), -1121, "symbol"),
    (limit("1", "1990", timestamp="99999999999999"), -1021, "ahead"),
]


@pytest.mark.parametrize(("name", "cases"), [("binance", SPOT), ("binanceusdm", FUTURES)])
def test_each_mistake_has_its_code_and_leaves_no_order(name: str, cases: list[Any]) -> None:
    async def work(desk: Desk) -> None:
        for params, code, message in cases:
            await desk.refused(code, desk.raw(**{"side": "BUY", **params}))
            assert message in desk.client.last_http_response, params
        assert desk.exchange.truth.orders == []
        arrivals = desk.exchange.truth.arrivals
        assert [arrival.code for arrival in arrivals] == [code for _, code, _ in cases]
        assert not any(arrival.accepted for arrival in arrivals)
        await desk.raw("BUY", **limit("1", "1990"))

    trade(name, QUIET, work)


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
def test_a_test_order_is_checked_and_not_placed(name: str) -> None:
    async def work(desk: Desk) -> None:
        call = desk.client.privatePostOrderTest
        if name == "binanceusdm":
            call = desk.client.fapiPrivatePostOrderTest
        assert await call({"symbol": "ETHUSDT", "side": "BUY", **limit("1", "1990")}) == {}
        code = -1013 if name == "binance" else -1111
        await desk.refused(code, call({"symbol": "ETHUSDT", "side": "BUY", **limit("1", "1.999")}))
        assert desk.exchange.truth.orders == []

    trade(name, QUIET, work)


def test_a_key_that_may_only_read_places_nothing() -> None:
    reader = Account(futures={"USDT": "1000"}, may_trade=False)

    async def work(desk: Desk) -> None:
        await desk.refused(-2015, desk.place("buy", 0.1))
        assert (await desk.client.fetch_balance())["USDT"]["total"] == 1000

    trade("binanceusdm", QUIET, work, accounts=[reader])


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
def test_too_many_orders_are_refused_with_a_time_to_wait(name: str) -> None:
    async def work(desk: Desk) -> None:
        for _ in range(3):
            await desk.place("buy", 0.1, 1990.0)
        await desk.refused(-1015, desk.place("buy", 0.1, 1990.0))
        assert int(desk.client.last_response_headers["Retry-After"]) <= 86_400
        assert len(desk.exchange.truth.orders) == 3
        # Cancelling is not limited.
        await desk.client.cancel_all_orders(desk.symbol)

    limits = {"order_limits": {"spot": (("1D", 86_400, 3),), "futures": (("1D", 86_400, 3),)}}
    trade(name, QUIET, work, terms=limits)


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
def test_an_account_has_two_hundred_open_orders_in_a_market_at_most(name: str) -> None:
    async def work(desk: Desk) -> None:
        for _ in range(200):
            await desk.raw("BUY", **limit("0.02", "1901"))
        code = -2010 if name == "binance" else -2025
        await desk.refused(code, desk.raw("BUY", **limit("0.02", "1901")))

    limits = {"order_limits": {"spot": (("1D", 86_400, 999),), "futures": (("1D", 86_400, 999),)}}
    trade(name, QUIET, work, terms=limits, accounts=[TRADER])
