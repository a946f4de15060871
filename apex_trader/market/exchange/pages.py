"""A market's past over REST, a page at a time.

Two ways to ask the same: Binance's own endpoints, which number aggregate trades and give taker
volume and counts of bars, and ccxt's unified ones for every other exchange.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market.exchange.client import is_binance
from apex_trader.market.exchange.convert import (
    micros,
    raw_bars,
    raw_funding,
    raw_trades,
    refuse_outside,
    unified_bars,
    unified_funding,
    unified_trades,
)
from apex_trader.market.exchange.listings import Listing
from apex_trader.market.exchange.requests import Requests
from apex_trader.market.kinds import Data
from apex_trader.market.types import Bars, Funding, Trades
from apex_trader.time import HOUR, SECOND, floor_to, parse_time

#: Rows of a full page.
PAGE = 1000
#: Longest window (µs) in which Binance looks for aggregate trades by time.
TRADE_WINDOW = HOUR
MILLISECOND = 1000
#: µs by which an exchange's machines, or this one where it tells no time, may be apart.
APART = 10 * SECOND
#: Spot trades of this time and later have microseconds in the archive.
MICROSECONDS_FROM = parse_time("2025-01-01")


class Pages(Protocol):
    """The first rows of a stretch of time of one market; at most a page of them.

    numbered: trades carry consecutive ids, so ``trades_from`` leaves nothing out, and no rows in
    a stretch means that there are none; elsewhere an exchange may just not look so far back.
    window: longest stretch (µs) that ``trades`` looks through; None: any.
    """

    numbered: bool
    window: int | None

    async def time(self) -> int:
        """The exchange's clock, µs UTC."""

    async def trades(self, listing: Listing, start: int, end: int) -> Trades:
        """The first trades of [start, end)."""

    async def trades_from(self, listing: Listing, number: int) -> Trades:
        """Trades from this id on."""

    async def bars(self, listing: Listing, clock: str, start: int, end: int) -> Bars:
        """The first bars that open in [start, end); the last may still be forming."""

    async def funding(self, listing: Listing, start: int, end: int) -> Funding:
        """The first funding payments of [start, end)."""


def pages(requests: Requests, *, strict: bool = False) -> Pages:
    """The best way to ask the exchange of these requests.

    strict: DataError for rows of times that were not asked for, or that the exchange's own clock
    has not reached. Who cuts pages by time, and takes the rest for complete, needs that.
    """
    kind = BinancePages if is_binance(requests.config) else UnifiedPages
    return kind(requests, strict=strict)


class Present:
    """The exchange's clock as a bound of what it can tell of: asked again only when reached."""

    def __init__(self, time: Callable[[], Awaitable[int]]) -> None:
        self._time, self._known = time, 0

    async def refuse_later(self, rows: Data, origin: str) -> None:
        """DataError when a row lies in the future."""
        if len(rows) == 0:
            return
        if int(rows.ts.max()) >= self._known:
            self._known = await self._time() + APART
        refuse_outside(rows, 0, self._known, origin)


class BinancePages:
    """Binance spot, USD-M and COIN-M: https://developers.binance.com/docs.

    Spot trades before MICROSECONDS_FROM are in milliseconds, as in the archive's files of that
    time, even where the client asks for microseconds.
    """

    numbered = True
    window: int | None = TRADE_WINDOW

    def __init__(self, requests: Requests, *, strict: bool = False) -> None:
        self._requests, self._client = requests, requests.client
        self._strict, self._present = strict, Present(self.time)
        self._api = {"binanceusdm": "fapiPublic", "binancecoinm": "dapiPublic"}.get(
            requests.config.exchange, "public"
        )

    async def time(self) -> int:
        """See ``Pages.time``."""
        method = getattr(self._client, self._api + "GetTime")

        async def told() -> Any:
            answer = await method({})
            return int(answer["serverTime"]) if isinstance(answer, dict) else answer

        time: int = await self._requests.call(told, int)
        return micros(time)

    async def trades(self, listing: Listing, start: int, end: int) -> Trades:
        """See ``Pages.trades``; looks at one hour at most."""
        end = min(end, start + TRADE_WINDOW)
        trades = await self._trades(listing, **_span(start, end))
        self._refuse_unasked(trades, start, end, f"{listing.symbol} aggTrades")
        return trades

    async def trades_from(self, listing: Listing, number: int) -> Trades:
        """See ``Pages.trades_from``."""
        trades = await self._trades(listing, fromId=number)
        if self._strict:
            await self._present.refuse_later(trades, f"{listing.symbol} aggTrades")
        return trades

    async def bars(self, listing: Listing, clock: str, start: int, end: int) -> Bars:
        """See ``Pages.bars``."""
        rows = await self._rows("GetKlines", listing, interval=clock, **_span(start, end))
        bars = raw_bars(rows, clock, f"{clock} klines")
        self._refuse_unasked(bars, start, end, f"{clock} klines")
        return bars

    async def funding(self, listing: Listing, start: int, end: int) -> Funding:
        """See ``Pages.funding``."""
        rows = await self._rows("GetFundingRate", listing, **_span(start, end))
        paid = raw_funding(rows)
        self._refuse_unasked(paid, start, end, "fundingRate")
        return paid

    def _refuse_unasked(self, rows: Data, start: int, end: int, origin: str) -> None:
        if self._strict:
            # Asked for in whole milliseconds.
            refuse_outside(rows, start - MILLISECOND, end + MILLISECOND, origin)

    async def _trades(self, listing: Listing, **parameters: int) -> Trades:
        rows = await self._rows("GetAggTrades", listing, **parameters)
        trades = raw_trades(rows, f"{listing.symbol} aggTrades")
        whole = floor_to(trades.ts, MILLISECOND)
        return replace(trades, ts=np.where(trades.ts < MICROSECONDS_FROM, whole, trades.ts))

    async def _rows(self, endpoint: str, listing: Listing, **parameters: Any) -> list[Any]:
        method = getattr(self._client, self._api + endpoint)
        query = {"symbol": listing.symbol, "limit": PAGE, **parameters}
        return await self._requests.call(lambda: method(query), list)


