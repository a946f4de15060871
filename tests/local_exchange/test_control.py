"""Who runs the exchange by hand, or in another process, lets faults happen and sees the truth."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import ccxt.async_support as ccxt_async
import pytest

from apex_trader.errors import ApexError
from apex_trader.market.store import MarketStore
from apex_trader.time import SECOND
from tests.local_exchange.__main__ import main
from tests.local_exchange.control import FAULTS, rule
from tests.local_exchange.desk import QUIET, Desk, trade, until
from tests.local_exchange.faults import LostAnswer, On, Status
from tests.local_exchange.frame_faults import Missing, OnFrame
from tests.local_exchange.samples import exact_trades

ROOT = Path(__file__).parents[2]
FUTURES = "binanceusdm"
LOST = {"fault": "LostAnswer", "where": "POST /fapi/v1/order", "times": 1}


async def asked(desk: Desk, path: str, given: Any = None) -> tuple[int, Any]:
    """(status, answer) of a request to the exchange itself."""
    method = "GET" if given is None else "POST"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, desk.exchange.rest_url + path, json=given) as answer,
    ):
        return answer.status, await answer.json()


def test_a_rule_is_a_fault_with_its_fields_and_those_of_the_rule() -> None:
    assert rule(LOST) == On(LostAnswer(), "POST /fapi/v1/order", times=1)
    status = {"fault": "Status", "code": 429, "retry_after": 5, "every": 3, "skip": 1}
    assert rule(status) == On(Status(429, 5), every=3, skip=1)
    assert rule({"fault": "Missing", "where": "user@"}) == OnFrame(Missing(), "user@")


def test_every_fault_has_its_rule() -> None:
    needed: dict[str, dict[str, Any]] = {
        "Status": {"code": 503}, "LateAnswer": {"seconds": 1.0}, "Refuse": {"code": -2010},
        "Unknown": {"executed": True},
    }  # fmt: skip
    for name, kind in FAULTS.items():
        assert isinstance(rule({"fault": name, **needed.get(name, {})}).fault, kind)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fault": "Earthquake"}, "Earthquake"), ("Close", "Close"), ({}, "LostAnswer"),
        ({"fault": "Close", "wher": "x"}, "wher"), ({"fault": "Status"}, "code"),
        ({"fault": "Missing", "start": 5}, "start"), ({"fault": "Close", "seen": 5}, "seen"),
    ],
)  # fmt: skip
def test_a_rule_that_is_none_is_told_why(given: Any, message: str) -> None:
    with pytest.raises(ApexError, match=message):
        rule(given)


def test_faults_are_sent_over_http_and_ended_again() -> None:
    async def work(desk: Desk) -> None:
        assert await asked(desk, "/local/faults", [LOST]) == (200, {"rules": 1})
        with pytest.raises(ccxt.NetworkError):
            await desk.place("buy", 0.1, 1990.0, newClientOrderId="mine-1")
        always = [{"fault": "Status", "code": 503}]
        await asked(desk, "/local/faults", always)
        with pytest.raises(ccxt.NetworkError):
            await desk.client.fetch_balance()
        # No fault meets the way out.
        assert (await asked(desk, "/local/faults", []))[0] == 200
        assert (await desk.client.fetch_balance())["USDT"]["total"] == 10_000
        status, answer = await asked(desk, "/local/faults", [{"fault": "Earthquake"}])
        assert (status, "Earthquake" in answer["error"]) == (400, True)

    trade(FUTURES, QUIET, work)


def test_sockets_are_ended_and_the_clock_is_moved_over_http() -> None:
    async def work(desk: Desk) -> None:
        waiting = asyncio.create_task(desk.client.watch_orders())
        await until(lambda: desk.exchange.listening)
        ended = await asked(desk, "/local/sockets", {"how": "Goodbye", "venue": "futures"})
        assert ended == (200, {"ended": 1})
        with pytest.raises(ccxt.NetworkError):
            await waiting
        before = desk.exchange.clock.now()
        status, answer = await asked(desk, "/local/clock", {"advance": 9})
        assert (status, answer["now"]) == (200, (before + 9 * SECOND) // 1000)
        await asked(desk, "/local/clock", {"speed": 7})
        assert desk.exchange.clock.speed == 7
        for path, given in (("sockets", {"how": "x"}), ("clock", {"advance": -1})):
            assert (await asked(desk, f"/local/{path}", given))[0] == 400

    trade(FUTURES, QUIET, work)


def test_the_truth_is_told_over_http() -> None:
    async def work(desk: Desk) -> None:
        await asked(desk, "/local/faults", [LOST])
        with pytest.raises(ccxt.NetworkError):
            await desk.place("buy", 1, newClientOrderId="mine-1")
        await desk.at(15)
        status, truth = await asked(desk, "/local/truth")
        assert status == 200
        (order,), (fill,), (arrival,) = truth["orders"], truth["fills"], truth["arrivals"]
        assert (order["client_id"], order["status"]) == ("mine-1", "FILLED")
        assert float(order["filled"]) == 1
        assert float(fill["price"]) == 2000
        assert (arrival["fault"], arrival["status"]) == ("lostanswer", 200)
        account = truth["accounts"]["trader"]
        assert float(account["futures"]["USDT"]) == 9999
        assert float(account["positions"]["binanceusdm:ETHUSDT"]["amount"]) == 1

    trade(FUTURES, QUIET, work)


@contextlib.asynccontextmanager
async def by_hand(store: Path, *options: str) -> AsyncIterator[dict[str, str]]:
    """The command, running; what it said at the start, by the line's first word."""
    command = [sys.executable, "-m", "tests.local_exchange", "--store", str(store), "--port", "0",
               *options]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        said: dict[str, str] = {}
        while "truth" not in said:
            word, _, rest = (await process.stdout.readline()).decode().partition(" ")
            said[word] = rest.strip()
        yield said
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_by_hand_an_account_trades_with_the_keys_and_faults_that_are_printed(
    tmp_path: Path,
) -> None:
    MarketStore(tmp_path).write_trades("binanceusdm:ETHUSDT", exact_trades(1, 3000))

    async def work() -> None:
        options = ("--futures", "USDT=500", "--key", "Mine", "--secret", "Hidden", "--speed", "30",
                   "--fault", json.dumps(LOST))  # fmt: skip
        async with by_hand(tmp_path, *options) as said:
            assert "key Mine, secret Hidden" in said["trading"]
            address = said["truth"].split()[-1].removesuffix("/local/truth")
            assert f"{address}/local/faults" in said["faults"]
            api = {name: f"{address}/fapi/{version}" for name, version in (
                ("fapiPublic", "v1"), ("fapiPrivate", "v1"), ("fapiPrivateV2", "v2"),
                ("fapiPrivateV3", "v3"), ("fapiPublicV2", "v2"))}  # fmt: skip
            urls = {"api": {**api, "dapiPublic": f"{address}/dapi/v1", "sapi": f"{address}/sapi/v1",
                            "public": f"{address}/api/v3"}}  # fmt: skip
            keys = {"apiKey": "Mine", "secret": "Hidden"}
            client = ccxt_async.binanceusdm({"urls": urls, "enableRateLimit": False, **keys})
            try:
                assert (await client.fetch_balance())["USDT"]["total"] == 500
                with pytest.raises(ccxt.NetworkError):
                    await client.create_order("ETH/USDT:USDT", "market", "buy", 0.1)
                placed = await client.create_order("ETH/USDT:USDT", "market", "buy", 0.1)
                assert placed["status"] in ("open", "closed")
                async with (
                    aiohttp.ClientSession() as session,
                    session.get(f"{address}/local/truth") as answer,
                ):
                    truth = await answer.json()
                assert len(truth["orders"]) == 2
            finally:
                await client.close()

    asyncio.run(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--futures", "USDT"), "USDT"), (("--spot", "usdt=1"), "--spot"),
        (("--fault", "{"), "JSON"), (("--fault", '{"fault": "Earthquake"}'), "Earthquake"),
        (("--key", "no spaces"), "API key"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    MarketStore(tmp_path).write_trades("binance:ETHUSDT", exact_trades(1, 10))
    assert main(["--store", str(tmp_path), "--port", "0", *options]) == 2
    assert message in capsys.readouterr().err
