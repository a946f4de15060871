"""The unmodified streaming client hears what becomes of its orders, trades, money and positions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest

from apex_trader.time import HOUR, MINUTE
from tests.local_exchange.desk import OTHER, QUIET, SYMBOLS, TRADER, Desk, client_of, trade, until
from tests.local_exchange.frame_faults import Disconnect, Duplicate, Late, Missing, OnFrame, Reorder

VENUES = list(SYMBOLS)
FUTURES = "binanceusdm"
#: Someone else sells at 1990, in three parts.
DIP = [(10, 1990.0, 0.2, -1), (20, 1989.0, 0.3, -1), (30, 1988.0, 5.0, -1), (40, 2000.0, 1.0, 1)]


@asynccontextmanager
async def heard(desk: Desk, account: str = "trader") -> AsyncIterator[list[dict[str, Any]]]:
    """The raw events of the private stream by which the venue's own clients listen."""
    path, venue = "/api/v3/userDataStream", "spot"
    if desk.name == FUTURES:
        path, venue = "/fapi/v1/listenKey", "futures"
    key = (TRADER if account == "trader" else OTHER).key
    async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": key}) as session:
        async with session.post(desk.exchange.rest_url + path) as answer:
            name = (await answer.json())["listenKey"]
        async with session.ws_connect(f"{desk.exchange.ws_url}/ws/{name}") as opened:
            await until(lambda: f"{venue} {account}" in desk.exchange.listening)
            events: list[dict[str, Any]] = []

            async def listen() -> None:
                async for message in opened:
                    events.append(json.loads(message.data))

            task = asyncio.create_task(listen())
            yield events
            task.cancel()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["e"] for event in events]


class Watch:
    """All that one of ccxt's watch methods gives, from before anything happens on."""

    def __init__(self, method: Any, *given: Any) -> None:
        self.got: list[Any] = []
        self._task = asyncio.create_task(self._run(method, given))

    async def _run(self, method: Any, given: tuple[Any, ...]) -> None:
        while True:
            news = await method(*given)
            self.got += [dict(item) for item in news] if isinstance(news, list) else [dict(news)]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def watching(desk: Desk, *methods: str) -> list[Watch]:
    """ccxt watches, and the exchange knows it."""
    watches = [Watch(getattr(desk.client, name)) for name in methods]
    await until(lambda: f"{desk.venue} trader" in desk.exchange.listening)
    # The watchers wait for their first news.
    await asyncio.sleep(0.05)
    return watches


@pytest.mark.parametrize("name", VENUES)
def test_every_step_of_an_order_is_heard(name: str) -> None:
    async def work(desk: Desk) -> None:
        (orders,) = await watching(desk, "watch_orders")
        placed = await desk.place("buy", 1.0, 1990.0, newClientOrderId="mine-1")
        for second, count in ((10, 2), (20, 3), (30, 4)):
            await until(lambda count=count: len(orders.got) >= count - 1)
            await desk.at(second)
            await until(lambda count=count: len(orders.got) >= count)
        assert [(o["status"], o["filled"]) for o in orders.got] == [
            ("open", 0), ("open", 0.2), ("open", 0.5), ("closed", 1.0),
        ]  # fmt: skip
        assert {o["id"] for o in orders.got} == {placed["id"]}
        assert {o["clientOrderId"] for o in orders.got} == {"mine-1"}
        assert {o["symbol"] for o in orders.got} == {desk.symbol}
        assert orders.got[-1]["remaining"] == 0
        await orders.stop()

    trade(name, DIP, work)


