"""How orders of the unmodified ccxt are filled, in part and in whole, cancelled, and ended."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.local_exchange.desk import QUIET, SYMBOLS, Desk, trade

VENUES = list(SYMBOLS)
both = pytest.mark.parametrize("name", VENUES)
#: Someone else sells at 1990, in three parts.
DIP = [(10, 1990.0, 0.2, -1), (20, 1989.0, 0.3, -1), (30, 1988.0, 5.0, -1), (40, 2000.0, 1.0, 1)]


def parts(desk: Desk, placed: Any) -> list[tuple[float, float, bool]]:
    """(price, quantity, maker) of an order's fills."""
    return [(float(f.price), float(f.quantity), f.maker) for f in desk.true(placed).fills]


@both
def test_a_resting_order_has_what_trades_bring_at_its_own_price(name: str) -> None:
    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", 1.0, 1990.0)
        for second, filled, status in ((9, 0, "open"), (10, 0.2, "open"), (20, 0.5, "open"),
                                       (30, 1.0, "closed")):  # fmt: skip
            await desk.at(second)
            order = await desk.order(placed)
            assert (order["filled"], order["status"]) == (filled, status)
        assert parts(desk, placed) == [(1990, 0.2, True), (1990, 0.3, True), (1990, 0.5, True)]

    trade(name, DIP, work)


@both
def test_an_order_beyond_the_market_takes_at_better_prices_then_rests(name: str) -> None:
    rows = [(10, 2001.0, 0.2, 1), (20, 2006.0, 1.0, 1), (30, 2004.0, 0.4, -1), (40, 2004.0, 9, 1)]

    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", 1.0, 2005.0)
        await desk.at(40)
        assert parts(desk, placed) == [(2001, 0.2, False), (2005, 0.4, True), (2005, 0.4, True)]

    trade(name, rows, work)


@both
def test_a_market_order_takes_what_comes_and_its_rest_expires(name: str) -> None:
    rows = [(10, 2001.0, 0.2, 1), (20, 1999.0, 0.3, -1), (50, 2000.0, 9.0, 1)]

    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", 1.0)
        await desk.at(45)
        order = await desk.order(placed)
        assert (order["status"], order["filled"]) == ("expired", 0.5)
        assert order["average"] == pytest.approx((2001 * 0.2 + 1999 * 0.3) / 0.5)
        await desk.at(60)
        assert len(desk.fills) == 2

    trade(name, rows, work)


@both
def test_a_taker_pays_more_than_a_maker(name: str) -> None:
    async def work(desk: Desk) -> None:
        maker = await desk.place("buy", 0.1, 1990.0)
        await desk.at(10)
        # The other half of that trade, at its very moment.
        taker = await desk.place("buy", 0.1)
        fees = [desk.true(placed).fills[0].fee for placed in (maker, taker)]
        share = (Decimal("0.1"), Decimal("0.1"))
        if name == "binance":
            # Out of the coins received.
            assert fees == [share[0] * Decimal("0.001"), share[1] * Decimal("0.001")]
        else:
            assert fees == [Decimal("199") * Decimal("0.0002"), Decimal("199") * Decimal("5E-4")]

    trade(name, DIP, work)


@both
def test_one_trade_of_the_market_fills_orders_by_price_then_time_and_no_more_than_it_has(
    name: str,
) -> None:
    async def work(desk: Desk) -> None:
        late = await desk.place("buy", 0.4, 1995.0)
        later = await desk.place("buy", 0.4, 1995.0)
        first = await desk.place("buy", 0.3, 1996.0)
        await desk.at(10)
        filled = [desk.true(placed).filled for placed in (first, late, later)]
        assert filled == [Decimal("0.3"), Decimal("0.4"), Decimal("0.3")]

    trade(name, [(10, 1994.0, 1.0, -1)], work)


@both
@pytest.mark.parametrize(("amount", "filled"), [(0.4, 0.4), (0.6, 0.5)])
def test_immediate_or_cancel_takes_what_is_there_and_expires(
    name: str, amount: float, filled: float
) -> None:
    rows = [(1.5, 2000.0, 0.5, 1), (3, 2000.0, 5.0, 1)]

    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", amount, 2000.0, timeInForce="IOC")
        await desk.at(10)
        order = await desk.order(placed)
        status = "closed" if filled == amount else "expired"
        assert (order["status"], order["filled"]) == (status, filled)

    trade(name, rows, work)


@both
@pytest.mark.parametrize(("amount", "filled"), [(0.7, 0.7), (0.9, 0)])
def test_fill_or_kill_has_all_or_nothing(name: str, amount: float, filled: float) -> None:
    rows = [(1.2, 2000.0, 0.5, 1), (1.5, 2000.0, 0.3, 1), (3, 2000.0, 5.0, 1)]

    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", amount, 2000.0, timeInForce="FOK")
        await desk.at(10)
        order = await desk.order(placed)
        status = "closed" if filled else "expired"
        assert (order["status"], order["filled"]) == (status, filled)

    trade(name, rows, work)


@both
def test_post_only_rests_or_is_refused(name: str) -> None:
    async def work(desk: Desk) -> None:
        code = -2010 if name == "binance" else -5022
        await desk.refused(code, desk.place("buy", 1.0, 2000.0, postOnly=True))
        placed = await desk.place("buy", 1.0, 1990.0, postOnly=True)
        await desk.at(30)
        assert all(maker for _, _, maker in parts(desk, placed))
        assert len(desk.exchange.truth.orders) == 1

    trade(name, DIP, work)


