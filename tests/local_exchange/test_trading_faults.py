"""What may go wrong between a trader and the exchange, on demand, and what is true afterwards."""

from __future__ import annotations

from typing import Any

import ccxt
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.local_exchange.desk import QUIET, SYMBOLS, Desk, trade, until
from tests.local_exchange.faults import (
    Close,
    Garbage,
    Hang,
    LateAnswer,
    LostAnswer,
    On,
    Random,
    Refuse,
    Status,
    TruncatedBody,
    Unknown,
)

VENUES = list(SYMBOLS)
both = pytest.mark.parametrize("name", VENUES)
PATHS = {"binance": "POST /api/v3/order", "binanceusdm": "POST /fapi/v1/order"}


async def tried(desk: Desk, fault: Any, **params: Any) -> ccxt.BaseError | None:
    """What the client gets for an order that meets a fault."""
    desk.exchange.follow([On(fault, PATHS[desk.name], times=1)])
    desk.client.timeout = 400
    named = {"newClientOrderId": "mine-1", **params}
    try:
        await desk.place("buy", 0.1, 1990.0, **named)
    except ccxt.BaseError as error:
        return error
    finally:
        desk.client.timeout = 3000
    return None


@both
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(429, 3), ccxt.NetworkError), (Status(418, 60), ccxt.NetworkError),
        (Status(503), ccxt.NetworkError), (Status(502), ccxt.NetworkError),
        (Close(), ccxt.NetworkError), (Hang(), ccxt.RequestTimeout),
        (Refuse(-2019, "Margin is insufficient."), ccxt.BaseError),
        (Unknown(executed=False), ccxt.BaseError),
    ],
)  # fmt: skip
def test_an_order_that_never_reached_the_exchange_does_not_exist(
    name: str, fault: Any, error: type[BaseException]
) -> None:
    async def work(desk: Desk) -> None:
        assert isinstance(await tried(desk, fault), error)
        assert desk.exchange.truth.orders == []
        # That a client has left is noticed a moment later.
        await until(lambda: desk.exchange.truth.arrivals)
        (arrival,) = desk.exchange.truth.arrivals
        told = (arrival.client_id, arrival.accepted, arrival.fault)
        assert told == ("mine-1", False, fault.name)
        # Asked by its name, the exchange says so, and it may be sent again.
        await desk.refused(-2013, _named(desk, "mine-1"))
        await desk.place("buy", 0.1, 1990.0, newClientOrderId="mine-1")

    trade(name, QUIET, work)


@both
def test_an_answer_that_is_no_json_is_an_order_without_an_id_to_ccxt(name: str) -> None:
    async def work(desk: Desk) -> None:
        desk.exchange.follow([On(Garbage(), PATHS[name], times=1)])
        placed = await desk.place("buy", 0.1, 1990.0)
        assert placed["id"] is None
        assert desk.exchange.truth.orders == []

    trade(name, QUIET, work)


@both
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (LostAnswer(), ccxt.NetworkError), (LostAnswer(silent=True), ccxt.RequestTimeout),
        (Unknown(executed=True), ccxt.BaseError), (Unknown(True, -1006), ccxt.BaseError),
        (LateAnswer(30.0), ccxt.RequestTimeout), (TruncatedBody(), ccxt.BaseError),
    ],
)  # fmt: skip
def test_an_order_whose_answer_was_lost_is_there_once_and_found_by_its_name(
    name: str, fault: Any, error: type[BaseException]
) -> None:
    async def work(desk: Desk) -> None:
        assert isinstance(await tried(desk, fault), error)
        found = await _named(desk, "mine-1")
        assert (found["status"], found["clientOrderId"]) == ("open", "mine-1")
        code = -2010 if name == "binance" else -4116
        await desk.refused(code, desk.place("buy", 0.1, 1990.0, newClientOrderId="mine-1"))
        assert [int(found["id"])] == [order.id for order in desk.exchange.truth.named("mine-1")]
        assert [a.accepted for a in desk.exchange.truth.arrivals] == [True, False]

    trade(name, QUIET, work)


@both
def test_a_late_answer_is_whole(name: str) -> None:
    async def work(desk: Desk) -> None:
        assert await tried(desk, LateAnswer(0.05)) is None
        assert desk.exchange.counts["lateanswer"] == 1
        assert len(desk.exchange.truth.named("mine-1")) == 1

    trade(name, QUIET, work)