@pytest.mark.parametrize("name", VENUES)
def test_every_fill_is_heard_as_the_exchange_knows_it(name: str) -> None:
    async def work(desk: Desk) -> None:
        (trades,) = await watching(desk, "watch_my_trades")
        placed = await desk.place("buy", 1.0, 1990.0)
        for second, count in ((10, 1), (20, 2), (30, 3)):
            await desk.at(second)
            await until(lambda count=count: len(trades.got) >= count)
        told = [
            (t["id"], t["order"], t["side"], t["price"], t["amount"], t["fee"]["cost"],
             t["fee"]["currency"], t["takerOrMaker"], t["timestamp"])
            for t in trades.got
        ]  # fmt: skip
        assert told == [
            (str(f.id), placed["id"], "buy", float(f.price), float(f.quantity), float(f.fee),
             f.fee_asset, "maker", f.time // 1000)
            for f in desk.fills
        ]  # fmt: skip
        await trades.stop()

    trade(name, DIP, work)


@pytest.mark.parametrize("name", VENUES)
def test_a_fill_changes_the_balance_that_is_heard(name: str) -> None:
    async def work(desk: Desk) -> None:
        (balances,) = await watching(desk, "watch_balance")
        await desk.place("buy", 0.5)
        await desk.at(30)

        def told() -> bool:
            return bool(balances.got) and Decimal(str(balances.got[-1]["USDT"]["total"])) == (
                desk.balance()
            )

        await until(told)
        if name != FUTURES:
            assert Decimal(str(balances.got[-1]["ETH"]["total"])) == desk.balance("ETH")
            assert desk.balance("ETH") > 5
        await balances.stop()

    trade(name, DIP, work)


def test_a_spot_order_locks_funds_until_it_is_cancelled() -> None:
    async def work(desk: Desk) -> None:
        (balances,) = await watching(desk, "watch_balance")
        placed = await desk.place("buy", 1.0, 1990.0)
        await until(lambda: balances.got)
        assert (balances.got[-1]["USDT"]["free"], balances.got[-1]["USDT"]["used"]) == (8010, 1990)
        await desk.client.cancel_order(placed["id"], desk.symbol)
        await until(lambda: len(balances.got) == 2)
        assert (balances.got[-1]["USDT"]["free"], balances.got[-1]["USDT"]["used"]) == (10_000, 0)
        await balances.stop()

    trade("binance", QUIET, work)


def test_positions_are_heard_as_they_open_grow_turn_and_close() -> None:
    async def work(desk: Desk) -> None:
        (positions,) = await watching(desk, "watch_positions")
        sizes = []
        for second, (side, amount) in enumerate(
            [("buy", 0.5), ("buy", 0.3), ("sell", 1.2), ("buy", 0.4)], 1
        ):
            count = len(positions.got)
            await desk.place(side, amount)
            await desk.at(second * 10)
            await until(lambda count=count: len(positions.got) > count)
            last = positions.got[-1]
            assert (last["symbol"], last["marginMode"]) == (desk.symbol, "cross")
            sizes.append((last["side"], last["contracts"]))
        assert sizes[:3] == [("long", 0.5), ("long", 0.8), ("short", 0.4)]
        assert sizes[3][1] == 0
        await positions.stop()

    trade(FUTURES, [(10.0 * k, 2000.0, 5.0, 1) for k in range(1, 9)], work)


def test_nobody_has_to_ask_for_a_fill_to_be_heard() -> None:
    async def work(desk: Desk) -> None:
        (orders,) = await watching(desk, "watch_orders")
        await desk.place("buy", 0.5)
        # Time passes by itself; nothing is asked any more.
        await until(lambda: orders.got and orders.got[-1]["status"] == "closed")
        await orders.stop()

    trade(FUTURES, QUIET, work, speed=20, terms={"answer_within": 0.0})


@pytest.mark.parametrize("name", VENUES)
def test_nobody_hears_of_anothers_orders(name: str) -> None:
    async def work(desk: Desk) -> None:
        async with heard(desk, "other") as others, heard(desk) as mine:
            await desk.place("buy", 0.5)
            await desk.at(30)
            await until(lambda: len(mine) >= 3)
            assert others == []
            stranger = client_of(desk.exchange, name, OTHER)
            try:
                await stranger.create_order(desk.symbol, "market", "buy", 0.5)
            finally:
                await stranger.close()
            await until(lambda: others)
            await desk.at(60)
            known = {o.id: o.account for o in desk.exchange.truth.orders}
            numbers = [e["o"]["i"] if e["e"] == "ORDER_TRADE_UPDATE" else e.get("i") for e in mine]
            assert {known[number] for number in numbers if number} == {"trader"}

    trade(name, QUIET, work, accounts=[TRADER, OTHER])


@pytest.mark.parametrize("name", VENUES)
def test_a_cancelled_and_an_expired_order_are_heard(name: str) -> None:
    event = "executionReport" if name == "binance" else "ORDER_TRADE_UPDATE"

    def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
        reports = [e if name == "binance" else e["o"] for e in events if e["e"] == event]
        return [(report["x"], report["X"]) for report in reports]

    async def work(desk: Desk) -> None:
        async with heard(desk) as events:
            placed = await desk.place("buy", 1.0, 1900.0, newClientOrderId="mine-1")
            await desk.client.cancel_order(placed["id"], desk.symbol)
            await desk.place("buy", 1.0, 1900.0, timeInForce="IOC")
            await desk.at(30)
            await until(lambda: len(told(events)) == 4)
            assert told(events) == [
                ("NEW", "NEW"), ("CANCELED", "CANCELED"), ("NEW", "NEW"), ("EXPIRED", "EXPIRED"),
            ]  # fmt: skip
            if name == "binance":
                canceled = next(e for e in events if e.get("x") == "CANCELED")
                assert (canceled["C"], canceled["c"] != "mine-1") == ("mine-1", True)

    trade(name, QUIET, work)


def test_funding_is_heard_as_a_change_of_the_wallet_without_positions() -> None:
    async def work(desk: Desk) -> None:
        async with heard(desk) as events:
            await desk.place("buy", 1.0)
            await desk.at(10)
            before = desk.balance()
            await desk.at(100)
            await until(lambda: any(e.get("a", {}).get("m") == "FUNDING_FEE" for e in events))
            (update,) = [e["a"] for e in events if e.get("a", {}).get("m") == "FUNDING_FEE"]
            # Rate 0.0001 on one ETH at 2000.
            assert update["B"] == [
                {"a": "USDT", "wb": f"{before - Decimal('0.2'):.8f}",
                 "cw": f"{before - Decimal('0.2'):.8f}", "bc": "-0.20000000"}
            ]  # fmt: skip
            assert update["P"] == []
            assert desk.balance() == before - Decimal("0.2")

    trade(FUTURES, QUIET, work, payments=[(95, 1e-4)])


def test_another_leverage_is_heard() -> None:
    async def work(desk: Desk) -> None:
        async with heard(desk) as events:
            await desk.client.set_leverage(5, desk.symbol)
            await until(lambda: events)
            assert kinds(events) == ["ACCOUNT_CONFIG_UPDATE"]
            assert events[0]["ac"] == {"s": "ETHUSDT", "l": 5}
            await desk.client.set_leverage(5, desk.symbol)
            await desk.place("buy", 1.0, 1900.0)
            await until(lambda: len(events) > 1)
            assert kinds(events) == ["ACCOUNT_CONFIG_UPDATE", "ORDER_TRADE_UPDATE"]

    trade(FUTURES, QUIET, work)


def test_a_liquidation_is_heard_by_its_names() -> None:
    async def work(desk: Desk) -> None:
        async with heard(desk) as events:
            await desk.client.set_leverage(100, desk.symbol)
            await desk.place("buy", 1.0)
            await desk.at(30)
            await until(lambda: any(e.get("a", {}).get("m") == "INSURANCE_CLEAR" for e in events))
            await desk.at(50)
            await until(lambda: desk.position == 0)
            reports = [e["o"] for e in events if e["e"] == "ORDER_TRADE_UPDATE"]
            forced = [r for r in reports if r["c"].startswith("autoclose-")]
            assert [r["x"] for r in forced] == ["NEW", "CALCULATED"]
            assert {r["o"] for r in forced} == {"LIQUIDATION"}

    poor = [TRADER.__class__(futures={"USDT": "100"})]
    rows = [(10, 2000.0, 5.0, 1), (20, 1880.0, 5.0, -1), (30, 1880.0, 5.0, -1), (40, 1880, 5, -1)]
    trade(FUTURES, rows, work, accounts=poor)


# -- listen keys ----------------------------------------------------------------------------------


def test_an_account_has_one_listen_key_while_it_is_renewed() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.client.fapiPrivatePostListenKey()
        desk.exchange.clock.advance(40 * MINUTE)
        assert await desk.client.fapiPrivatePutListenKey() == first
        desk.exchange.clock.advance(40 * MINUTE)
        assert await desk.client.fapiPrivatePostListenKey() == first
        desk.exchange.clock.advance(HOUR)
        await desk.refused(-1125, desk.client.fapiPrivatePutListenKey())
        await desk.refused(-1125, desk.client.fapiPrivateDeleteListenKey())
        assert await desk.client.fapiPrivatePostListenKey() != first

    trade(FUTURES, QUIET, work)


@pytest.mark.parametrize("name", VENUES)
def test_a_stream_whose_key_expires_says_so_and_is_silent_from_then_on(name: str) -> None:
    async def work(desk: Desk) -> None:
        async with heard(desk) as events:
            desk.exchange.clock.advance(HOUR)
            await until(lambda: events)
            await desk.place("buy", 1.0, 1900.0)
            await desk.exchange.settle()
            assert kinds(events) == ["listenKeyExpired"]
            assert desk.exchange.listening == []
            assert desk.exchange.connected == 1

    trade(name, QUIET, work)


def test_a_closed_stream_is_silent() -> None:
    async def work(desk: Desk) -> None:
        async with heard(desk) as events:
            await desk.client.fapiPrivateDeleteListenKey()
            await desk.place("buy", 1.0, 1900.0)
            await desk.exchange.settle()
            assert events == []
            await desk.refused(-1125, desk.client.fapiPrivatePutListenKey())

    trade(FUTURES, QUIET, work)


def test_a_spot_listen_key_is_renewed_and_ended_by_its_text() -> None:
    async def work(desk: Desk) -> None:
        key = await desk.client.publicPostUserDataStream()
        assert await desk.client.publicPutUserDataStream(key) == {}
        for text in ("nobodys", ""):
            with pytest.raises(ccxt.BaseError, match=r"-1125|-1102"):
                await desk.client.publicPutUserDataStream({"listenKey": text})
        assert await desk.client.publicDeleteUserDataStream(key) == {}
        await desk.refused(-1125, desk.client.publicPutUserDataStream(key))

    trade("binance", QUIET, work)


@pytest.mark.parametrize("key", ["", "nobodys"])
def test_a_listen_key_wants_an_api_key(key: str) -> None:
    async def work(desk: Desk) -> None:
        url = desk.exchange.rest_url + "/fapi/v1/listenKey"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, headers={"X-MBX-APIKEY": key}) as answer,
        ):
            assert answer.status == 401
            assert (await answer.json())["code"] == (-2015 if key else -2014)

    trade(FUTURES, QUIET, work)