@both
def test_a_cancelled_order_keeps_its_fills_and_gets_no_more(name: str) -> None:
    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", 1.0, 1990.0, newClientOrderId="mine-1")
        await desk.at(10)
        params = {"origClientOrderId": "mine-1"}
        canceled = await desk.client.cancel_order(None, desk.symbol, params)
        assert (canceled["id"], canceled["status"]) == (placed["id"], "canceled")
        await desk.at(40)
        order = await desk.order(placed)
        assert (order["status"], order["filled"]) == ("canceled", 0.2)
        await desk.refused(-2011, desk.client.cancel_order(placed["id"], desk.symbol))

    trade(name, DIP, work)


@both
def test_what_is_over_or_unknown_cannot_be_cancelled_or_found(name: str) -> None:
    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", 0.1)
        await desk.at(10)
        await desk.refused(-2011, desk.client.cancel_order(placed["id"], desk.symbol))
        await desk.refused(-2011, desk.client.cancel_order("77", desk.symbol))
        await desk.refused(-2013, desk.client.fetch_order("77", desk.symbol))

    trade(name, DIP, work)


@both
def test_all_open_orders_are_listed_and_cancelled_together(name: str) -> None:
    async def work(desk: Desk) -> None:
        placed = [await desk.place("buy", 0.1, 1900.0 + k) for k in range(3)]
        done = await desk.place("buy", 0.1)
        await desk.at(10)
        listed = await desk.client.fetch_open_orders(desk.symbol)
        assert [order["id"] for order in listed] == [order["id"] for order in placed]
        await desk.client.cancel_all_orders(desk.symbol)
        assert await desk.client.fetch_open_orders(desk.symbol) == []
        every = await desk.client.fetch_orders(desk.symbol)
        assert {order["id"] for order in every} == {o["id"] for o in [*placed, done]}
        assert [order["status"] for order in every] == ["canceled"] * 3 + ["closed"]
        if name == "binance":
            await desk.refused(-2011, desk.client.cancel_all_orders(desk.symbol))
        else:
            await desk.client.cancel_all_orders(desk.symbol)

    trade(name, QUIET, work)


@both
def test_fills_are_found_by_order_from_an_id_on_and_since_a_time(name: str) -> None:
    async def work(desk: Desk) -> None:
        first = await desk.place("buy", 0.7, 1990.0)
        await desk.at(35)
        await desk.place("buy", 0.1)
        await desk.at(45)
        fetch = desk.client.fetch_my_trades
        found = await fetch(desk.symbol)
        assert [t["amount"] for t in found] == [0.2, 0.3, 0.2, 0.1]
        of_order = await fetch(desk.symbol, None, None, {"orderId": first["id"]})
        assert of_order == found[:3]
        assert await fetch(desk.symbol, None, None, {"fromId": found[2]["id"]}) == found[2:]
        assert await fetch(desk.symbol, found[1]["timestamp"]) == found[1:]
        assert await fetch(desk.symbol, found[0]["timestamp"], 2) == found[:2]

    trade(name, DIP, work)


def test_a_spot_market_order_by_value_spends_no_more_than_that() -> None:
    async def work(desk: Desk) -> None:
        placed = await desk.client.create_market_buy_order_with_cost(desk.symbol, 1000)
        await desk.at(30)
        order = await desk.order(placed)
        assert order["status"] == "closed"
        # 0.2 at 1990, 0.3 at 1989, and whole lots for the rest.
        assert order["filled"] == 0.502
        assert order["cost"] == pytest.approx(0.2 * 1990 + 0.3 * 1989 + 0.002 * 1988)
        assert 1000 - order["cost"] < 0.001 * 1988 + 1e-9

    trade("binance", DIP, work)


@both
def test_the_answer_to_a_market_order_waits_for_its_end_while_time_passes(name: str) -> None:
    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", 0.5, newOrderRespType="RESULT")
        assert (placed["status"], placed["filled"]) == ("closed", 0.5)
        assert placed["average"] == 2000

    trade(name, QUIET, work, speed=50, terms={"answer_within": 10.0})


@both
def test_a_client_id_is_free_again_once_its_order_is_over(name: str) -> None:
    """So a client must not send an order again without asking what became of it."""

    async def work(desk: Desk) -> None:
        await desk.place("buy", 0.1, 1900.0, newClientOrderId="mine-1")
        code = -2010 if name == "binance" else -4116
        await desk.refused(code, desk.place("buy", 0.1, newClientOrderId="mine-1"))
        await desk.client.cancel_all_orders(desk.symbol)
        await desk.place("buy", 0.1, newClientOrderId="mine-1")
        await desk.at(20)
        await desk.place("buy", 0.1, newClientOrderId="mine-1")
        assert len(desk.exchange.truth.named("mine-1")) == 3

    trade(name, QUIET, work)


def test_orders_that_come_at_once_are_all_taken() -> None:
    async def work(desk: Desk) -> None:
        placed = await asyncio.gather(
            *(desk.place("buy", 0.1, 1900.0 + k, newClientOrderId=f"n-{k}") for k in range(20))
        )
        assert len({order["id"] for order in placed}) == 20

    trade("binanceusdm", QUIET, work)
