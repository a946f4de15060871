"""An endpoint of the REST API: its weight and its answer, and what every endpoint may ask of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.local_exchange.answers import ExchangeError, Query
from tests.local_exchange.candles import Candles
from tests.local_exchange.clock import Clock
from tests.local_exchange.feed import Feed, Listing, Venue
from tests.local_exchange.limits import LimitConfig
from tests.local_exchange.listen_keys import ListenKeys
from tests.local_exchange.signing import Signatures
from tests.local_exchange.trading.config import Account, TradingConfig
from tests.local_exchange.trading.engine import Engine

#: (what the exchange is, the request's parameters) → the answer, to be sent as JSON, or a coroutine
#: that gives it.
Answer = Callable[["Exchange", Query], Any]


@dataclass(frozen=True)
class Endpoint:
    """One path. weight: what a request costs, which may depend on its parameters.

    needs_key: any API key does while the exchange has no accounts; with accounts the request must
    be signed by one. signed: an account must have signed it. key_only: an account's key does.
    order: whether it places orders, which are counted, or cancels them.
    """

    path: str
    answer: Answer
    weight: Callable[[Query], int]
    needs_key: bool = False
    signed: bool = False
    key_only: bool = False
    method: str = "GET"
    order: Literal["", "new", "cancel"] = ""


class Exchange:
    """What endpoints ask of: the feed, the time, the limits, and everything that is traded."""

    def __init__(
        self, feed: Feed, clock: Clock, limits: LimitConfig, accounts: Sequence[Account] = (),
        trading: TradingConfig | None = None,
    ) -> None:  # fmt: skip
        self.feed, self.clock, self.limits = feed, clock, limits
        self.accounts, self.trading = tuple(accounts), trading or TradingConfig()
        self.engine = Engine(feed, self.accounts, self.trading, clock.now())
        self.signatures = Signatures(self.accounts, self.trading)
        self.keys = ListenKeys(self.trading.listen_key_life)
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
        requests = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
                    "limit": weight}  # fmt: skip
        units = {"S": "SECOND", "M": "MINUTE", "D": "DAY"}
        return [requests] + [
            {"rateLimitType": "ORDERS", "interval": units[name[-1]],
             "intervalNum": int(name[:-1]), "limit": most}
            for name, _, most in self.trading.order_limits[venue]
        ]  # fmt: skip


def costs(weight: int) -> Callable[[Query], int]:
    """A weight that does not depend on the parameters."""
    return lambda query: weight
