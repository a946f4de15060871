"""One exchange as the feed sees it: its client, its REST answers, its markets, its clock."""

from __future__ import annotations

from typing import Any

from numpy.random import Generator

from apex_trader.market.exchange.client import streaming
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.listings import Listing, listing_named, load_listings
from apex_trader.market.exchange.pages import Pages, pages
from apex_trader.market.exchange.requests import Requests
from apex_trader.market.exchange.retry import Retry
from apex_trader.market.source import MarketInfo
from apex_trader.market.stream.clock import Clock
from apex_trader.market.stream.skew import ClockSkew
from apex_trader.time import SECOND

#: Round trips at the start: enough for a median.
FIRST_TRIPS = 3
#: Round trips at a time at most: a second one confirms what contradicts those before.
CONFIRMING_TRIPS = 3


class Venue:
    """An exchange with its markets loaded and its clock measured; made by ``open_venue``."""

    def __init__(
        self, client: Any, config: ExchangeConfig, pages: Pages, listings: dict[str, Listing],
        clock: Clock,
    ) -> None:  # fmt: skip
        self.client, self.config, self.pages = client, config, pages
        self.skew = ClockSkew()
        self._listings, self._clock = listings, clock
        self._more: list[Any] = []

    def listing(self, market: str) -> Listing:
        """The exchange's own entry of "exchange:SYMBOL"; ApexError names similar ones."""
        return listing_named(self._listings, self.config.exchange, market.partition(":")[2])

    def info(self, market: str) -> MarketInfo:
        """What the exchange says of a market; what it does not say is ``MarketInfo``'s default."""
        listing = self.listing(market)
        default = MarketInfo(market)
        return MarketInfo(
            market, listing.instrument, listing.tick_size or default.tick_size,
            listing.lot_size or default.lot_size,
            default.min_notional if listing.min_notional is None else listing.min_notional,
        )  # fmt: skip

    def pays_funding(self, market: str) -> bool:
        """Whether the market is a perpetual whose payments can be asked for."""
        can = bool(self.client.has.get("fetchFundingRateHistory"))
        return can and self.listing(market).instrument == "perpetual"

    def another_client(self) -> Any:
        """A further client of the same exchange, for a socket of its own."""
        client = streaming(self.config)
        client.set_markets(self.client.markets, self.client.currencies)
        self._more.append(client)
        return client

    async def measure(self) -> None:
        """Compare the exchange's clock with the local one."""
        for _ in range(CONFIRMING_TRIPS):
            sent = self._clock.now()
            exchange = await self.pages.time()
            self.skew.measured(sent, self._clock.now(), exchange)
            if self.skew.settled:
                return

    def now(self) -> int:
        """The exchange's time, µs."""
        return self.skew.exchange_time(self._clock.now())

    async def close(self) -> None:
        """Close every client."""
        for client in (self.client, *self._more):
            await client.close()


async def open_venue(config: ExchangeConfig, clock: Clock, generator: Generator) -> Venue:
    """Load an exchange's markets and measure its clock. UnreachableError when it is not there."""
    client = streaming(config)
    try:
        retry = Retry(
            config, generator, sleep=clock.sleep, clock=lambda: clock.now() / SECOND
        )  # fmt: skip
        requests = Requests(client, config, retry)
        listings = await load_listings(requests)
        venue = Venue(client, config, pages(requests), listings, clock)
        for _ in range(FIRST_TRIPS):
            await venue.measure()
    except BaseException:
        await client.close()
        raise
    return venue
