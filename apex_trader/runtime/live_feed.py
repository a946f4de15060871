"""The feed of a run on a live market."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from apex_trader.market.closed import ClosedFeed
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import split_market
from apex_trader.runtime.config import Config


class LiveFeed(ClosedFeed, Protocol):
    """A feed that runs until it is closed."""

    @property
    def start(self) -> int:
        """The first second (µs) that it gives: where its history ends."""

    def now(self) -> int:
        """The exchange's time, µs."""

    def metrics(self) -> dict[str, float]:
        """Its figures, ``stream/…``."""

    def close(self) -> None:
        """End it; what it keeps is kept afterwards."""


class FeedTime:
    """The exchange's clock as a feed knows it."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed, self._first = feed, self._off(feed)

    def now(self) -> int:
        """The exchange's time, µs."""
        return self._feed.now()

    def skew(self) -> float:
        """Seconds by which the exchange's clock and this machine's have moved apart since then."""
        return self._off(self._feed) - self._first

    @staticmethod
    def _off(feed: LiveFeed) -> float:
        return feed.metrics().get("stream/skew", 0.0)


#: Opens the feed of a run's markets, behind what is in a store.
OpenFeed = Callable[[Config, MarketStore], LiveFeed]


def open_live_feed(config: Config, store: MarketStore) -> LiveFeed:
    """The feed of a run's markets from their exchanges. It goes on where the store ends, and
    writes its trades there."""
    # ccxt takes a second to import, which a run on the market store need not spend.
    from apex_trader.market.stream.blocking import BlockingFeed
    from apex_trader.market.stream.feed import TradeFeed

    markets = [m for m in (config.market.primary, config.market.reference) if m]
    exchanges = dict.fromkeys(split_market(market)[0] for market in markets)
    configs = [replace(config.exchange, exchange=name) for name in exchanges]
    return BlockingFeed(TradeFeed(configs, markets, store=store, stream=config.stream)).open()
