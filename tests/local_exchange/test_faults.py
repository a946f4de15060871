"""Each fault does what it says, and is counted."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import aiohttp
import ccxt
import ccxt.async_support as ccxt_async
import numpy as np
import pytest

from apex_trader.time import DAY
from tests.local_exchange import Clock, Feed, LocalExchange
from tests.local_exchange.faults import (
    Close,
    CorruptZip,
    Drip,
    Fault,
    Garbage,
    Hang,
    On,
    Random,
    Request,
    Status,
    TruncatedBody,
    TruncatedZip,
    WrongChecksum,
)
from tests.local_exchange.samples import options
from tests.market.samples import MONDAY

T = TypeVar("T")
TIME = "/api/v3/time"
TRADES = "/api/v3/aggTrades?symbol=ETHUSDT&fromId=1&limit=1000"
ZIP = "/data/spot/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-04.zip"


def served(
    feed: Feed, faults: Any, work: Callable[[LocalExchange, Any], Coroutine[Any, Any, T]]
) -> T:
    """Work with a faulty exchange and a plain HTTP session."""

    async def run() -> T:
        clock = Clock(feed.end + 40 * DAY, speed=0)
        async with (
            LocalExchange(feed, faults=faults, clock=clock) as exchange,
            aiohttp.ClientSession(exchange.rest_url) as session,
        ):
            return await asyncio.wait_for(work(exchange, session), 30)

    return asyncio.run(run())


async def read(session: aiohttp.ClientSession, path: str) -> tuple[int, bytes]:
    async with session.get(path) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(429, 7), ccxt.DDoSProtection),
        (Status(418, 120), ccxt.DDoSProtection),
        (Status(503), ccxt.ExchangeNotAvailable),
        (Status(500), ccxt.ExchangeNotAvailable),
        (Hang(), ccxt.RequestTimeout),
        # Its base error: a caller who goes on after network errors alone would stop here.
        (TruncatedBody(), ccxt.ExchangeError),
    ],
)
def test_ccxt_sees_the_failure_and_the_next_request_succeeds(
    feed: Feed, fault: Fault, error: type[Exception]
) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[int, Any]:
        speaker = ccxt_async.binance(options(exchange, timeout=400))
        try:
            with pytest.raises(error):
                await speaker.publicGetTime()
            if isinstance(fault, Status) and fault.retry_after is not None:
                headers = speaker.last_response_headers
                assert int(headers["Retry-After"]) == fault.retry_after
            return exchange.counts[fault.name], await speaker.publicGetTime()
        finally:
            await speaker.close()

    counted, answer = served(feed, [fault], work)
    assert counted == 1
    assert int(answer["serverTime"]) == (feed.end + 40 * DAY) // 1000


def test_a_closed_connection_fails_the_request_once_its_own_retry_has_failed(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[int, int]:
        assert (await read(session, TIME))[0] == 200
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await read(session, TIME)
        return (await read(session, TIME))[0], exchange.counts["close"]

    # aiohttp silently asks again once.
    assert served(feed, [On(Close(), skip=1, times=2)], work) == (200, 2)


def test_garbage_is_an_answer_that_is_no_json(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[int, bytes]:
        return await read(session, TIME)

    assert served(feed, [Garbage("<oops>")], work) == (200, b"<oops>")


def test_a_hang_may_end(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[float, int]:
        began = asyncio.get_running_loop().time()
        status, _ = await read(session, TIME)
        return asyncio.get_running_loop().time() - began, status

    waited, status = served(feed, [Hang(0.3)], work)
    assert (waited >= 0.3, status) == (True, 200)


def test_closing_the_exchange_ends_a_hang(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> asyncio.Task[Any]:
        asking = asyncio.create_task(read(session, TIME))
        while not exchange.counts["hang"]:
            await asyncio.sleep(0.01)
        return asking

    served(feed, [Hang()], work)


def test_a_truncated_body_announces_more_than_it_sends(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[int, int]:
        whole = len((await read(session, TRADES))[1])
        async with session.get(TRADES) as answer:
            announced = answer.content_length
            got = await answer.content.readexactly(whole // 4)
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.read()
        assert announced == whole
        return len(got), whole

    got, whole = served(feed, [None, TruncatedBody(0.25)], work)
    assert got == whole // 4


def test_a_drip_is_slow_and_whole(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[bool, float]:
        whole = (await read(session, ZIP))[1]
        began = asyncio.get_running_loop().time()
        _, dripped = await read(session, ZIP)
        return dripped == whole, asyncio.get_running_loop().time() - began

    same, took = served(feed, [None, Drip(size=16_384, pause=0.05)], work)
    assert same
    assert took >= 0.1


def test_a_truncated_zip_is_a_whole_answer(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[Any, Any]:
        return await read(session, ZIP), await read(session, ZIP)

    (status, spoilt), (_, whole) = served(feed, [TruncatedZip(0.5)], work)
    assert (status, spoilt) == (200, whole[: len(whole) // 2])
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(spoilt))


def test_a_corrupt_zip_has_its_length_and_not_its_checksum(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[bytes, bytes]:
        _, spoilt = await read(session, ZIP)
        return spoilt, (await read(session, ZIP + ".CHECKSUM"))[1]

    spoilt, checksum = served(feed, [CorruptZip()], work)
    assert checksum.split()[0].decode() != hashlib.sha256(spoilt).hexdigest()


def test_a_wrong_checksum_is_well_formed_and_wrong(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> tuple[bytes, bytes]:
        wrong = (await read(session, ZIP + ".CHECKSUM"))[1]
        return wrong, (await read(session, ZIP + ".CHECKSUM"))[1]

    wrong, right = served(feed, [On(WrongChecksum(), ".CHECKSUM", times=1)], work)
    assert len(wrong) == len(right)
    assert wrong[1:] == right[1:]
    assert wrong[:1] != right[:1]


def test_a_socket_may_be_refused(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> list[Any]:
        statuses: list[Any] = []
        for _ in range(3):
            try:
                async with session.ws_connect(exchange.ws_url + "/ws") as opened:
                    statuses.append(opened.closed)
            except aiohttp.WSServerHandshakeError as error:
                statuses.append(error.status)
            except aiohttp.ClientConnectionError:
                statuses.append("closed")
        return statuses

    rules = [On(Status(429, 5), "socket", times=1), On(Close(), "socket", times=2)]
    assert served(feed, rules, work) == [429, "closed", False]


def asked(number: int, path: str = TIME, time: int = MONDAY) -> Request:
    return Request(number, "spot", path, {}, time)


def test_a_rule_skips_then_repeats_then_stops() -> None:
    rule = On(Close(), "time", skip=2, every=3, times=2)
    met = [rule(asked(n)) is not None for n in range(12)]
    assert np.flatnonzero(met).tolist() == [2, 5]
    assert rule(asked(12, "/api/v3/ping")) is None


def test_a_rule_holds_for_a_stretch_of_the_exchanges_time() -> None:
    rule = On(Close(), start=MONDAY, end=MONDAY + 10)
    times = [MONDAY - 1, MONDAY, MONDAY + 9, MONDAY + 10]
    assert [rule(asked(0, time=t)) is not None for t in times] == [False, True, True, False]


def test_drawn_faults_come_at_their_rates_and_again_with_the_same_seed() -> None:
    def draw() -> list[Fault | None]:
        rates: dict[Fault, float] = {Close(): 0.1, Status(503): 0.3}
        script = Random(np.random.default_rng(3), rates)
        return [script(asked(number)) for number in range(4000)]

    drawn = draw()
    assert drawn == draw()
    assert drawn.count(Close()) == pytest.approx(400, abs=80)
    assert drawn.count(Status(503)) == pytest.approx(0.9 * 1200, abs=120)


def test_faults_can_change_while_the_exchange_is_open(feed: Feed) -> None:
    async def work(exchange: LocalExchange, session: Any) -> list[int]:
        first = (await read(session, TIME))[0]
        exchange.follow(faults=[])
        return [first, (await read(session, TIME))[0]]

    assert served(feed, lambda request: Status(502), work) == [502, 200]
