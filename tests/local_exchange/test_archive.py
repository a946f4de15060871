"""The archive holds what the exchange traded, laid out and served as Binance's."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from apex_trader.market.archive import read_archive
from apex_trader.market.kinds import columns
from apex_trader.market.naming import parse_name
from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Funding, Trades
from apex_trader.time import DAY, HOUR, MINUTE, parse_time
from tests.local_exchange import Clock, Feed, Listing, LocalExchange
from tests.local_exchange.archive import Archive
from tests.local_exchange.endpoints import Exchange
from tests.local_exchange.limits import LimitConfig
from tests.local_exchange.samples import exact_bars, exact_trades
from tests.market.samples import MONDAY

SPOT = "/data/spot/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-04.zip"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def get(feed: Feed, *asked: tuple[str, dict[str, str]], **given: Any) -> list[Answer]:
    """The archive's answers to requests (path, headers)."""

    async def run() -> list[Answer]:
        answers = []
        given.setdefault("clock", Clock(feed.end + 40 * DAY, speed=0))
        async with (
            LocalExchange(feed, **given) as exchange,
            aiohttp.ClientSession(exchange.archive_url) as session,
        ):
            for path, headers in asked:
                async with session.get(path, headers=headers) as response:
                    body = await response.read()
                    answers.append(Answer(response.status, response.headers, body))
        return answers

    return asyncio.run(run())


def fetch(feed: Feed, path: str, **given: Any) -> bytes:
    (answer,) = get(feed, (path, {}), **given)
    assert answer.status == 200, answer
    return answer.body


