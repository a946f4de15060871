"""What the exchange trades: each market's trades, bars and funding, from a store or from memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market.kinds import empty
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import BEGINNING, FOREVER, MarketStore
from apex_trader.market.types import I64, Bars, Funding, Trades
from apex_trader.time import CLOCKS
from tests.local_exchange.text import places_of

Venue = Literal["spot", "futures"]
#: The exchange part of a market's name, by venue.
VENUES: dict[str, Venue] = {"binance": "spot", "binanceusdm": "futures"}
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "EUR", "BTC", "ETH", "BNB")
#: Ids of single fills are no aggregate ids: whoever mixes them up shall notice.
FILL_OFFSET = 7_000_000_000


def _no_trades() -> Trades:
    nothing = empty("trades")
    assert isinstance(nothing, Trades)
    return nothing


def _no_funding() -> Funding:
    nothing = empty("funding")
    assert isinstance(nothing, Funding)
    return nothing


@dataclass(frozen=True)
class Listing:
    """One market of the exchange.

    info.market is "binance:SYMBOL" (spot) or "binanceusdm:SYMBOL" (USD-M perpetual).
    trades: aggregate trades; their ids are the aggregate ids, and are counted from 1 where absent.
    bars: by clock; a bar that is absent is made of finer bars or of the trades.
    published [n]: when (µs) each trade becomes known, by REST and by socket; its own time when
    None. A trade that is published late is one that nobody could have seen before.
    """

    info: MarketInfo
    trades: Trades = field(default_factory=_no_trades)
    bars: Mapping[str, Bars] = field(default_factory=dict)
    funding: Funding = field(default_factory=_no_funding)
    published: I64 | None = None

    def __post_init__(self) -> None:
        exchange, _, symbol = self.info.market.partition(":")
        if exchange not in VENUES or not symbol:
            known = " or ".join(f"{name}:SYMBOL" for name in VENUES)
            raise ApexError(f"{self.info.market!r} cannot be listed here: name it {known}")
        wrong = [clock for clock, bars in self.bars.items() if bars.clock != clock]
        if wrong or not set(self.bars) <= set(CLOCKS):
            raise ApexError(f"{self.info.market}: bars belong to one of " + ", ".join(CLOCKS))
        if len(self.ids) > 1 and (np.diff(self.ids) <= 0).any():
            row = int(np.argmax(np.diff(self.ids) <= 0)) + 1
            raise ApexError(f"{self.info.market}: trade ids must ascend, row {row} does not")
        if self.published is not None and (self.published < self.trades.ts).any():
            raise ApexError(f"{self.info.market}: a trade is published before it happened")

    @classmethod
    def from_store(
        cls, store: MarketStore, market: str, start: int = BEGINNING, end: int = FOREVER,
        *, listed_as: str | None = None,
    ) -> Listing:  # fmt: skip
        """A store's market, its events in [start, end); ``listed_as`` gives it another name."""
        info = store.info(market)
        kinds = store.kinds(market)
        return cls(
            MarketInfo(
                listed_as or market, info.instrument, info.tick_size, info.lot_size,
                info.min_notional, info.has_sides,
            ),
            store.read_trades(market, start, end) if "trades" in kinds else _no_trades(),
            {c: store.read_bars(market, c, start, end) for c in CLOCKS if c in kinds},
            store.read_funding(market, start, end) if "funding" in kinds else _no_funding(),
        )  # fmt: skip

    @property
    def venue(self) -> Venue:
        """Which part of the exchange trades it."""
        return VENUES[self.info.market.partition(":")[0]]

    @property
    def symbol(self) -> str:
        """The exchange's symbol, e.g. ETHUSDT."""
        return self.info.market.partition(":")[2]

    @property
    def assets(self) -> tuple[str, str]:
        """(base, quote) of the symbol."""
        for quote in QUOTES:
            if self.symbol.endswith(quote) and len(self.symbol) > len(quote):
                return self.symbol.removesuffix(quote), quote
        raise ApexError(f"{self.symbol} ends with none of the quote assets " + ", ".join(QUOTES))

    @cached_property
    def ids(self) -> I64:
        """[n] aggregate trade ids, ascending."""
        if self.trades.id is not None:
            return self.trades.id
        return np.arange(1, len(self.trades) + 1, dtype=np.int64)

    @cached_property
    def fills(self) -> I64:
        """[n] id of the single fill that each aggregate trade consists of."""
        return self.ids + FILL_OFFSET

    @cached_property
    def known(self) -> I64:
        """[n] time at which each trade becomes known."""
        return self.trades.ts if self.published is None else self.published

    @cached_property
    def order(self) -> I64:
        """[n] rows in the order in which they become known."""
        return np.argsort(self.known, kind="stable").astype(np.int64)

    @cached_property
    def price_places(self) -> int:
        """Decimals of a price: spot writes eight, futures those of the tick."""
        return 8 if self.venue == "spot" else places_of(self.info.tick_size)

    @cached_property
    def amount_places(self) -> int:
        """Decimals of an amount."""
        return 8 if self.venue == "spot" else places_of(self.info.lot_size)

    def rows_by(self, now: int, rows: I64) -> I64:
        """Those of the rows that are known by a time."""
        return rows[self.known[rows] <= now]


class Feed:
    """All listings of the exchange, by venue and symbol."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._listings: dict[tuple[Venue, str], Listing] = {}
        for listing in listings:
            key = (listing.venue, listing.symbol)
            if key in self._listings:
                raise ApexError(f"{listing.info.market} is listed twice")
            self._listings[key] = listing

    @classmethod
    def from_store(
        cls, store: MarketStore, markets: Sequence[str], start: int = BEGINNING, end: int = FOREVER
    ) -> Feed:
        """Markets of a store; "binance:ETHUSDT=lab:ETH" lists the store's lab:ETH as the former."""
        listings = []
        for name in markets:
            listed, _, source = name.partition("=")
            listings.append(
                Listing.from_store(store, source or listed, start, end, listed_as=listed)
            )
        return cls(listings)

    def of(self, venue: Venue) -> list[Listing]:
        """The venue's listings, by symbol."""
        return [self._listings[key] for key in sorted(self._listings) if key[0] == venue]

    def all(self) -> list[Listing]:
        """Every listing."""
        return [*self.of("spot"), *self.of("futures")]

    def find(self, venue: Venue, symbol: str) -> Listing | None:
        """The listing with that symbol, or None."""
        return self._listings.get((venue, symbol))

    @property
    def begin(self) -> int:
        """Time of the first event; ApexError when there are none."""
        firsts = [int(ts[0]) for listing in self.all() for ts in _times(listing)]
        if not firsts:
            raise ApexError("the exchange has no events: list a market with trades or bars")
        return min(firsts)

    @property
    def end(self) -> int:
        """A time by which every trade is known, every bar closed, every payment made."""
        lasts = [int(ts[-1]) + 1 for listing in self.all() for ts in _times(listing)]
        for listing in self.all():
            lasts += [int(bars.ts[-1]) + bars.step for bars in listing.bars.values() if len(bars)]
            lasts += [int(listing.known.max()) + 1] if len(listing.known) else []
        return max(lasts)


def _times(listing: Listing) -> list[I64]:
    columns = [listing.trades.ts, listing.funding.ts, *(b.ts for b in listing.bars.values())]
    return [ts for ts in columns if len(ts)]
