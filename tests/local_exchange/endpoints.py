"""An endpoint of the REST API: its weight and its answer, and what every endpoint may ask of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.local_exchange.answers import ExchangeError, Query
from tests.local_exchange.candles import Candles
from tests.local_exchange.clock import Clock
from tests.local_exchange.feed import Feed, Listing, Venue
from tests.local_exchange.limits import LimitConfig

#: (what the exchange is, the request's parameters) → the answer, to be sent as JSON.
Answer = Callable[["Exchange", Query], Any]


@dataclass(frozen=True)
class Endpoint:
    """One path. weight: what a request costs, which may depend on its parameters."""

    path: str
    answer: Answer
    weight: Callable[[Query], int]
    needs_key: bool = False


class Exchange:
    """What endpoints ask of: the feed, the time, the limits."""

    def __init__(self, feed: Feed, clock: Clock, limits: LimitConfig) -> None:
        self.feed, self.clock, self.limits = feed, clock, limits
        self._candles: dict[str, Candles] = {}

    def now(self) -> int:
        """The exchange's time, µs."""
        return self.clock.now()

    def listing(self, venue: Venue, query: Query) -> Listing:
        """The listing that ``symbol`` names."""
        found = self.feed.find(venue, query.text("symbol"))
        if found is None:
            raise ExchangeError(400, -1121, "Invalid symbol.")
        return found

    def candles(self, listing: Listing) -> Candles:
        """The bars of a listing."""
        return self._candles.setdefault(listing.info.market, Candles(listing))

    def rate_limits(self, venue: Venue) -> list[dict[str, Any]]:
        """The limits that exchangeInfo states."""
        weight = self.limits.weight[venue]
        return [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
                 "limit": weight}]  # fmt: skip


def costs(weight: int) -> Callable[[Query], int]:
    """A weight that does not depend on the parameters."""
    return lambda query: weight