def test_an_unknown_listen_key_opens_a_silent_connection() -> None:
    async def work(desk: Desk) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(desk.exchange.ws_url + "/private/ws?listenKey=nobodys") as opened,
        ):
            await desk.place("buy", 1.0, 1900.0)
            await desk.exchange.settle()
            assert desk.exchange.listening == []
            with pytest.raises(TimeoutError):
                await opened.receive(0.1)

    trade(FUTURES, QUIET, work)


def test_ccxt_learns_of_an_expired_key_when_it_renews_it_and_watches_again() -> None:
    async def work(desk: Desk) -> None:
        waiting = asyncio.create_task(desk.client.watch_orders())
        await until(lambda: desk.exchange.listening)
        desk.exchange.clock.advance(HOUR)
        await until(lambda: not desk.exchange.listening)
        await desk.client.keep_alive_listen_key({"type": "future", "subType": "linear"})
        with pytest.raises(ccxt.BaseError, match="-1125"):
            await waiting
        again = asyncio.create_task(desk.client.watch_orders())
        await until(lambda: desk.exchange.listening)
        placed = await desk.place("buy", 1.0, 1900.0)
        assert [order["id"] for order in await again] == [placed["id"]]

    trade(FUTURES, QUIET, work)


def test_a_combined_stream_names_the_key_and_private_addresses_hear_nothing_else() -> None:
    async def work(desk: Desk) -> None:
        key = (await desk.client.fapiPrivatePostListenKey())["listenKey"]
        base = desk.exchange.ws_url
        async with aiohttp.ClientSession() as session:
            combined = await session.ws_connect(f"{base}/private/stream?streams={key}")
            market = await session.ws_connect(f"{base}/market/ws/{key}")
            await until(lambda: desk.exchange.connected == 2)
            await desk.place("buy", 1.0, 1900.0)
            message = json.loads((await combined.receive(5)).data)
            assert (message["stream"], message["data"]["e"]) == (key, "ORDER_TRADE_UPDATE")
            with pytest.raises(TimeoutError):
                await market.receive(0.1)

    trade(FUTURES, QUIET, work)


