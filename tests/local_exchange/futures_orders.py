"""USD-M orders, /fapi/v1: place, query, cancel, and the account's trades.

https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api
"""

from __future__ import annotations

from typing import Any

from tests.local_exchange.answers import Query
from tests.local_exchange.endpoints import Endpoint, Exchange, costs
from tests.local_exchange.order_requests import (
    new_order,
    order_named,
    orders_of,
    page,
    until_done,
)
from tests.local_exchange.trading.filters import refused
from tests.local_exchange.trading.money import rounded, text
from tests.local_exchange.trading.orders import ZERO, Fill, Order


async def place(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    asked = new_order(exchange, query, "futures")
    order = exchange.engine.place(query.caller, listing, asked, exchange.now())
    if query.values.get("newOrderRespType", "ACK") == "RESULT":
        await until_done(exchange, order)
    return record(order, placed=True)


def test_order(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    exchange.engine.check(query.caller, listing, new_order(exchange, query, "futures"))
    return {}


def query_order(exchange: Exchange, query: Query) -> Any:
    return record(order_named(exchange, query, "futures", refused(-2013, "Order does not exist.")))


def open_order(exchange: Exchange, query: Query) -> Any:
    order = order_named(exchange, query, "futures", refused(-2013, "Order does not exist."))
    if not order.open:
        raise refused(-2013, "Order does not exist.")
    return record(order)


def cancel(exchange: Exchange, query: Query) -> Any:
    order = order_named(exchange, query, "futures", refused(-2011, "Unknown order sent."))
    exchange.engine.cancel(order, exchange.now())
    return record(order, placed=True)


def cancel_all(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    for order in orders_of(exchange, query, listing):
        if order.open and not order.liquidation:
            exchange.engine.cancel(order, exchange.now())
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def open_orders(exchange: Exchange, query: Query) -> Any:
    orders = exchange.engine.open_orders(query.caller, "futures")
    if "symbol" in query.values:
        listing = exchange.listing("futures", query)
        orders = [order for order in orders if order.listing is listing]
    return [record(order) for order in orders]


def all_orders(exchange: Exchange, query: Query) -> Any:
    if "symbol" in query.values:
        orders = orders_of(exchange, query, exchange.listing("futures", query))
    else:
        orders = [
            order for order in exchange.engine.orders.values()
            if order.account == query.caller and order.listing.venue == "futures"
        ]  # fmt: skip
    return [record(order) for order in page(query, orders, 1000)]


def user_trades(exchange: Exchange, query: Query) -> Any:
    listing = exchange.listing("futures", query)
    return [
        _trade(exchange, fill)
        for fill in fills_asked_for(exchange, query, listing.info.market)
    ]  # fmt: skip


def fills_asked_for(exchange: Exchange, query: Query, market: str) -> list[Fill]:
    """The caller's fills in a market: of an order, from an id, in a window, or the latest."""
    limit = query.limit(500, 1000, capped=True)
    order, first = query.integer("orderId"), query.integer("fromId")
    start, end = query.time("startTime"), query.time("endTime", last=True)
    found = [
        fill for fill in exchange.engine.fills
        if fill.account == query.caller and fill.market == market
        and (order is None or fill.order == order)
        and (first is None or fill.id >= first)
        and (start is None or fill.time // 1000 * 1000 >= start)
        and (end is None or fill.time <= end)
    ]  # fmt: skip
    return found[:limit] if first is not None or start is not None else found[-limit:]


def record(order: Order, *, placed: bool = False) -> dict[str, Any]:
    """An order as REST gives it; ``placed``: as the answer to placing or cancelling it."""
    asked, listing = order.asked, order.listing
    price, amount = listing.price_places, listing.amount_places
    answer = {
        "orderId": order.id, "symbol": listing.symbol, "status": order.status,
        "clientOrderId": asked.client_id, "price": text(asked.price or ZERO, price),
        "avgPrice": rounded(order.average, 8), "origQty": text(order.quantity, amount),
        "executedQty": text(order.filled, amount), "cumQuote": text(order.value, 8),
        "timeInForce": asked.time_in_force, "type": asked.type, "reduceOnly": asked.reduce_only,
        "closePosition": False, "side": asked.side, "positionSide": "BOTH", "stopPrice": "0",
        "workingType": "CONTRACT_PRICE", "priceProtect": False, "origType": asked.type,
        "priceMatch": "NONE", "selfTradePreventionMode": "EXPIRE_MAKER", "goodTillDate": 0,
        "updateTime": order.updated // 1000,
    }  # fmt: skip
    if placed:
        return answer | {"cumQty": text(order.filled, amount)}
    return answer | {"time": order.arrived // 1000}


def _trade(exchange: Exchange, fill: Fill) -> dict[str, Any]:
    listing = exchange.engine.listings[fill.market]
    return {
        "symbol": listing.symbol, "id": fill.id, "orderId": fill.order, "side": fill.side,
        "price": text(fill.price, listing.price_places),
        "qty": text(fill.quantity, listing.amount_places), "realizedPnl": text(fill.realised, 8),
        "quoteQty": text(fill.value, 8), "commission": text(fill.fee, 8),
        "commissionAsset": fill.fee_asset, "time": fill.time // 1000, "positionSide": "BOTH",
        "maker": fill.maker, "buyer": fill.side == "BUY",
    }  # fmt: skip


def _open_weight(query: Query) -> int:
    return 1 if "symbol" in query.values else 40


ENDPOINTS = [
    Endpoint("/fapi/v1/order", place, costs(1), signed=True, method="POST", order="new"),
    Endpoint("/fapi/v1/order/test", test_order, costs(1), signed=True, method="POST"),
    Endpoint("/fapi/v1/order", query_order, costs(1), signed=True),
    Endpoint("/fapi/v1/order", cancel, costs(1), signed=True, method="DELETE", order="cancel"),
    Endpoint("/fapi/v1/allOpenOrders", cancel_all, costs(1), signed=True, method="DELETE",
             order="cancel"),
    Endpoint("/fapi/v1/openOrder", open_order, costs(1), signed=True),
    Endpoint("/fapi/v1/openOrders", open_orders, _open_weight, signed=True),
    Endpoint("/fapi/v1/allOrders", all_orders, costs(5), signed=True),
    Endpoint("/fapi/v1/userTrades", user_trades, costs(5), signed=True),
]  # fmt: skip
