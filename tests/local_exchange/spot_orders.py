"""Spot orders and account, /api/v3: place, query, cancel, trades and balances.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/trading-endpoints
"""

from __future__ import annotations

from typing import Any

from tests.local_exchange.answers import Query
from tests.local_exchange.endpoints import Endpoint, Exchange, costs
from tests.local_exchange.futures_orders import fills_asked_for
from tests.local_exchange.order_requests import (
    new_order,
    order_named,
    orders_of,
    page,
    until_done,
)
from tests.local_exchange.spot_events import cancel_id
from tests.local_exchange.trading.filters import refused
from tests.local_exchange.trading.money import text
from tests.local_exchange.trading.orders import ZERO, Fill, Order


async def place(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("spot", query)
    asked = new_order(exchange, query, "spot")
    order = exchange.engine.place(query.caller, listing, asked, exchange.now())
    kind = query.values.get("newOrderRespType", "FULL" if asked.type != "LIMIT_MAKER" else "ACK")
    if kind != "ACK":
        await until_done(exchange, order)
    return _placed(order, kind)


def test_order(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("spot", query)
    exchange.engine.check(query.caller, listing, new_order(exchange, query, "spot"))
    return {}


def query_order(exchange: Exchange, query: Query) -> Any:
    return record(order_named(exchange, query, "spot", refused(-2013, "Order does not exist.")))


def cancel(exchange: Exchange, query: Query) -> Any:
    order = order_named(exchange, query, "spot", refused(-2011, "Unknown order sent."))
    exchange.engine.cancel(order, exchange.now())
    return _canceled(order)


def cancel_all(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("spot", query)
    orders = [order for order in orders_of(exchange, query, listing) if order.open]
    if not orders:
        raise refused(-2011, "Unknown order sent.")
    for order in orders:
        exchange.engine.cancel(order, exchange.now())
    return [_canceled(order) for order in orders]


def open_orders(exchange: Exchange, query: Query) -> Any:
    orders = exchange.engine.open_orders(query.caller, "spot")
    if "symbol" in query.values:
        listing = exchange.listing("spot", query)
        orders = [order for order in orders if order.listing is listing]
    return [record(order) for order in orders]


def all_orders(exchange: Exchange, query: Query) -> Any:
    orders = orders_of(exchange, query, exchange.listing("spot", query))
    return [record(order) for order in page(query, orders, 1000)]


def my_trades(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("spot", query)
    return [
        {"symbol": listing.symbol, "id": fill.id, "orderId": fill.order, "orderListId": -1,
         "price": text(fill.price, 8), "qty": text(fill.quantity, 8),
         "quoteQty": text(fill.value, 8), "commission": text(fill.fee, 8),
         "commissionAsset": fill.fee_asset, "time": fill.time // 1000,
         "isBuyer": fill.side == "BUY", "isMaker": fill.maker, "isBestMatch": True}
        for fill in fills_asked_for(exchange, query, listing.info.market)
    ]  # fmt: skip


def account(exchange: Exchange, query: Query) -> Any:
    owner, terms = exchange.engine.spot[query.caller], exchange.trading
    rates = {"maker": str(terms.maker["spot"]), "taker": str(terms.taker["spot"]),
             "buyer": "0.00000000", "seller": "0.00000000"}  # fmt: skip
    listed = {asset for listing in exchange.feed.of("spot") for asset in listing.assets}
    return {
        "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": rates, "canTrade": True, "canWithdraw": True, "canDeposit": True,
        "brokered": False, "requireSelfTradePrevention": False, "preventSor": False,
        "updateTime": owner.updated // 1000, "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": text(owner.free(asset), 8),
             "locked": text(owner.locked(asset), 8)}
            for asset in sorted({*listed, *owner.ledger.assets})
        ],
        "permissions": ["SPOT"], "uid": 1,
    }  # fmt: skip


def trade_fee(exchange: Exchange, query: Query) -> Any:
    listings = exchange.feed.of("spot")
    if "symbol" in query.values:
        listings = [exchange.listing("spot", query)]
    terms = exchange.trading
    return [
        {"symbol": listing.symbol, "makerCommission": str(terms.maker["spot"]),
         "takerCommission": str(terms.taker["spot"])}
        for listing in listings
    ]  # fmt: skip


def record(order: Order) -> dict[str, Any]:
    """An order as queries give it."""
    return {
        **_common(order), "stopPrice": "0.00000000", "icebergQty": "0.00000000",
        "time": order.arrived // 1000, "updateTime": order.updated // 1000,
        "isWorking": True, "workingTime": order.arrived // 1000,
        "origQuoteOrderQty": text(order.asked.value or ZERO, 8),
    }  # fmt: skip


def _common(order: Order) -> dict[str, Any]:
    asked = order.asked
    return {
        "symbol": order.listing.symbol, "orderId": order.id, "orderListId": -1,
        "clientOrderId": asked.client_id, "price": text(asked.price or ZERO, 8),
        "origQty": text(order.quantity, 8), "executedQty": text(order.filled, 8),
        "cummulativeQuoteQty": text(order.value, 8), "status": order.status,
        "timeInForce": asked.time_in_force, "type": asked.type, "side": asked.side,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }  # fmt: skip


def _placed(order: Order, kind: str) -> dict[str, Any]:
    if kind == "ACK":
        names = ("symbol", "orderId", "orderListId", "clientOrderId")
        return {
            **{name: value for name, value in _common(order).items() if name in names},
            "transactTime": order.arrived // 1000,
        }
    answer = {
        **_common(order), "transactTime": order.updated // 1000,
        "workingTime": order.arrived // 1000,
        "origQuoteOrderQty": text(order.asked.value or ZERO, 8),
    }  # fmt: skip
    if kind == "FULL":
        answer["fills"] = [_fill(fill) for fill in order.fills]
    return answer


def _canceled(order: Order) -> dict[str, Any]:
    return {
        **_common(order), "origClientOrderId": order.asked.client_id,
        "clientOrderId": cancel_id(order.id), "transactTime": order.updated // 1000,
        "origQuoteOrderQty": text(order.asked.value or ZERO, 8),
    }  # fmt: skip


def _fill(fill: Fill) -> dict[str, Any]:
    return {
        "price": text(fill.price, 8), "qty": text(fill.quantity, 8),
        "commission": text(fill.fee, 8), "commissionAsset": fill.fee_asset, "tradeId": fill.id,
    }  # fmt: skip


def _open_weight(query: Query) -> int:
    return 6 if "symbol" in query.values else 80


ENDPOINTS = [
    Endpoint("/api/v3/order", place, costs(1), signed=True, method="POST", order="new"),
    Endpoint("/api/v3/order/test", test_order, costs(1), signed=True, method="POST"),
    Endpoint("/api/v3/order", query_order, costs(4), signed=True),
    Endpoint("/api/v3/order", cancel, costs(1), signed=True, method="DELETE", order="cancel"),
    Endpoint("/api/v3/openOrders", cancel_all, costs(1), signed=True, method="DELETE",
             order="cancel"),
    Endpoint("/api/v3/openOrders", open_orders, _open_weight, signed=True),
    Endpoint("/api/v3/allOrders", all_orders, costs(20), signed=True),
    Endpoint("/api/v3/myTrades", my_trades, costs(20), signed=True),
    Endpoint("/api/v3/account", account, costs(20), signed=True),
    Endpoint("/sapi/v1/asset/tradeFee", trade_fee, costs(1), signed=True),
]  # fmt: skip
