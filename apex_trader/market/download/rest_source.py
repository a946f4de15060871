"""History over REST: what the archive does not have, such as today."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from apex_trader.market.download.source import RowsDelivery, Take, Watch
from apex_trader.market.download.want import Want
from apex_trader.market.exchange.pages import PAGE, Pages
from apex_trader.market.exchange.requests import Requests
from apex_trader.market.kinds import KINDS, Data, concatenate, empty
from apex_trader.market.types import I64, Bars, Funding, Trades
from apex_trader.time import HOUR

#: Rows that are collected before they are written: a kill loses no more than these.
BATCH = 50_000


@dataclass(frozen=True)
class Lot:
    """Rows that followed each other, and the time until which nothing else happened."""

    rows: Data
    until: int


class RestSource:
    """Pages through a market's history, and hands it over in batches.

    Where an exchange does not number its trades, no rows may also mean that it does not look so far
    back: then only the time from the first row to the last is said to be covered.
    """

    name = "rest"

    def __init__(self, requests: Requests, ask: Pages, watch: Watch) -> None:
        self._requests, self._ask, self._watch = requests, ask, watch

    async def deliver(self, wanted: Want, parts: I64, take: Take) -> None:
        """See ``Source.deliver``."""
        lots = {"trades": self._trades, "funding": self._funding}.get(wanted.kind, self._bars)
        for start, end in parts.tolist():
            batch: _Batch | None = None
            async for lot in lots(wanted, start, end):
                self._watch.received(wanted, self._requests.received())
                if batch is None:
                    batch = _Batch(wanted, self._known_from(wanted, lot, start), take)
                await batch.add(lot)
            if batch is not None:
                await batch.flush()

    def _known_from(self, wanted: Want, lot: Lot, start: int) -> int:
        """Since when the first rows speak for everything that happened."""
        if self._ask.numbered or len(lot.rows) == 0:
            return start
        first = int(lot.rows.ts[0])
        return start if first - start <= KINDS[wanted.kind].join else first

    # -- trades -------------------------------------------------------------------------------

    def _trades(self, wanted: Want, start: int, end: int) -> AsyncIterator[Lot]:
        if self._ask.numbered:
            return self._numbered(wanted, start, end)
        return self._by_time(wanted, start, end)

    async def _numbered(self, wanted: Want, start: int, end: int) -> AsyncIterator[Lot]:
        """Trades by their consecutive numbers: nothing is lost inside one millisecond."""
        page = await self._first(wanted, start, end)
        while len(page):
            inside = page.between(start, end)
            if page.ts[-1] >= end or len(page) < PAGE:
                yield Lot(inside, end)
                return
            # Further trades of the last time may be on the next page.
            yield Lot(inside, int(page.ts[-1]))
            page = await self._next(wanted, int(_ids(page)[-1]) + 1)
        yield Lot(empty("trades"), end)

    async def _first(self, wanted: Want, start: int, end: int) -> Trades:
        """The page that begins with the first trade of [start, end); empty when there is none."""
        ask, at = self._ask, start
        while at < end:
            page = await ask.trades(wanted.listing, at, end)
            if len(page):
                return await self._next(wanted, int(_ids(page)[0]))
            at = end if ask.window is None else at + ask.window
            if at < end:
                at = await self._next_traded_hour(wanted, at, end)
        return cast(Trades, empty("trades"))

    async def _next_traded_hour(self, wanted: Want, at: int, end: int) -> int:
        """Where trading goes on after a long silence (before a listing, years): bars know."""
        at = at // HOUR * HOUR
        while at < end:
            bars = await self._ask.bars(wanted.listing, "1h", at, end)
            if len(bars) == 0:
                return end
            traded = np.flatnonzero(bars.volume > 0)
            if len(traded):
                return int(bars.ts[traded[0]])
            at = int(bars.ts[-1]) + HOUR
        return end

    async def _next(self, wanted: Want, number: int) -> Trades:
        """The page from a number on. A hole in the numbers is looked at twice."""
        page = await self._ask.trades_from(wanted.listing, number)
        if _lacking(page, number):
            page = await self._ask.trades_from(wanted.listing, number)
            if lacking := _lacking(page, number):
                self._watch.remark(
                    f"{wanted}: the exchange leaves out {lacking:,} trade numbers after {number:,}"
                )
        return page

    async def _by_time(self, wanted: Want, start: int, end: int) -> AsyncIterator[Lot]:
        """Trades of an exchange that has no numbers; the page's edge is matched by rows."""
        at, edge = start, cast(Trades, empty("trades"))
        while at < end:
            page = await self._ask.trades(wanted.listing, at, end)
            fresh = page.slice(_known(edge, page), len(page))
            if len(fresh) == 0:
                if len(edge):
                    joined = end - at <= KINDS["trades"].join
                    yield Lot(fresh, end if joined else at + 1)
                return
            last = int(page.ts[-1])
            yield Lot(fresh, last)
            at, edge = last, page.between(last, last + 1)

    # -- bars and funding -----------------------------------------------------------------------

    async def _bars(self, wanted: Want, start: int, end: int) -> AsyncIterator[Lot]:
        step = KINDS[wanted.kind].step
        assert step is not None

        async def page(at: int) -> Bars:
            return await self._ask.bars(wanted.listing, wanted.kind, at, end)

        async for lot in self._keyed(page, start, end, step):
            yield lot

    async def _funding(self, wanted: Want, start: int, end: int) -> AsyncIterator[Lot]:
        async def page(at: int) -> Funding:
            return await self._ask.funding(wanted.listing, at, end)

        async for lot in self._keyed(page, start, end, 1):
            yield lot

    async def _keyed(
        self, page: Callable[[int], Awaitable[Bars | Funding]], start: int, end: int, step: int
    ) -> AsyncIterator[Lot]:
        """Rows with unique times: the next page begins after the last row."""
        at = start
        while at < end:
            rows = (await page(at)).between(at, end)
            if len(rows) == 0:
                if self._ask.numbered:
                    yield Lot(rows, end)
                return
            at = int(rows.ts[-1]) + step
            yield Lot(rows, at)


@dataclass
class _Batch:
    """Lots that wait to be handed over together; [start, until) µs are what they speak for."""

    wanted: Want
    start: int
    take: Take
    lots: list[Lot] = field(default_factory=list)

    async def add(self, lot: Lot) -> None:
        self.lots.append(lot)
        if sum(len(lot.rows) for lot in self.lots) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Hand over the rows before ``until``; those at it may not be all, and wait."""
        if not self.lots:
            return
        until = self.lots[-1].until
        rows = concatenate(self.wanted.kind, [lot.rows for lot in self.lots])
        done = rows.between(self.start, until)
        if until > self.start:
            origin = f"{self.wanted} over REST"
            await self.take(RowsDelivery(self.wanted, done, (self.start, until), origin))
        left = rows.slice(len(done), len(rows))
        self.start, self.lots = until, [Lot(left, until)] if len(left) else []


def _ids(trades: Trades) -> I64:
    assert trades.id is not None
    return trades.id


def _lacking(page: Trades, number: int) -> int:
    """How many numbers from ``number`` to the page's last are not in it."""
    return int(_ids(page)[-1]) - number + 1 - len(np.unique(_ids(page))) if len(page) else 0


def _known(edge: Trades, page: Trades) -> int:
    """How many of the page's first trades are those of ``edge``, which ended the page before."""
    if len(edge) == 0:
        return 0
    same = page.between(int(edge.ts[0]), int(edge.ts[0]) + 1)
    return min(len(edge), len(same))