class UnifiedPages:
    """Any exchange of ccxt. Bars have no taker volume, trades perhaps no usable ids."""

    numbered = False
    window: int | None = None

    def __init__(self, requests: Requests, *, strict: bool = False) -> None:
        self._requests, self._client = requests, requests.client
        self._strict, self._present = strict, Present(self.time)

    async def time(self) -> int:
        """See ``Pages.time``; the local clock where the exchange does not tell its own."""
        if not self._client.has.get("fetchTime"):
            return int(self._client.milliseconds()) * MILLISECOND
        return int(await self._requests.call(self._client.fetch_time, int)) * MILLISECOND

    async def trades(self, listing: Listing, start: int, end: int) -> Trades:
        """See ``Pages.trades``."""
        rows = await self._rows("fetchTrades", self._client.fetch_trades, listing, start)
        trades = unified_trades(rows)
        await self._refuse_later(trades, f"{listing.symbol} trades")
        return trades.between(start, end)

    async def trades_from(self, listing: Listing, number: int) -> Trades:
        """Not to be had from ccxt's unified endpoints."""
        raise ApexError(f"{self._requests.config.exchange} has no trades by number")

    async def bars(self, listing: Listing, clock: str, start: int, end: int) -> Bars:
        """See ``Pages.bars``."""
        self._require("fetchOHLCV")
        if clock not in (self._client.timeframes or {}):
            known = ", ".join(self._client.timeframes or {})
            raise ApexError(f"{self._requests.config.exchange} has no {clock} bars: it has {known}")
        rows = await self._requests.call(
            lambda: self._client.fetch_ohlcv(
                listing.unified, clock, since=-(-start // MILLISECOND), limit=PAGE
            ),
            list,
        )
        bars = unified_bars(rows, clock, f"{clock} bars")
        await self._refuse_later(bars, f"{clock} bars")
        return bars.between(start, end)

    async def funding(self, listing: Listing, start: int, end: int) -> Funding:
        """See ``Pages.funding``."""
        fetch = self._client.fetch_funding_rate_history
        rows = await self._rows("fetchFundingRateHistory", fetch, listing, start)
        # Not refused: some exchanges tell of the payment to come as well.
        return unified_funding(rows).between(start, end)

    async def _refuse_later(self, rows: Data, origin: str) -> None:
        if self._strict:
            await self._present.refuse_later(rows, origin)

    async def _rows(
        self, ability: str, fetch: Callable[..., Awaitable[Any]], listing: Listing, start: int
    ) -> list[Any]:
        self._require(ability)
        since = -(-start // MILLISECOND)
        rows: list[Any] = await self._requests.call(
            lambda: fetch(listing.unified, since=since, limit=PAGE), list
        )
        return sorted(rows, key=lambda row: row["timestamp"])

    def _require(self, ability: str) -> None:
        if not self._client.has.get(ability):
            raise ApexError(f"{self._requests.config.exchange} has no {ability} in ccxt")


def _span(start: int, end: int) -> dict[str, int]:
    """[start, end) in Binance's words: milliseconds, both included."""
    return {"startTime": start // MILLISECOND, "endTime": (end - 1) // MILLISECOND}
