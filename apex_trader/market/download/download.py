"""Downloading: what is missing, from the archive where it has files, by REST for the rest."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market import intervals
from apex_trader.market.download.archive_source import ArchiveSource
from apex_trader.market.download.fetch import Checksums, Fetcher, http_session
from apex_trader.market.download.rest_source import RestSource
from apex_trader.market.download.source import Watch
from apex_trader.market.download.tally import Tally, WantResult
from apex_trader.market.download.want import (
    Want,
    check_span,
    has_archive,
    missing,
    offered,
    total,
    want,
)
from apex_trader.market.download.workspace import workspace
from apex_trader.market.download.writer import Writer
from apex_trader.market.exchange.client import rest
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.listings import Listing, listing_named, load_listings
from apex_trader.market.exchange.pages import Pages, pages
from apex_trader.market.exchange.requests import Requests
from apex_trader.market.exchange.retry import Retry, UnreachableError
from apex_trader.market.lookback import discover_lookbacks
from apex_trader.market.source import LookbackSource
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import split_market
from apex_trader.market.types import I64
from apex_trader.time import DAY

SourceName = Literal["auto", "archive", "rest"]
#: Repetitions when the exchange is asked for no more than its symbols and its time.
GREETINGS = 1


@dataclass(frozen=True)
class DownloadRequest:
    """What is to be downloaded, and how.

    symbols: the exchange's ids (ETHUSDT) or ccxt's names (ETH/USDT). kinds: keys of KINDS.
    start, end: µs UTC; end None: until now. source: "archive" (daily and monthly files), "rest",
    or "auto": the archive where it has files, REST for the rest. concurrency: files, and REST
    histories, under way at a time. checksums: see ``Checksums``. keep: folder for the archive's
    files after their import (None: they are deleted). replace: download all of it anew, in place
    of what the store has.
    """

    exchange: ExchangeConfig
    symbols: tuple[str, ...]
    kinds: tuple[str, ...]
    start: int
    end: int | None = None
    source: SourceName = "auto"
    concurrency: int = 4
    checksums: Checksums = "always"
    keep: Path | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        if self.source not in get_args(SourceName):
            raise ConfigError("--source", self.source, "auto, archive or rest")
        if self.checksums not in get_args(Checksums):
            raise ConfigError("--verify-checksums", self.checksums, "always, published or never")
        if not 1 <= self.concurrency <= 64:
            raise ConfigError("--concurrency", self.concurrency, "1 to 64")
        if not self.symbols:
            raise ApexError("--symbols is empty: give some, such as ETHUSDT,BTCUSDT")
        if self.source == "archive" and not has_archive(self.exchange.exchange):
            raise ApexError(
                f"{self.exchange.exchange} has no archive that is known here: use --source rest"
            )


@dataclass(frozen=True)
class DownloadResult:
    """What a download did: one result a want, errors of single files, look-backs that were found.

    now: the time (µs) until which it looked.
    """

    wants: list[WantResult]
    failures: list[str]
    remarks: list[str]
    lookbacks: dict[str, LookbackSource | None]
    now: int

    @property
    def complete(self) -> bool:
        """Whether all that was wanted is in the store."""
        return not self.failures and not any(len(result.lacking) for result in self.wants)


def download(
    store: MarketStore,
    request: DownloadRequest,
    watch: Watch,
    generator: np.random.Generator | None = None,
) -> DownloadResult:
    """Bring what the store lacks of a request; see ``Download``."""
    generator = np.random.default_rng() if generator is None else generator
    return asyncio.run(_unwrapped(Download(store, request, watch, generator).run()))


@dataclass
class _Exchange:
    """The exchange as far as it answers: unreachable holds the reason where it does not."""

    requests: Requests
    ask: Pages
    listings: dict[str, Listing] | None = None
    unreachable: UnreachableError | None = None
    now: int = 0


class Download:
    """One download. Everything that arrives is in the store at once, so it can be killed at any
    time, and the same request goes on where it stopped.

    Raises UnreachableError when archive or exchange do not answer, ApexError for a request that
    cannot be met. Single bad files end up in the result.
    """

    def __init__(
        self, store: MarketStore, request: DownloadRequest, watch: Watch,
        generator: np.random.Generator,
    ) -> None:  # fmt: skip
        self._store, self._request, self._generator = store, request, generator
        self._tally = Tally(watch)
        self._writer = Writer(store, self._tally, replaced=request.replace)
        self._failures: list[str] = []
        self._failed_time: dict[Want, I64] = {}

    async def run(self) -> DownloadResult:
        """Download it all."""
        request = self._request
        kinds, remarks = offered(request.exchange.exchange, list(request.kinds))
        async with self._exchange() as exchange:
            wants = self._wants(exchange, kinds)
            with workspace(self._store) as folder:
                await self._writer.clean()
                for wanted in wants:
                    self._tally.planned(wanted, total(self._missing(wanted)))
                if request.source != "rest" and has_archive(request.exchange.exchange):
                    await self._archive(wants, folder, exchange.now)
                if request.source != "archive":
                    await self._rest(wants, exchange)
        lookbacks = await asyncio.to_thread(discover_lookbacks, self._store)
        results = [self._tally.result(wanted, self._missing(wanted)) for wanted in wants]
        return DownloadResult(
            results, self._failures, remarks + self._tally.remarks, lookbacks, exchange.now
        )

    # -- what is wanted -----------------------------------------------------------------------

    @asynccontextmanager
    async def _exchange(self) -> AsyncIterator[_Exchange]:
        """The exchange, its symbols and its time; without them where it is not needed."""
        config = self._request.exchange
        client = rest(config, microseconds=True)
        try:
            requests = Requests(client, config, Retry(config, self._generator))
            exchange = _Exchange(requests, pages(requests, strict=True), now=time.time_ns() // 1000)
            needed = self._request.source == "rest" or not has_archive(config.exchange)
            try:
                retries = None if needed else GREETINGS
                exchange.listings = await load_listings(requests, retries)
                exchange.now = await exchange.ask.time()
            except UnreachableError as error:
                if needed:
                    raise
                exchange.unreachable = error
            yield exchange
        finally:
            await client.close()

    def _wants(self, exchange: _Exchange, kinds: list[str]) -> list[Want]:
        request = self._request
        end = exchange.now if request.end is None else request.end
        check_span(request.start, end, exchange.now)
        name = request.exchange.exchange
        wants = []
        for symbol in dict.fromkeys(request.symbols):
            listing = _listing(exchange.listings, name, symbol)
            market = f"{name}:{symbol}"
            if market not in self._store.manifest.markets:  # else it keeps the name it has there
                market = market_name(name, listing)
            for kind in kinds:
                if kind == "funding" and listing.instrument == "spot":
                    self._tally.remark(f"{market} funding: left out, spot markets pay none")
                    continue
                wants.append(want(listing, market, kind, request.start, end, exchange.now))
        # One symbol may be asked for by both of its names.
        return [wanted for wanted in dict.fromkeys(wants) if wanted.start < wanted.end]

    def _missing(self, wanted: Want) -> I64:
        """What is still to be had: what the store lacks or, when replacing, has not come yet."""
        if self._request.replace:
            return intervals.subtract(wanted.span, self._writer.done[wanted])
        return missing(self._store, wanted)

    # -- the two sources ------------------------------------------------------------------------

    async def _archive(self, wants: list[Want], folder: Path, now: int) -> None:
        config, request = self._request.exchange, self._request
        slots = asyncio.Semaphore(request.concurrency)
        async with http_session(config) as session:
            fetcher = Fetcher(session, Retry(config, self._generator), request.checksums)
            async with asyncio.TaskGroup() as group:
                for wanted in wants:
                    source = ArchiveSource(
                        config, fetcher, folder, self._tally, slots=slots, now=now,
                        keep=request.keep, failed=self._failing(wanted),
                    )  # fmt: skip
                    parts = self._from_archive(wanted)
                    group.create_task(source.deliver(wanted, parts, self._writer.take))

    def _from_archive(self, wanted: Want) -> I64:
        """Missing time that files are for; holes in days that are there in part are REST's."""
        parts = self._missing(wanted)
        if self._request.source == "archive" or self._request.replace:
            return parts
        return untouched_days(self._store, wanted, parts)

    def _failing(self, wanted: Want) -> Callable[[str, tuple[int, int]], None]:
        def failed(reason: str, covered: tuple[int, int]) -> None:
            self._failures.append(reason)
            known = self._failed_time.get(wanted, intervals.empty())
            self._failed_time[wanted] = intervals.union(known, intervals.one(*covered))

        return failed

    async def _rest(self, wants: list[Want], exchange: _Exchange) -> None:
        slots = asyncio.Semaphore(self._request.concurrency)
        source = RestSource(exchange.requests, exchange.ask, self._tally)

        async def deliver(wanted: Want, parts: I64) -> None:
            async with slots:
                try:
                    await source.deliver(wanted, parts, self._writer.take)
                except UnreachableError:
                    raise
                except ApexError as error:
                    self._failures.append(f"{wanted}: {error}")

        # A file that was bad has been reported: its time is not paged through unasked.
        bad, none = self._failed_time, intervals.empty()
        left = {w: intervals.subtract(self._missing(w), bad.get(w, none)) for w in wants}
        left = {wanted: parts for wanted, parts in left.items() if len(parts)}
        if left and exchange.unreachable is not None:
            raise exchange.unreachable
        async with asyncio.TaskGroup() as group:
            for wanted, parts in left.items():
                group.create_task(deliver(wanted, parts))


