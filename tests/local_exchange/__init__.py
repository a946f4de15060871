"""A local exchange for tests and for people: Binance's spot and USD-M venues and their archive.

It satisfies the real, unmodified ccxt clients; only the addresses are its own. Fed from a market
store or from arrays; its clock may run faster than real time; faults happen on demand. What it
knows of Binance's protocol is in one module per concept: `spot`, `futures` and `wallet` (REST),
`connection` and `sockets` (websockets), `archive`, `limits`; `trading` (the matching engine and the
ledger, plain code) with `signing`, `spot_orders`, `futures_orders` and `futures_account` (REST).

Accounts trade: `LocalExchange(feed, accounts=[Account(futures={"USDT": "1000"})])`.
`exchange.truth` tells every request that came in, every order, fill and balance,
and `check`s that they agree.

    feed = Feed([Listing(MarketInfo("binance:ETHUSDT"), trades=trades)])
    async with LocalExchange(feed, clock=Clock(feed.begin, speed=60)) as exchange:
        client = ccxt.pro.binance({"urls": exchange.ccxt_urls()})

By hand: `python -m tests.local_exchange --store DIR --markets binance:ETHUSDT --speed 1`
"""

from tests.local_exchange.clock import Clock
from tests.local_exchange.connection import SocketConfig
from tests.local_exchange.feed import Feed, Listing
from tests.local_exchange.limits import LimitConfig
from tests.local_exchange.server import LocalExchange
from tests.local_exchange.trading.config import Account, TradingConfig

__all__ = [
    "Account",
    "Clock",
    "Feed",
    "LimitConfig",
    "Listing",
    "LocalExchange",
    "SocketConfig",
    "TradingConfig",
]
