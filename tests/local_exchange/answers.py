"""What REST answers have in common: parameters, errors, trades and klines as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from apex_trader.market.types import I64
from apex_trader.time import CLOCKS, HOUR
from tests.local_exchange.candles import Candles, intervals_of, quote_volume
from tests.local_exchange.feed import FILL_OFFSET, Listing
from tests.local_exchange.text import decimal_texts

#: Times of at least this are microseconds: milliseconds reach it in the year 5138.
MICROSECONDS = 100_000_000_000_000


class ExchangeError(Exception):
    """An error as the exchange words it: HTTP status, code, message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(f"{code} {message}")


@dataclass(frozen=True)
class Query:
    """The parameters of a request; ``micros``: the answer's times are µs instead of ms.

    caller: name of the account that asks, "" where that is nobody's matter.
    """

    values: Mapping[str, str]
    micros: bool = False
    caller: str = ""

    def text(self, name: str) -> str:
        """A mandatory parameter."""
        value = self.values.get(name, "")
        if not value:
            raise ExchangeError(
                400, -1102,
                f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
            )  # fmt: skip
        return value

    def integer(self, name: str) -> int | None:
        """An optional whole number."""
        value = self.values.get(name)
        if value is None:
            return None
        if not value.isdigit():
            raise ExchangeError(
                400, -1100, f"Illegal characters found in parameter '{name}'; "
                "legal range is '^[0-9]{1,20}$'.",
            )  # fmt: skip
        return int(value)

    def time(self, name: str, *, last: bool = False) -> int | None:
        """An optional time in µs; as the end of a range it includes its whole millisecond."""
        value = self.integer(name)
        if value is None or value >= MICROSECONDS:
            return value
        return value * 1000 + (999 if last else 0)

    def limit(self, default: int, most: int, *, capped: bool) -> int:
        """The number of rows wanted; above ``most`` it is capped (spot) or refused (futures)."""
        value = self.integer("limit")
        if value is None:
            return default
        if value < 1 or (value > most and not capped):
            raise ExchangeError(400, -1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, most)

    def stamps(self, micros: I64) -> list[int]:
        """Times as the client wants them."""
        stamps: list[int] = (micros if self.micros else micros // 1000).tolist()
        return stamps


def aggregate_trades(listing: Listing, query: Query, now: int, *, capped: bool) -> list[Any]:
    """GET aggTrades: from an id, in a window of at most one hour, or the most recent ones."""
    limit = query.limit(500, 1000, capped=capped)
    first, start, end = query.integer("fromId"), query.time("startTime"), query.time("endTime")
    end = query.time("endTime", last=True)
    if first is not None and (start is not None or end is not None):
        raise ExchangeError(400, -1128, "Combination of optional parameters invalid.")
    if start is not None and end is not None and end // 1000 - start // 1000 > HOUR // 1000:
        raise ExchangeError(400, -1127, "More than 1 hours between startTime and endTime.")
    ts = listing.trades.ts
    low, high = 0, len(ts)
    if first is not None:
        low = int(np.searchsorted(listing.ids, first))
    if start is not None:
        low = int(np.searchsorted(ts, start))
    if end is not None:
        high = int(np.searchsorted(ts, end, side="right"))
    forward = first is not None or start is not None
    return trade_records(listing, _page(listing, low, high, limit, now, forward=forward), query)


def _page(listing: Listing, low: int, high: int, limit: int, now: int, *, forward: bool) -> I64:
    """The first (or last) ``limit`` known rows of [low, high)."""
    high = min(high, int(np.searchsorted(listing.trades.ts, now, side="right")))
    if listing.published is None:
        edges = (low, min(high, low + limit)) if forward else (max(low, high - limit), high)
        return np.arange(*edges, dtype=np.int64)
    rows = listing.rows_by(now, np.arange(low, max(low, high), dtype=np.int64))
    return rows[:limit] if forward else rows[-limit:]


def trade_records(listing: Listing, rows: I64, query: Query) -> list[Any]:
    """Aggregate trades as REST gives them; ``M`` is the spot venue's alone."""
    trades = listing.trades.take(rows)
    spot = {"M": True} if listing.venue == "spot" else {}
    return [
        {"a": a, "p": p, "q": q, "f": a + FILL_OFFSET, "l": a + FILL_OFFSET, "T": t, "m": m, **spot}
        for a, p, q, t, m in zip(
            listing.ids[rows].tolist(),
            decimal_texts(trades.price, listing.price_places),
            decimal_texts(trades.amount, listing.amount_places),
            query.stamps(trades.ts),
            (trades.side < 0).tolist(),
            strict=True,
        )
    ]


def klines(
    listing: Listing, candles: Candles, query: Query, now: int, *, most: int, capped: bool
) -> list[Any]:
    """GET klines: from startTime on, else the latest up to endTime; the forming one included."""
    clock = query.text("interval")
    if clock not in intervals_of(listing.venue):
        raise ExchangeError(400, -1120, "Invalid interval.")
    limit = query.limit(500, most, capped=capped)
    start, end = query.time("startTime"), query.time("endTime", last=True)
    last = now + 1 if end is None else min(end, now) + 1
    low = 0 if start is None else start
    if start is None:
        # Absent bars make this too few at times, then the look-back doubles.
        span = limit * CLOCKS[clock]
        while len(candles.between(clock, max(0, last - span), last, now)) < limit < span < last:
            span *= 2
        low = max(0, last - span)
    bars = candles.between(clock, low, last, now)
    count = len(bars)
    bars = bars.slice(0, limit) if start is not None else bars.slice(max(0, count - limit), count)
    return kline_records(listing, bars, query)


def kline_records(listing: Listing, bars: Any, query: Query) -> list[Any]:
    """Klines as REST gives them; a source without taker volume or count shows them as 0."""
    taker, count = np.nan_to_num(bars.taker_buy_volume), np.nan_to_num(bars.count)
    prices = (bars.open, bars.high, bars.low, bars.close)
    closes = query.stamps(bars.ts + bars.step - (1 if query.micros else 1000))
    columns = [
        query.stamps(bars.ts),
        *(decimal_texts(values, listing.price_places) for values in prices),
        decimal_texts(bars.volume, listing.amount_places),
        closes,
        decimal_texts(np.round(quote_volume(bars, bars.volume), 8), 8),
        count.astype(np.int64).tolist(),
        decimal_texts(taker, listing.amount_places),
        decimal_texts(np.round(quote_volume(bars, taker), 8), 8),
    ]
    return [[*row, "0"] for row in zip(*columns, strict=True)]
