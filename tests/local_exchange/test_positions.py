"""Positions, margins, funding and liquidation on the futures venue, by the unmodified ccxt."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.local_exchange import Account
from tests.local_exchange.desk import QUIET, Desk, Row, trade

FUTURES = "binanceusdm"


def steps(*prices: float, amount: float = 50.0) -> list[Row]:
    """A trade each ten seconds."""
    return [(10.0 * k, price, amount, 0) for k, price in enumerate(prices, 1)]


async def risk(desk: Desk) -> Any:
    (found,) = await desk.client.fapiPrivateV3GetPositionRisk({"symbol": "ETHUSDT"})
    return found


def test_a_position_grows_shrinks_and_turns_and_realises_what_it_closes() -> None:
    async def work(desk: Desk) -> None:
        realised = []
        for second, side, amount in ((10, "buy", 1), (20, "buy", 1), (30, "sell", 1.5),
                                     (40, "sell", 1)):  # fmt: skip
            await desk.place(side, amount)
            # An order at a trade's very moment could still have what is left of it.
            await desk.at(second + 1)
            realised.append(desk.fills[-1].realised)
        # Bought at 2000 and 2010, sold 1.5 at 2040 and 0.5 of 1 at 2020.
        assert realised == [0, 0, Decimal("52.5"), Decimal("7.5")]
        (position,) = await desk.client.fetch_positions([desk.symbol])
        assert (position["side"], position["contracts"], position["entryPrice"]) == (
            "short", 0.5, 2020.0,
        )  # fmt: skip
        assert desk.position == Decimal("-0.5")

    trade(FUTURES, steps(2000, 2010, 2040, 2020), work)


def test_open_profit_follows_the_last_price_and_the_wallet_does_not() -> None:
    async def work(desk: Desk) -> None:
        await desk.place("sell", 2)
        await desk.at(10)
        wallet = desk.balance()
        await desk.at(20)
        found = await risk(desk)
        assert Decimal(found["unRealizedProfit"]) == 60
        assert Decimal(found["notional"]) == -2 * Decimal(1970)
        balance = await desk.client.fapiPrivateV3GetAccount()
        assert Decimal(balance["totalWalletBalance"]) == wallet == 10_000 - Decimal("2")
        assert Decimal(balance["totalMarginBalance"]) == wallet + 60

    trade(FUTURES, steps(2000, 1970), work)


def test_reduce_only_closes_at_most_the_position_and_its_rest_expires() -> None:
    async def work(desk: Desk) -> None:
        await desk.refused(-2022, desk.place("sell", 1, reduceOnly=True))
        await desk.place("buy", 0.5)
        await desk.at(10)
        await desk.refused(-2022, desk.place("buy", 0.5, reduceOnly=True))
        placed = await desk.place("sell", 2, reduceOnly=True)
        await desk.at(20)
        order = await desk.order(placed)
        assert (order["status"], order["filled"], order["reduceOnly"]) == ("expired", 0.5, True)
        assert desk.position == 0

    trade(FUTURES, QUIET, work)


def test_a_resting_reduce_only_order_expires_when_its_position_is_gone() -> None:
    async def work(desk: Desk) -> None:
        await desk.place("buy", 0.5)
        await desk.at(10)
        resting = await desk.place("sell", 0.5, 2090.0, reduceOnly=True)
        await desk.place("sell", 0.5)
        await desk.at(20)
        assert (await desk.order(resting))["status"] == "expired"

    trade(FUTURES, QUIET, work)


def test_reduce_only_needs_neither_margin_nor_the_least_value() -> None:
    async def work(desk: Desk) -> None:
        await desk.client.set_leverage(20, desk.symbol)
        await desk.place("buy", 0.99)
        await desk.at(10)
        await desk.refused(-4164, desk.place("sell", 0.001))
        await desk.place("sell", 0.001, reduceOnly=True)
        await desk.at(20)
        assert desk.position == Decimal("0.989")

    trade(FUTURES, QUIET, work, accounts=[Account(futures={"USDT": "110"})])


@pytest.mark.parametrize(("side", "rate", "paid"), [
    ("buy", 1e-4, "-0.4"), ("sell", 1e-4, "0.4"), ("buy", -2e-4, "0.8"), ("sell", -2e-4, "-0.8"),
])  # fmt: skip
def test_longs_pay_shorts_where_the_rate_is_positive(side: str, rate: float, paid: str) -> None:
    async def work(desk: Desk) -> None:
        await desk.place(side, 2)
        await desk.at(20)
        before = desk.balance()
        await desk.at(24)
        assert desk.balance() == before
        await desk.at(25)
        assert desk.balance() - before == Decimal(paid)
        (entry,) = await desk.client.fetch_funding_history(desk.symbol)
        assert (Decimal(str(entry["amount"])), entry["code"]) == (Decimal(paid), "USDT")
        rates = await desk.client.fetch_funding_rate_history(desk.symbol)
        assert rates[-1]["fundingRate"] == rate

    trade(FUTURES, QUIET, work, payments=[(25, rate)])


def test_the_mark_and_the_next_funding_are_public_and_not_the_next_rate() -> None:
    async def work(desk: Desk) -> None:
        for second, mark, rate, following in ((12, 2000, 0, 25), (27, 2010, 1e-4, 55)):
            await desk.at(second)
            found = await desk.client.fetch_funding_rate(desk.symbol)
            assert (found["markPrice"], found["fundingRate"]) == (mark, rate)
            start = desk.exchange.feed.begin // 1000
            assert found["fundingTimestamp"] == start + following * 1000
        assert desk.symbol in await desk.client.fetch_funding_rates()

    trade(FUTURES, steps(2000, 2010, 2020), work, payments=[(25, 1e-4), (55, 9e-4)])


def test_who_is_flat_pays_no_funding() -> None:
    async def work(desk: Desk) -> None:
        await desk.place("buy", 2)
        await desk.at(10)
        await desk.place("sell", 2)
        await desk.at(20)
        before = desk.balance()
        await desk.at(40)
        assert desk.balance() == before
        assert await desk.client.fetch_funding_history(desk.symbol) == []

    trade(FUTURES, [(10.0 * k, 2000.0, 3.0, 1) for k in range(1, 9)], work, payments=[(25, 1e-3)])


def test_every_change_of_the_wallet_is_income_of_a_kind() -> None:
    async def work(desk: Desk) -> None:
        await desk.place("buy", 1)
        await desk.at(16)
        await desk.place("sell", 1)
        await desk.at(25)
        found = await desk.client.fapiPrivateGetIncome({"symbol": "ETHUSDT"})
        assert [entry["incomeType"] for entry in found] == [
            "COMMISSION", "FUNDING_FEE", "REALIZED_PNL", "COMMISSION",
        ]  # fmt: skip
        total = sum((Decimal(entry["income"]) for entry in found), Decimal(0))
        assert desk.balance() == 10_000 + total
        kind = {"incomeType": "REALIZED_PNL"}
        (profit,) = await desk.client.fapiPrivateGetIncome(kind)
        assert Decimal(profit["income"]) == 30

    trade(FUTURES, steps(2000, 2030), work, payments=[(15, 1e-4)])


def test_leverage_decides_how_much_can_be_held() -> None:
    async def work(desk: Desk) -> None:
        await desk.client.set_leverage(1, desk.symbol)
        await desk.refused(-2019, desk.place("buy", 0.6))
        await desk.client.set_leverage(2, desk.symbol)
        placed = await desk.place("buy", 0.6, 1900.0)
        # Orders bind margin too: 570 of 1000 are.
        await desk.refused(-2019, desk.place("buy", 0.6, 1900.0))
        balance = await desk.client.fetch_balance()
        assert balance["USDT"]["free"] == pytest.approx(1000 - 570)
        await desk.client.cancel_order(placed["id"], desk.symbol)
        await desk.place("buy", 0.9)
        await desk.at(10)
        assert desk.position == Decimal("0.9")
        await desk.refused(-2028, desk.client.set_leverage(1, desk.symbol))
        for wanted in (0, 126):
            await desk.refused(
                -4028,
                desk.client.fapiPrivatePostLeverage({"symbol": "ETHUSDT", "leverage": wanted}),
            )

    trade(FUTURES, QUIET, work, accounts=[Account(futures={"USDT": "1000"})])


def test_margin_and_position_modes_are_cross_and_one_way() -> None:
    async def work(desk: Desk) -> None:
        await desk.refused(-4046, desk.client.fapiPrivatePostMarginType(
            {"symbol": "ETHUSDT", "marginType": "CROSSED"}))  # fmt: skip
        await desk.refused(-4059, desk.client.fapiPrivatePostPositionSideDual(
            {"dualSidePosition": "false"}))  # fmt: skip
        await desk.refused(-4061, desk.place("buy", 1, positionSide="LONG"))
        assert (await desk.client.fetch_position_mode(desk.symbol))["hedged"] is False

    trade(FUTURES, QUIET, work)


def test_a_lost_margin_ends_all_orders_and_the_position() -> None:
    rows = steps(2000, 1890, 1880, 1880)

    async def work(desk: Desk) -> None:
        await desk.client.set_leverage(50, desk.symbol)
        await desk.place("buy", 1)
        await desk.at(10)
        resting = await desk.place("sell", 0.5, 2050.0)
        found = await risk(desk)
        # balance + (p − 2000) = 0.004 · p, by hand.
        expected = (2000 - desk.balance()) / (1 - Decimal("0.004"))
        assert float(found["liquidationPrice"]) == pytest.approx(float(expected))
        await desk.at(20)
        assert (await desk.order(resting))["status"] == "canceled"
        await desk.refused(-2023, desk.place("buy", 0.1))
        await desk.at(40)
        assert desk.position == 0
        assert desk.balance() >= 0
        forced = desk.exchange.truth.orders[-1]
        assert forced.liquidation
        kinds = {entry.kind for entry in desk.exchange.truth.entries()}
        assert "INSURANCE_CLEAR" in kinds
        await desk.refused(-2011, desk.client.cancel_order(str(forced.id), desk.symbol))

    trade(FUTURES, rows, work, accounts=[Account(futures={"USDT": "110"})])


def test_accounts_know_nothing_of_each_other() -> None:
    strangers = [Account(futures={"USDT": "1000"}), Account("b", "B", futures={"USDT": "1"})]

    async def work(desk: Desk) -> None:
        await desk.place("buy", 1)
        await desk.at(10)
        desk.client.apiKey = "B"
        assert (await desk.client.fetch_balance())["USDT"]["total"] == 1
        assert await desk.client.fetch_orders(desk.symbol) == []
        assert Decimal((await risk(desk))["positionAmt"]) == 0

    trade(FUTURES, QUIET, work, accounts=strangers)
