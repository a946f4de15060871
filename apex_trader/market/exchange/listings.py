"""The markets that an exchange lists: their names, and the steps of their prices and amounts."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import ccxt

from apex_trader.errors import ApexError
from apex_trader.market.exchange.requests import Requests
from apex_trader.market.exchange.retry import Again


@dataclass(frozen=True)
class Listing:
    """One listed market.

    symbol: the exchange's own id, e.g. ETHUSDT; unified: ccxt's name, e.g. ETH/USDT:USDT.
    tick_size, lot_size, min_notional: None where the exchange does not say.
    """

    symbol: str
    unified: str
    instrument: Literal["spot", "perpetual"]
    tick_size: float | None
    lot_size: float | None
    min_notional: float | None


async def load_listings(requests: Requests, retries: int | None = None) -> dict[str, Listing]:
    """All markets of the exchange by their own id. UnreachableError when it does not answer."""

    async def load() -> Any:
        markets = await requests.client.load_markets(reload=True)
        if not markets:
            # ccxt makes that of null and of whatever else is no list of symbols.
            raise Again("a list of no symbols", odd=True)
        return markets

    markets = cast(dict[str, Any], await requests.call(load, dict, retries))
    decimals = requests.client.precisionMode == ccxt.DECIMAL_PLACES
    return {
        str(market["id"]): _listing(market, decimals=decimals)
        for market in markets.values()
        if market.get("spot") or market.get("swap")
    }


def listing_named(listings: dict[str, Listing], exchange: str, name: str) -> Listing:
    """The listing of an id (ETHUSDT) or of ccxt's name (ETH/USDT); ApexError names similar ones.

    Names are also known by their letters and digits alone: ETHUSDT where an exchange writes
    ETH-USDT, as in the names of data files.
    """
    if name in listings:
        return listings[name]
    for listing in listings.values():
        # Of a perpetual the part before the colon is enough.
        if name in (listing.unified, listing.unified.split(":")[0]):
            return listing
    spot_first = sorted(listings.values(), key=lambda listing: listing.instrument != "spot")
    for field in ("symbol", "unified"):
        for listing in spot_first:
            if plain_name(getattr(listing, field).split(":")[0]) == plain_name(name):
                return listing
    known = list(listings)
    close = difflib.get_close_matches(name.upper(), known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else (
        f"it lists {len(known):,} symbols, among them {', '.join(sorted(known)[:5])}"
    )  # fmt: skip
    raise ApexError(f"{exchange} lists no symbol {name!r}: {hint}")


def plain_name(name: str) -> str:
    """A symbol's letters and digits: what all ways to write it have in common."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _listing(market: dict[str, Any], *, decimals: bool) -> Listing:
    precision = market.get("precision") or {}
    cost = (market.get("limits") or {}).get("cost") or {}
    return Listing(
        str(market["id"]), str(market["symbol"]), "perpetual" if market.get("swap") else "spot",
        _step(precision.get("price"), decimals=decimals),
        _step(precision.get("amount"), decimals=decimals),
        None if cost.get("min") is None else float(cost["min"]),
    )  # fmt: skip


def _step(precision: float | None, *, decimals: bool) -> float | None:
    """A price or amount step: ccxt gives it as such, or as a number of decimal places."""
    if precision is None:
        return None
    step = float(f"1e-{int(precision)}") if decimals else float(precision)
    return step if step > 0 else None