# -- the spot venue's websocket API ---------------------------------------------------------------


@asynccontextmanager
async def api(desk: Desk) -> AsyncIterator[Any]:
    """Ask the websocket API, and get what it says next."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(desk.exchange.ws_url + "/ws-api/v3") as opened,
    ):

        async def ask(method: str, params: dict[str, Any] | None = None) -> Any:
            await opened.send_json({"id": method, "method": method, "params": params or {}})
            return json.loads((await opened.receive(5)).data)

        ask.receive = opened.receive  # type: ignore[attr-defined]
        yield ask


def test_a_subscription_by_signature_is_numbered_and_can_be_given_up() -> None:
    async def work(desk: Desk) -> None:
        subscribe, end = "userDataStream.subscribe.signature", "userDataStream.unsubscribe"
        async with api(desk) as ask:
            signed = desk.client.sign_params({})
            assert (await ask(subscribe, signed))["result"] == {"subscriptionId": 0}
            assert (await ask(subscribe, signed))["error"]["code"] == -2035
            assert (await ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}]
            await desk.place("buy", 1.0, 1900.0)
            message = json.loads((await ask.receive(5)).data)
            assert (message["subscriptionId"], message["event"]["e"]) == (0, "executionReport")
            assert json.loads((await ask.receive(5)).data)["event"]["e"] == (
                "outboundAccountPosition"
            )
            assert (await ask(end, {"subscriptionId": 0}))["status"] == 200
            last = json.loads((await ask.receive(5)).data)
            assert (last["subscriptionId"], last["event"]["e"]) == (0, "eventStreamTerminated")
            assert (await ask(end))["error"]["code"] == -2036
            assert desk.exchange.listening == []

    trade("binance", QUIET, work)


def test_a_wrong_signature_subscribes_to_nothing() -> None:
    async def work(desk: Desk) -> None:
        async with api(desk) as ask:
            signed = {**desk.client.sign_params({}), "signature": "0" * 64}
            answer = await ask("userDataStream.subscribe.signature", signed)
            assert (answer["status"], answer["error"]["code"]) == (400, -1022)
            unknown = {**signed, "apiKey": "nobodys"}
            answer = await ask("userDataStream.subscribe.signature", unknown)
            assert (answer["status"], answer["error"]["code"]) == (401, -2015)
            assert (await ask("ping"))["result"] == {}
            assert (await ask("time"))["result"] == {
                "serverTime": desk.exchange.clock.now() // 1000
            }
            assert (await ask("order.shout"))["status"] == 400
        desk.client.secret = "wrong"
        # ccxt stumbles over the refusal itself, so that its own error may come instead.
        with pytest.raises((ccxt.BaseError, KeyError)):
            await desk.client.watch_orders()
        assert desk.exchange.listening == []

    trade("binance", QUIET, work)


# -- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VENUES)
def test_after_a_disconnect_ccxt_hears_what_comes_next_and_must_ask_for_what_it_missed(
    name: str,
) -> None:
    async def work(desk: Desk) -> None:
        waiting = asyncio.create_task(desk.client.watch_orders())
        await until(lambda: desk.exchange.listening)
        await asyncio.sleep(0.05)
        assert desk.exchange.disconnect() == 1
        with pytest.raises(ccxt.NetworkError):
            await waiting
        missed = await desk.place("buy", 1.0, 1900.0)
        again = asyncio.create_task(desk.client.watch_orders())
        await until(lambda: desk.exchange.listening)
        placed = await desk.place("buy", 1.0, 1901.0)
        assert [order["id"] for order in await again] == [placed["id"]]
        assert (await desk.order(missed))["status"] == "open"

    trade(name, QUIET, work)


def test_a_private_message_may_be_lost_doubled_late_or_out_of_order() -> None:
    def told(fault: Any) -> list[str]:
        found: list[str] = []

        async def work(desk: Desk) -> None:
            async with heard(desk) as events:
                await desk.place("buy", 1.0, 1990.0)
                await desk.at(10)
                await desk.at(20)
                await desk.at(30)
                # Funding comes last, and no fault meets it.
                await desk.at(100)
                await until(lambda: any(e.get("a", {}).get("m") == "FUNDING_FEE" for e in events))
                found.extend(e["o"]["z"] for e in events if e["e"] == "ORDER_TRADE_UPDATE")

        rule = OnFrame(fault, "user@ORDER_TRADE_UPDATE", skip=1, times=1)
        trade(FUTURES, DIP, work, payments=[(95, 1e-4)], frame_faults=[rule])
        assert rule.met == 1
        return found

    whole = ["0.000", "0.200", "0.500", "1.000"]
    assert told(Missing()) == ["0.000", "0.500", "1.000"]
    assert told(Duplicate()) == ["0.000", "0.200", "0.200", "0.500", "1.000"]
    assert told(Late(15_000_000)) == ["0.000", "0.500", "0.200", "1.000"]
    assert told(Reorder(behind=5, within=HOUR)) == ["0.000", "0.500", "0.200", "1.000"]
    assert told(Duplicate(0)) == whole


def test_a_rule_cuts_the_private_connection_at_the_fill() -> None:
    async def work(desk: Desk) -> None:
        (orders,) = await watching(desk, "watch_orders")
        await desk.place("buy", 1.0, 1990.0)
        await until(lambda: len(orders.got) == 1)
        await desk.at(10)
        await until(lambda: desk.exchange.counts["disconnect"] == 1)
        await asyncio.gather(orders._task, return_exceptions=True)
        assert isinstance(orders._task.exception(), ccxt.NetworkError)
        assert [order["filled"] for order in orders.got] == [0]

    rule = OnFrame(Disconnect(), "user@ORDER_TRADE_UPDATE", skip=1, times=1)
    trade(FUTURES, DIP, work, frame_faults=[rule])
