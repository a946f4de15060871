"""USD-M REST, /fapi/v1: general and market data endpoints. COIN-M exists and lists nothing.

https://developers.binance.com/docs/derivatives/usds-margined-futures
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.local_exchange.answers import ExchangeError, Query, aggregate_trades, klines
from tests.local_exchange.endpoints import Endpoint, Exchange, costs
from tests.local_exchange.feed import Listing
from tests.local_exchange.listings import futures_symbol
from tests.local_exchange.spot import ping
from tests.local_exchange.text import decimal_text, decimal_texts
from tests.local_exchange.trading.engine import published_mark
from tests.local_exchange.trading.money import text


def time(exchange: Exchange, query: Query) -> Any:
    return {"serverTime": exchange.now() // 1000}


def exchange_info(exchange: Exchange, query: Query) -> Any:
    return _info(exchange, [futures_symbol(x) for x in exchange.feed.of("futures")])


def coin_margined_info(exchange: Exchange, query: Query) -> Any:
    return _info(exchange, [])


def agg_trades(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    return aggregate_trades(listing, query, exchange.now(), capped=False)


def candles(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    made = exchange.candles(listing)
    return klines(listing, made, query, exchange.now(), most=1500, capped=False)


def funding_rate(exchange: Exchange, query: Query) -> Any:
    """Payments up to now: from startTime on, else the most recent ones."""
    listing = exchange.listing("futures", query)
    limit = query.limit(100, 1000, capped=False)
    start, end = query.time("startTime"), query.time("endTime", last=True)
    if start is not None and end is not None and end < start:
        raise ExchangeError(400, -1023, "Start time is greater than end time.")
    last = exchange.now() if end is None else min(end, exchange.now())
    paid = listing.funding.between(start or 0, last + 1)
    count = len(paid)
    paid = paid.slice(0, limit) if start is not None else paid.slice(max(0, count - limit), count)
    rates = decimal_texts(paid.rate, 8)
    return [
        {"symbol": listing.symbol, "fundingTime": ts, "fundingRate": rate,
         "markPrice": _mark_price(listing, ts)}
        for ts, rate in zip(query.stamps(paid.ts), rates, strict=True)
    ]  # fmt: skip


def premium_index(exchange: Exchange, query: Query) -> Any:
    """The mark, which is the last price here, and funding: the rate last paid, the next time."""
    if "symbol" in query.values:
        return _premium(exchange, exchange.listing("futures", query))
    return [_premium(exchange, listing) for listing in exchange.feed.of("futures")]


def _premium(exchange: Exchange, listing: Listing) -> dict[str, Any]:
    now, funding = exchange.now(), listing.funding
    mark = _mark_price(listing, now // 1000)
    paid = int(np.searchsorted(funding.ts, now, side="right"))
    rate = decimal_text(float(funding.rate[paid - 1]), 8) if paid else "0.00000000"
    following = int(funding.ts[paid]) // 1000 if paid < len(funding) else 0
    return {
        "symbol": listing.symbol, "markPrice": mark, "indexPrice": mark,
        "estimatedSettlePrice": mark, "lastFundingRate": rate, "interestRate": "0.00010000",
        "nextFundingTime": following, "time": now // 1000,
    }  # fmt: skip


def _mark_price(listing: Listing, moment: int) -> str:
    """The mark by then (ms), or nothing where there is none, as in old records."""
    mark = published_mark(listing, moment * 1000)
    return "" if mark is None else text(mark, 8)


def _info(exchange: Exchange, symbols: list[dict[str, Any]]) -> Any:
    return {
        "timezone": "UTC", "serverTime": exchange.now() // 1000, "futuresType": "U_MARGINED",
        "rateLimits": exchange.rate_limits("futures"), "exchangeFilters": [], "assets": [],
        "symbols": symbols,
    }  # fmt: skip


def _kline_weight(query: Query) -> int:
    limit = (
        int(query.values.get("limit", "500")) if query.values.get("limit", "").isdigit() else 500
    )
    return next(cost for most, cost in ((99, 1), (499, 2), (1000, 5), (10**9, 10)) if limit <= most)


ENDPOINTS = [
    Endpoint("/fapi/v1/ping", ping, costs(1)),
    Endpoint("/fapi/v1/time", time, costs(1)),
    Endpoint("/fapi/v1/exchangeInfo", exchange_info, costs(1)),
    Endpoint("/fapi/v1/aggTrades", agg_trades, costs(20)),
    Endpoint("/fapi/v1/klines", candles, _kline_weight),
    Endpoint("/fapi/v1/fundingRate", funding_rate, costs(1)),
    Endpoint("/fapi/v1/premiumIndex", premium_index, costs(1)),
    Endpoint("/dapi/v1/exchangeInfo", coin_margined_info, costs(1)),
]
