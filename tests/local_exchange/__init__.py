"""A local exchange for tests and for people: Binance's spot and USD-M venues and their archive.

It satisfies the real, unmodified ccxt clients; only the addresses are its own. Fed from a market
store or from arrays; its clock may run faster than real time; faults happen on demand. What it
knows of Binance's protocol is in one module per concept: `spot`, `futures` and `wallet` (REST),
`connection` and `sockets` (websockets), `archive`, `limits`; `trading` (the matching engine and the
ledger, plain code) with `signing`, `spot_orders`, `futures_orders` and `futures_account` (REST);
`listen_keys`, `api_connection` and `user_streams` (private streams), whose messages are in
`spot_events` and `futures_events`.

    feed = Feed([Listing(MarketInfo("binance:ETHUSDT"), trades=trades)])
    async with LocalExchange(feed, clock=Clock(feed.begin, speed=60)) as exchange:
        client = ccxt.pro.binance({"urls": exchange.ccxt_urls()})

Trading
    trader = Account(futures={"USDT": "1000"})
    terms = TradingConfig(timestamps="host")     # ccxt stamps requests by the host's clock
    LocalExchange(feed, clock=clock, accounts=[trader], trading=terms)
    ccxt.pro.binanceusdm({"urls": exchange.ccxt_urls(), "apiKey": trader.key,
                          "secret": trader.secret})
The market is the feed's tape and hears nothing of our orders: each trade is liquidity once. An
order that crosses the last price gets the prices of the trades that come (a taker), any other rests
and is filled at its own price (a maker) by trades that reach it. While the clock stands nothing
fills: `exchange.clock.advance(µs)`, then `await exchange.settle()`, which returns when everyone has
been sent all that happened. `exchange.truth` tells every request that came in, every order, fill
and balance, and `check`s that they agree. watchOrders, watchMyTrades, watchBalance and
watchPositions hear it all as it happens; listen keys last `TradingConfig.listen_key_life` of the
exchange's time, so a fast clock wants a longer one.

Faults
    exchange.follow(requests, frames)            # in place of all before; follow() ends them
    exchange.follow([On(LostAnswer(), "POST /fapi/v1/order", times=1)])
    exchange.follow(None, [OnFrame(Missing(), "user@ORDER_TRADE_UPDATE", times=1)])
    exchange.disconnect("futures"), .goodbye(), .half_close()        # all sockets, now
of an order                               fault
    429, 418, 5xx                         Status(429, retry_after=5); nothing was done
    lost before it was done               Close() (a POST is not asked again), Hang()
    done, and the answer lost             LostAnswer(), LostAnswer(silent=True), TruncatedBody()
    done late / answered late             Hang(seconds) / LateAnswer(seconds)
    "execution status unknown"            Unknown(executed=True or False): -1007
    refused                               Refuse(-2019, "Margin is insufficient.")
of a private message                      Missing, Duplicate, Late, Reorder, Disconnect, Goodbye
Their docstrings say the rest (`faults`, `frame_faults`). A client's order id is free again when its
order is over, as on the exchange: who sends an order again without asking has it twice.

What ccxt does: of errors at these addresses it knows few classes, so sort them by the code in the
body; garbage as an answer is an order whose id is None; when a listen key expires the stream falls
silent, and watchers learn of it when ccxt renews the key.

By hand: `python -m tests.local_exchange --store DIR --markets binance:ETHUSDT --speed 1`; `--help`
tells of keys, faults and the truth over HTTP (`control`).
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
