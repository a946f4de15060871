"""What requests about orders have in common on both venues: parameters, and finding an order."""

from __future__ import annotations

import asyncio
import re
import time
from decimal import Decimal

from tests.local_exchange.answers import ExchangeError, Query
from tests.local_exchange.endpoints import Exchange
from tests.local_exchange.feed import Listing, Venue
from tests.local_exchange.trading.filters import refused
from tests.local_exchange.trading.orders import NewOrder, Order

_NUMBER = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?")
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_TYPES = {"spot": ("LIMIT", "LIMIT_MAKER", "MARKET"), "futures": ("LIMIT", "MARKET")}
_TIMES = {"spot": ("GTC", "IOC", "FOK"), "futures": ("GTC", "IOC", "FOK", "GTX")}
#: Real seconds between two looks at an order whose answer waits.
_LOOK_EVERY = 0.002


def new_order(exchange: Exchange, query: Query, venue: Venue) -> NewOrder:
    """The order that a request describes; ExchangeError where it makes none."""
    side, kind = query.text("side"), query.text("type")
    if side not in ("BUY", "SELL"):
        raise refused(-1117, "Invalid side.")
    if kind not in _TYPES[venue]:
        raise refused(-1116, "Invalid orderType.")
    if query.values.get("positionSide", "BOTH") != "BOTH":
        raise refused(-4061, "Order's position side does not match user's setting.")
    force = query.text("timeInForce") if kind == "LIMIT" else "GTC"
    if force not in _TIMES[venue]:
        raise refused(-1115, "Invalid timeInForce.")
    if kind != "LIMIT" and "timeInForce" in query.values:
        raise _not_required("timeInForce")
    if kind == "MARKET" and "price" in query.values:
        raise _not_required("price")
    by_value = venue == "spot" and kind == "MARKET" and "quoteOrderQty" in query.values
    if by_value and "quantity" in query.values:
        raise ExchangeError(400, -1128, "Combination of optional parameters invalid.")
    return NewOrder(
        "BUY" if side == "BUY" else "SELL",
        kind,  # type: ignore[arg-type]
        force,  # type: ignore[arg-type]
        None if by_value else _number(query, "quantity"),
        None if kind == "MARKET" else _number(query, "price"),
        _client_id(exchange, query, venue),
        venue == "futures" and query.values.get("reduceOnly", "false").lower() == "true",
        _number(query, "quoteOrderQty") if by_value else None,
    )


def order_named(exchange: Exchange, query: Query, venue: Venue, missing: ExchangeError) -> Order:
    """The caller's order of a symbol that ``orderId`` or ``origClientOrderId`` names.

    Of several with one client id it is the latest.
    """
    listing = exchange.listing(venue, query)
    number, name = query.integer("orderId"), query.values.get("origClientOrderId")
    if number is None and not name:
        raise ExchangeError(
            400, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were "
            "empty/null!",
        )  # fmt: skip
    for order in reversed(orders_of(exchange, query, listing)):
        same = order.id == number if number is not None else order.asked.client_id == name
        if same:
            return order
    raise missing


def orders_of(exchange: Exchange, query: Query, listing: Listing) -> list[Order]:
    """All of the caller's orders in a market, by id."""
    return [
        order for order in exchange.engine.orders.values()
        if order.account == query.caller and order.listing is listing
    ]  # fmt: skip


def page(query: Query, orders: list[Order], most: int) -> list[Order]:
    """GET allOrders: from an id on, else in a window of time, the latest ones."""
    limit = query.limit(500, most, capped=True)
    first, start = query.integer("orderId"), query.time("startTime")
    end = query.time("endTime", last=True)
    found = [
        order for order in orders
        if (first is None or order.id >= first)
        and (start is None or order.arrived // 1000 * 1000 >= start)
        and (end is None or order.arrived <= end)
    ]  # fmt: skip
    return found[:limit] if first is not None or start is not None else found[-limit:]


async def until_done(exchange: Exchange, order: Order) -> None:
    """Wait for the end of an order that fills at once or never, while time passes."""
    end = time.monotonic() + exchange.trading.answer_within
    while order.open and order.asked.at_once and exchange.clock.speed:
        if time.monotonic() >= end:
            return
        await asyncio.sleep(_LOOK_EVERY)
        exchange.engine.advance(exchange.now())


def _number(query: Query, name: str) -> Decimal:
    value = query.text(name)
    if not _NUMBER.fullmatch(value):
        raise ExchangeError(
            400, -1100, f"Illegal characters found in parameter '{name}'; legal range is "
            r"'^([0-9]{1,20})(\.[0-9]{1,20})?$'.",
        )  # fmt: skip
    return Decimal(value)


def _client_id(exchange: Exchange, query: Query, venue: Venue) -> str:
    given = query.values.get("newClientOrderId", "")
    if not given:
        return f"local{len(exchange.engine.orders) + 1}"
    if venue == "futures" and len(given) > 36:
        raise refused(-4015, "Client order id length should not be more than 36 chars")
    if not _CLIENT_ID.fullmatch(given):
        raise ExchangeError(
            400, -1100, "Illegal characters found in parameter 'newClientOrderId'; legal range is "
            r"'^[\.A-Z\:/a-z0-9_-]{1,36}$'.",
        )  # fmt: skip
    return given


def _not_required(name: str) -> ExchangeError:
    return ExchangeError(400, -1106, f"Parameter '{name}' sent when not required.")
