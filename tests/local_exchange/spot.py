"""Spot REST, /api/v3: general and market data endpoints.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api
"""

from __future__ import annotations

from typing import Any

from tests.local_exchange.answers import Query, aggregate_trades, klines
from tests.local_exchange.endpoints import Endpoint, Exchange, costs
from tests.local_exchange.listings import spot_symbol


def ping(exchange: Exchange, query: Query) -> Any:
    return {}


def time(exchange: Exchange, query: Query) -> Any:
    now = exchange.now()
    return {"serverTime": now if query.micros else now // 1000}


def exchange_info(exchange: Exchange, query: Query) -> Any:
    listed = exchange.feed.of("spot")
    if "symbol" in query.values:
        listed = [exchange.listing("spot", query)]
    return {
        "timezone": "UTC", "serverTime": exchange.now() // 1000,
        "rateLimits": exchange.rate_limits("spot"), "exchangeFilters": [],
        "symbols": [spot_symbol(listing) for listing in listed],
    }  # fmt: skip


def agg_trades(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("spot", query)
    return aggregate_trades(listing, query, exchange.now(), capped=True)


def candles(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("spot", query)
    made = exchange.candles(listing)
    return klines(listing, made, query, exchange.now(), most=1000, capped=True)


ENDPOINTS = [
    Endpoint("/api/v3/ping", ping, costs(1)),
    Endpoint("/api/v3/time", time, costs(1)),
    Endpoint("/api/v3/exchangeInfo", exchange_info, costs(20)),
    Endpoint("/api/v3/aggTrades", agg_trades, costs(4)),
    Endpoint("/api/v3/klines", candles, costs(2)),
]
