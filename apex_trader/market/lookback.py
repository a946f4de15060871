"""Measuring the basis between a market and the one that stands in for its past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market import intervals
from apex_trader.market.history import StoreSource
from apex_trader.market.source import LookbackSource
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import split_market
from apex_trader.market.types import F64, I64
from apex_trader.time import HOUR, MINUTE, format_time

#: Exchanges whose markets track, symbol by symbol, those of another with a longer history.
LOOKBACK_EXCHANGES = {"binanceusdm": "binance"}
#: Minutes that the basis is measured on.
MINUTES = 5


def natural_source(market: str) -> str | None:
    """The market that usually stands in for this one's past, or None."""
    exchange, symbol = split_market(market)
    other = LOOKBACK_EXCHANGES.get(exchange)
    return None if other is None else f"{other}:{symbol}"


def measure_lookback(
    store: MarketStore, market: str, source: str, minutes: int = MINUTES
) -> LookbackSource | None:
    """The basis of ``market`` over ``source``: median ln ratio of their closes.

    Measured on the first (up to ``minutes``) full minutes in which both have traded, and valid
    from the close of the last of them. None when they share no minute.
    """
    if minutes < 1:
        raise ConfigError("minutes", minutes, "1 or more")
    pair = StoreSource(store, market), StoreSource(store, source)
    times, ratios = np.empty(0, np.int64), np.empty(0)
    for start, end in _shared_time(*pair):
        ts, ratio = _log_ratios(*pair, start, end)
        times, ratios = np.concatenate([times, ts]), np.concatenate([ratios, ratio])
        if len(times) >= minutes:
            break
    if len(times) == 0:
        return None
    times, ratios = times[:minutes], ratios[:minutes]
    return LookbackSource(source, float(np.median(ratios)), int(times[-1]) + MINUTE)


def _shared_time(own: StoreSource, other: StoreSource) -> Iterator[tuple[int, int]]:
    """The time that both markets cover, in pieces that grow from an hour."""
    for low, high in own.coverage("1m").tolist():
        for start, end in intervals.clip(other.coverage("1m"), low, high).tolist():
            piece = HOUR
            while start < end:
                yield start, min(start + piece, end)
                start, piece = start + piece, 2 * piece


def _log_ratios(own: StoreSource, other: StoreSource, start: int, end: int) -> tuple[I64, F64]:
    """(opens, ln own close / other close) of the minutes in which both traded."""
    # Their own minutes: with stand-ins a market would be compared with itself.
    a, b = own.own_minutes(start, end), other.own_minutes(start, end)
    shared = np.intersect1d(a.ts[a.volume > 0], b.ts[b.volume > 0])
    closes = [bars.close[np.searchsorted(bars.ts, shared)] for bars in (a, b)]
    return shared, np.log(closes[0] / closes[1])


def set_lookback(
    store: MarketStore, market: str, source: str, minutes: int = MINUTES
) -> LookbackSource:
    """Measure and record the look-back of a market; ApexError when it cannot be measured."""
    if market == source:
        raise ApexError(f"{market} cannot be its own look-back: name another market")
    lookback = measure_lookback(store, market, source, minutes)
    if lookback is None:
        raise ApexError(
            f"{market} and {source} share no full minute in the store {store.url!r}, so the basis "
            "between them is unknown: import data of both for the same minutes"
        )
    store.set_info(replace(store.info(market), lookback=lookback), given=["lookback"])
    return lookback


def lookback_text(market: str, lookback: LookbackSource) -> str:
    """A line on what stands in for a market's past."""
    return (
        f"{market}: {lookback.market} stands in for its past, ln basis {lookback.basis:+.6f}, "
        f"decisions from {format_time(lookback.as_of)} on"
    )


def discover_lookbacks(store: MarketStore) -> dict[str, LookbackSource | None]:
    """Record look-backs that suggest themselves; what changed, by market.

    A market of LOOKBACK_EXCHANGES gets the one of the same symbol, when the store has both. None:
    they share no minute yet. A look-back that a user has set is kept; one that was found here is
    measured again when earlier minutes have come to be shared.
    """
    found: dict[str, LookbackSource | None] = {}
    for market in store.markets():
        source = natural_source(market)
        entry = store.entry(market)
        if source is None or source not in store.markets() or "lookback" in entry.given:
            continue
        known, measured = entry.info.lookback, measure_lookback(store, market, source)
        if measured is None:
            found |= {market: None} if known is None else {}
        elif known is None or measured.as_of < known.as_of:
            store.set_info(replace(entry.info, lookback=measured))
            found[market] = measured
    return found