@both
def test_a_request_that_hangs_reaches_the_exchange_when_the_hang_ends(name: str) -> None:
    async def work(desk: Desk) -> None:
        assert await tried(desk, Hang(0.05)) is None
        assert len(desk.exchange.truth.named("mine-1")) == 1
        # Whoever has left by then was never heard.
        assert isinstance(await tried(desk, Hang(2.0), newClientOrderId="mine-2"),
                          ccxt.RequestTimeout)  # fmt: skip
        assert desk.exchange.truth.named("mine-2") == []

    trade(name, QUIET, work)


@both
def test_the_times_to_wait_and_the_codes_reach_the_client(name: str) -> None:
    async def work(desk: Desk) -> None:
        for fault in (Status(429, 7), Status(418, 120)):
            await tried(desk, fault)
            assert desk.client.last_response_headers["Retry-After"] == str(fault.retry_after)
            assert '"code":-1003' in desk.client.last_http_response
        await tried(desk, Refuse(-2010, "Rejected.", 400))
        assert desk.client.last_http_response == '{"code":-2010,"msg":"Rejected."}'
        await tried(desk, Unknown(executed=True))
        assert '"code":-1007' in desk.client.last_http_response

    trade(name, QUIET, work)


@both
def test_a_cancel_whose_answer_is_lost_has_cancelled(name: str) -> None:
    async def work(desk: Desk) -> None:
        placed = await desk.place("buy", 0.1, 1990.0)
        desk.exchange.follow([On(LostAnswer(silent=True), "DELETE", times=1)])
        desk.client.timeout = 300
        with pytest.raises(ccxt.NetworkError):
            await desk.client.cancel_order(placed["id"], desk.symbol)
        assert (await desk.order(placed))["status"] == "canceled"

    trade(name, QUIET, work)


def test_a_rule_has_its_turn_by_path_count_and_time() -> None:
    async def work(desk: Desk) -> None:
        rule = On(Status(503), "POST /fapi/v1/order", skip=1, every=2, times=2)
        desk.exchange.follow([rule])
        outcomes = []
        for _ in range(7):
            try:
                await desk.place("buy", 0.1, 1990.0)
                outcomes.append("taken")
            except ccxt.NetworkError:
                outcomes.append("failed")
            await desk.client.fapiPrivateGetOpenOrders()
        assert outcomes == ["taken", "failed", "taken", "failed", "taken", "taken", "taken"]
        assert (rule.met, desk.exchange.counts["status 503"]) == (2, 2)
        now = desk.exchange.clock.now()
        desk.exchange.follow([On(Status(503), "POST", start=now + 10_000_000)])
        await desk.place("buy", 0.1, 1990.0)
        await desk.at(12)
        with pytest.raises(ccxt.NetworkError):
            await desk.place("buy", 0.1, 1990.0)
        desk.exchange.follow()
        await desk.place("buy", 0.1, 1990.0)

    trade("binanceusdm", QUIET, work)


async def _named(desk: Desk, name: str) -> Any:
    return await desk.client.fetch_order(None, desk.symbol, {"origClientOrderId": name})


async def _surely(desk: Desk, name: str) -> None:
    """Place an order once, whatever goes wrong: ask by its name before it is sent again."""
    while True:
        try:
            await desk.place("buy", 0.05, 1990.0, newClientOrderId=name)
            return
        except ccxt.BaseError:
            pass
        while True:
            try:
                await _named(desk, name)
                return
            except ccxt.OrderNotFound:
                break
            except ccxt.BaseError as error:
                if "-2013" in str(error):
                    break


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(VENUES), st.integers(0, 2**32 - 1))
def test_who_asks_before_he_sends_again_has_each_order_once(name: str, seed: int) -> None:
    async def work(desk: Desk) -> None:
        rates = {
            LostAnswer(): 0.15, Unknown(True): 0.1, Unknown(False): 0.1, Status(503): 0.1,
            Close(): 0.05, Refuse(-1001, "Disconnected."): 0.1, TruncatedBody(): 0.05,
        }  # fmt: skip
        desk.exchange.follow(Random(np.random.default_rng(seed), rates))
        for number in range(12):
            await _surely(desk, f"n-{number}")
        desk.exchange.follow()
        names = [order.asked.client_id for order in desk.exchange.truth.orders]
        assert sorted(names) == sorted(f"n-{number}" for number in range(12))

    trade(name, QUIET, work)