async def _unwrapped(work: Coroutine[Any, Any, DownloadResult]) -> DownloadResult:
    """A task group's errors as the first one of them that a user can mend."""
    try:
        return await work
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        mendable = [error for error in leaves if isinstance(error, ApexError)]
        raise (mendable or leaves)[0] from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def untouched_days(store: MarketStore, wanted: Want, parts: I64) -> I64:
    """Missing time without the days that the store holds in part: a hole in one is REST's.

    A day that is missing from the start of the want, or up to its end, comes from a file as a
    whole, since nothing of it is held.
    """
    entry = store.manifest.markets.get(wanted.market)
    if entry is None or wanted.kind not in entry.kinds:
        return parts
    held = entry.kinds[wanted.kind].covered()
    days = intervals.round_out(parts, DAY)
    # The time of those days that is held, and with it the days that are touched.
    touched = intervals.subtract(days, intervals.subtract(days, held))
    return intervals.subtract(parts, intervals.round_out(touched, DAY))


def market_name(exchange: str, listing: Listing) -> str:
    """The store's name of a listing: its id where that can be one, else base and quote joined."""
    for symbol in (listing.symbol, re.sub(r"[^A-Za-z0-9]", "", listing.unified.split(":")[0])):
        try:
            market = f"{exchange}:{symbol}"
            split_market(market)
            return market
        except ApexError:
            continue
    raise ApexError(f"{listing.unified} has no name that a store can keep")


def _listing(listings: dict[str, Listing] | None, exchange: str, symbol: str) -> Listing:
    if listings is not None:
        return listing_named(listings, exchange, symbol)
    if not re.fullmatch(r"[A-Z0-9]{2,30}", symbol):
        raise ApexError(f"{symbol!r} is no symbol of {exchange}: write it like ETHUSDT")
    instrument: Literal["spot", "perpetual"] = "spot" if exchange == "binance" else "perpetual"
    return Listing(symbol, symbol, instrument, None, None, None)
