"""Fetching one file: resumed to the byte, verified, repeated, and never half there."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from apex_trader.errors import ApexError, DataError
from apex_trader.market.download.fetch import Checksums, Fetcher, Place, http_session
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.retry import Retry, UnreachableError
from tests.local_exchange import Feed, LocalExchange
from tests.local_exchange.faults import (
    Close,
    CorruptZip,
    Garbage,
    Hang,
    On,
    Request,
    Status,
    TruncatedBody,
    WrongChecksum,
)
from tests.market.download.helpers import opened
from tests.market.exchange.local import config, feed

FILE = "data/spot/daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-04.zip"


@pytest.fixture(scope="module")
def given() -> Feed:
    return feed(count=8000)


class Bench:
    """A fetcher at work: where it puts the file, and how many bytes came."""

    def __init__(self, exchange: LocalExchange, session: ClientSession, folder: Path,
                 checksums: Checksums, **changes: Any) -> None:  # fmt: skip
        settings = config(exchange, **changes)
        retry = Retry(settings, np.random.default_rng(0))
        self.exchange, self.place = exchange, Place(f"{exchange.archive_url}/{FILE}",
                                                    folder / "file.zip")  # fmt: skip
        self.session, self._fetcher = session, Fetcher(session, retry, checksums)
        self.received = 0

    async def fetch(self, url: str | None = None) -> bool:
        place = self.place if url is None else Place(url, self.place.path)
        return await self._fetcher.fetch(place, self._count)

    async def published(self) -> bytes:
        self.exchange.follow()
        async with self.session.get(self.place.url) as response:
            return await response.read()

    def _count(self, size: int) -> None:
        self.received += size


def run(
    given: Feed, folder: Path, work: Callable[[Bench], Awaitable[None]],
    checksums: Checksums = "always", **changes: Any,
) -> None:  # fmt: skip
    async def main() -> None:
        async with (
            opened(given) as exchange,
            http_session(config(exchange, **changes)) as session,
        ):
            await work(Bench(exchange, session, folder, checksums, **changes))

    asyncio.run(main())


def test_a_whole_file_with_nothing_beside_it(given: Feed, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == await bench.published()
        assert bench.received == bench.place.path.stat().st_size
        assert [p.name for p in tmp_path.iterdir()] == ["file.zip"]

    run(given, tmp_path, work)


def test_a_file_that_is_not_published(given: Feed, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        for checksums in ("always", "never"):
            other = Bench(bench.exchange, bench.session, tmp_path, checksums)
            assert not await other.fetch(bench.place.url.replace("2024-03-04", "2023-01-01"))
        assert list(tmp_path.iterdir()) == []

    run(given, tmp_path, work)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_file_goes_on_at_the_byte_where_it_was_cut(
    given: Feed, tmp_path: Path, share: float
) -> None:
    async def work(bench: Bench) -> None:
        asked: list[str] = []
        cut = On(TruncatedBody(share), ".zip", skip=1, times=3)
        bench.exchange.follow(lambda r: asked.append(r.path) or cut(r))  # type: ignore[func-returns-value]
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == await bench.published()
        # No byte came twice.
        assert bench.received == bench.place.path.stat().st_size

    run(given, tmp_path, work)


def test_another_process_goes_on_where_a_killed_one_stopped(given: Feed, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        content = await bench.published()
        async with bench.session.head(bench.place.url) as response:
            tag = response.headers["ETag"]
        bench.place.part.write_bytes(content[:1234])
        bench.place.tag.write_text(tag)
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == content
        assert bench.received == len(content) - 1234

    run(given, tmp_path, work)


def test_a_part_of_another_version_begins_anew(given: Feed, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.place.part.write_bytes(b"x" * 1000)
        bench.place.tag.write_text('"an older file"')
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == await bench.published()
        bench.place.path.unlink()
        # A part of unknown version, too.
        bench.place.part.write_bytes(b"x" * 1000)
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == await bench.published()

    run(given, tmp_path, work)


@pytest.mark.parametrize("extra", [b"", b"beyond"])
def test_a_part_that_is_whole_or_too_long(given: Feed, tmp_path: Path, extra: bytes) -> None:
    async def work(bench: Bench) -> None:
        content = await bench.published()
        async with bench.session.head(bench.place.url) as response:
            bench.place.tag.write_text(response.headers["ETag"])
        bench.place.part.write_bytes(content + extra)
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == content
        assert bench.received == (len(content) if extra else 0)

    run(given, tmp_path, work)


@pytest.mark.parametrize(
    "fault", [Status(500), Status(503, retry_after=0), Close(), Hang(), Status(429)]
)
def test_a_passing_fault_is_survived(given: Feed, tmp_path: Path, fault: object) -> None:
    async def work(bench: Bench) -> None:
        await bench.published()
        bench.exchange.follow([On(fault, "2024-03-04", every=2, times=3)])  # type: ignore[arg-type]
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == await bench.published()

    # The file was made before, so that only a fault keeps the exchange silent for so long.
    run(given, tmp_path, work, timeout=0.5 if isinstance(fault, Hang) else 20.0)


def test_a_bad_line_that_brings_bytes_is_no_dead_one(given: Feed, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        cuts = On(TruncatedBody(0.2), "04.zip")
        bench.exchange.follow(lambda r: None if r.path.endswith("CHECKSUM") else cuts(r))
        task = asyncio.create_task(bench.fetch())
        while cuts.met < 9:
            await asyncio.sleep(0.01)
        bench.exchange.follow()
        assert await task
        assert bench.place.path.read_bytes() == await bench.published()

    run(given, tmp_path, work, retries=1)


@pytest.mark.parametrize("fault", [CorruptZip(), WrongChecksum()])
def test_a_wrong_checksum_is_fetched_once_more_and_then_an_error(
    given: Feed, tmp_path: Path, fault: object
) -> None:
    async def work(bench: Bench) -> None:
        once, always = (On(fault, "", times=n) for n in (1, None))  # type: ignore[arg-type]
        where = ".CHECKSUM" if isinstance(fault, WrongChecksum) else ".zip"
        bench.exchange.follow(lambda r: once(r) if r.path.endswith(where) else None)
        assert await bench.fetch()
        assert once.met == 1
        bench.place.path.unlink()
        bench.exchange.follow(lambda r: always(r) if r.path.endswith(where) else None)
        with pytest.raises(DataError, match=r"file.zip: its SHA-256 is [0-9a-f]{64}, not .* twice"):
            await bench.fetch()
        assert list(tmp_path.iterdir()) == []

    run(given, tmp_path, work)


@pytest.mark.parametrize("name", ["ETHUSDT-aggTrades-2024-03-05.zip", "*other/BTCUSDT.zip"])
def test_a_checksum_of_another_file_is_called_so(given: Feed, tmp_path: Path, name: str) -> None:
    async def work(bench: Bench) -> None:
        digest = hashlib.sha256(await bench.published()).hexdigest()
        bench.exchange.follow([On(Garbage(f"{digest}  {name}\n"), "CHECKSUM")])
        other = name.rpartition("/")[2]
        with pytest.raises(DataError, match=rf"04\.zip\.CHECKSUM: .* checksum of {other}, another"):
            await bench.fetch()
        assert list(tmp_path.iterdir()) == []
        for named in ("", f"  {FILE.rpartition('/')[2]}", f" *./{FILE.rpartition('/')[2]}"):
            bench.exchange.follow([On(Garbage(digest + named), "CHECKSUM")])
            assert await bench.fetch()

    run(given, tmp_path, work)


def test_checksums_may_be_absent_where_the_user_allows_it(given: Feed, tmp_path: Path) -> None:
    def none(request: Request) -> Status | None:
        return Status(404) if request.path.endswith("CHECKSUM") else None

    async def refused(bench: Bench) -> None:
        bench.exchange.follow(none)
        with pytest.raises(DataError, match=r"no checksum is published.*published takes such"):
            await bench.fetch()
        assert list(tmp_path.iterdir()) == []

    async def taken(bench: Bench) -> None:
        bench.exchange.follow(none)
        assert await bench.fetch()
        digest = hashlib.sha256(await bench.published()).digest()
        assert hashlib.sha256(bench.place.path.read_bytes()).digest() == digest

    run(given, tmp_path, refused)
    run(given, tmp_path, taken, "published")
    run(given, tmp_path, taken, "never")


def test_a_file_that_is_there_already_is_verified_and_not_fetched(
    given: Feed, tmp_path: Path
) -> None:
    async def work(bench: Bench) -> None:
        bench.place.path.write_bytes(await bench.published())
        assert await bench.fetch()
        assert bench.received == 0
        bench.place.path.write_bytes(b"something else")
        assert await bench.fetch()
        assert bench.place.path.read_bytes() == await bench.published()

    run(given, tmp_path, work)


def test_redirects_without_end_are_named() -> None:
    async def circle(request: web.Request) -> web.Response:
        raise web.HTTPFound("/there")

    async def work() -> None:
        app = web.Application()
        app.router.add_get("/{anything}", circle)
        async with TestServer(app) as server, ClientSession() as session:
            patient = ExchangeConfig("binance", retries=1, backoff=0.01)
            fetcher = Fetcher(session, Retry(patient, np.random.default_rng(0)), "never")
            place = Place(str(server.make_url("/file.zip")), Path("file.zip"))
            with pytest.raises(UnreachableError, match="redirects without end"):
                await fetcher.fetch(place, lambda size: None)

    asyncio.run(work())


def test_errors_name_the_address(given: Feed, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.exchange.follow([On(Status(502))])
        with pytest.raises(UnreachableError, match=f"{bench.place.url}.CHECKSUM gives no answer"):
            await bench.fetch()
        bench.exchange.follow([On(Status(403))])
        with pytest.raises(ApexError, match=r"answers 403.*--archive-url"):
            await bench.fetch()
        bench.exchange.follow([On(Garbage(), "CHECKSUM")])
        with pytest.raises(UnreachableError, match="without a checksum"):
            await bench.fetch()

    run(given, tmp_path, work, retries=1)