def lines(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return archive.read(name).decode().splitlines()


def assert_same(got: Any, wanted: Any) -> None:
    assert columns(got).keys() == columns(wanted).keys()
    for name, values in columns(wanted).items():
        np.testing.assert_array_equal(columns(got)[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("path", "market"),
    [
        (SPOT, "eth"),
        ("/data/spot/monthly/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03.zip", "eth"),
        ("/data/futures/um/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-04.zip", "perpetual"),
    ],
)
def test_files_of_trades_hold_every_trade_with_its_aggregate_id(
    feed: Feed, path: str, market: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    listing: Listing = request.getfixturevalue(market)
    file = tmp_path / path.rpartition("/")[2]
    file.write_bytes(fetch(feed, path))
    exchange = listing.info.market.partition(":")[0]
    assert_same(read_archive(str(file), parse_name(str(file), exchange)), listing.trades)


@pytest.mark.parametrize(
    ("path", "market", "days"),
    [
        ("/data/spot/daily/klines/ETHUSDT/1m/ETHUSDT-1m-2024-03-05.zip", "eth", (1, 2)),
        ("/data/spot/monthly/klines/ETHUSDT/1m/ETHUSDT-1m-2024-03.zip", "eth", (0, 9)),
        ("/data/futures/um/daily/klines/ETHUSDT/1m/ETHUSDT-1m-2024-03-04.zip", "perpetual", (0, 1)),
    ],
)
def test_files_of_bars_hold_the_bars_of_their_period(
    feed: Feed, path: str, market: str, days: tuple[int, int], tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    listing: Listing = request.getfixturevalue(market)
    file = tmp_path / path.rpartition("/")[2]
    file.write_bytes(fetch(feed, path))
    exchange = listing.info.market.partition(":")[0]
    wanted = listing.bars["1m"].between(MONDAY + days[0] * DAY, MONDAY + days[1] * DAY)
    assert_same(read_archive(str(file), parse_name(str(file), exchange)), wanted)


def test_spot_files_have_no_header_and_futures_files_have_one(feed: Feed, eth: Listing) -> None:
    spot = lines(fetch(feed, SPOT))
    assert spot[0].split(",")[0] == str(eth.ids[0])
    assert spot[0].split(",")[6] in ("True", "False")
    futures = lines(fetch(feed, SPOT.replace("/spot/", "/futures/um/")))
    assert futures[0] == (
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
    )
    assert futures[1].split(",")[6] in ("true", "false")


def test_spot_files_state_microseconds_from_2025_on(tmp_path: Path) -> None:
    start = parse_time("2024-12-31T23:00:00")
    trades = exact_trades(6, 200, start, 2 * HOUR)
    trades = Trades(trades.ts + np.arange(200) % 1000, *_values(trades), np.arange(200) + 7)
    feed = Feed([Listing(MarketInfo("binance:ETHUSDT"), trades, {"1m": exact_bars(
        7, 120, "1m", start)}), Listing(MarketInfo("binanceusdm:ETHUSDT"), trades)])  # fmt: skip
    before, after, futures = (
        fetch(feed, f"/data/{venue}/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-{day}.zip")
        for venue, day in (
            ("spot", "2024-12-31"), ("spot", "2025-01-01"), ("futures/um", "2025-01-01")
        )
    )  # fmt: skip
    assert len(lines(before)[0].split(",")[5]) == len(lines(futures)[1].split(",")[5]) == 13
    new_year = trades.ts >= parse_time("2025-01-01")
    stamps = [int(line.split(",")[5]) for line in lines(after)]
    np.testing.assert_array_equal(stamps, trades.ts[new_year])
    minutes = lines(fetch(feed, "/data/spot/daily/klines/ETHUSDT/1m/ETHUSDT-1m-2025-01-01.zip"))
    opened, closed = (int(minutes[0].split(",")[place]) for place in (0, 6))
    assert closed - opened == MINUTE - 1


def _values(trades: Trades) -> tuple[Any, Any, Any]:
    return trades.price, trades.amount, trades.side


def test_funding_payments_come_by_the_month(feed: Feed, perpetual: Listing) -> None:
    path = "/data/futures/um/monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-03.zip"
    header, *rows = lines(fetch(feed, path))
    assert header == "calc_time,funding_interval_hours,last_funding_rate"
    read = [row.split(",") for row in rows]
    paid = Funding(
        np.array([int(row[0]) * 1000 for row in read]), np.array([float(row[2]) for row in read])
    )
    assert_same(paid, perpetual.funding)


def test_checksums_are_those_of_the_files_and_bytes_never_change(feed: Feed) -> None:
    content, checksum = fetch(feed, SPOT), fetch(feed, SPOT + ".CHECKSUM").decode()
    name = SPOT.rpartition("/")[2]
    assert checksum == f"{hashlib.sha256(content).hexdigest()}  {name}\n"
    assert fetch(feed, SPOT, clock=Clock(feed.end + 400 * DAY, speed=0)) == content


def test_a_file_appears_when_its_period_is_over(feed: Feed) -> None:
    midnight = MONDAY + DAY
    for now, delay, status in (
        (midnight - 1, 0, 404), (midnight, 0, 200), (midnight, HOUR, 404),
        (midnight + HOUR, HOUR, 200),
    ):  # fmt: skip
        (answer,) = get(feed, (SPOT, {}), clock=Clock(now, speed=0), archive_delay=delay)
        assert answer.status == status


@pytest.mark.parametrize(
    "path",
    [
        "/data/spot/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-03.zip",
        "/data/spot/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-32.zip",
        "/data/spot/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03.zip",
        "/data/spot/daily/aggTrades/XRPUSDT/XRPUSDT-aggTrades-2024-03-04.zip",
        "/data/spot/monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-03.zip",
        "/data/futures/um/daily/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-03-04.zip",
        "/data/futures/um/daily/klines/ETHUSDT/1s/ETHUSDT-1s-2024-03-04.zip",
        "/data/spot/daily/klines/ETHUSDT/ETHUSDT-1m-2024-03-04.zip",
        "/data/../secret",
    ],
)
def test_what_does_not_exist_is_not_found(feed: Feed, path: str) -> None:
    (answer,) = get(feed, (path, {}))
    assert answer.status == 404


def test_a_download_can_go_on_where_it_stopped(feed: Feed) -> None:
    whole, start, middle, end, outside = get(
        feed, (SPOT, {}), (SPOT, {"Range": "bytes=0-99"}), (SPOT, {"Range": "bytes=100-"}),
        (SPOT, {"Range": "bytes=-10"}), (SPOT, {"Range": "bytes=99999999-"}),
    )  # fmt: skip
    size = len(whole.body)
    assert (start.status, start.body) == (206, whole.body[:100])
    assert start.headers["Content-Range"] == f"bytes 0-99/{size}"
    assert (middle.status, middle.body) == (206, whole.body[100:])
    assert end.body == whole.body[-10:]
    assert (outside.status, outside.headers["Content-Range"]) == (416, f"bytes */{size}")
    tag = whole.headers["ETag"]
    same, changed, known = get(
        feed, (SPOT, {"Range": "bytes=100-", "If-Range": tag}),
        (SPOT, {"Range": "bytes=100-", "If-Range": '"another"'}), (SPOT, {"If-None-Match": tag}),
    )  # fmt: skip
    assert (same.status, changed.status, known.status) == (206, 200, 304)
    assert changed.body == whole.body


@pytest.mark.parametrize(
    "path", ["", "/data/", SPOT + "x", SPOT.replace("04", "99"), SPOT + ".CHECKSUM.CHECKSUM"]
)
def test_whatever_is_asked_the_archive_never_fails(path: str) -> None:
    feed = Feed([Listing(MarketInfo("binance:ETHUSDT"), exact_trades(1, 5))])
    archive = Archive(Exchange(feed, Clock(MONDAY + DAY, speed=0), LimitConfig()))
    assert archive.read(path) is None
