"""What a spot account hears on its private stream, as JSON objects.

https://developers.binance.com/docs/binance-spot-api-docs/user-data-stream
"""

from __future__ import annotations

from typing import Any

from tests.local_exchange.trading.engine import Engine
from tests.local_exchange.trading.events import BalanceEvent, Event, OrderEvent
from tests.local_exchange.trading.money import text
from tests.local_exchange.trading.orders import ZERO


def messages(engine: Engine, event: Event) -> list[dict[str, Any]]:
    """The messages that an event of the spot venue makes."""
    if isinstance(event, OrderEvent):
        return [_report(event)]
    return [_balances(engine, event)] if isinstance(event, BalanceEvent) else []


def stream_ended(time: int) -> dict[str, Any]:
    """The last message of a subscription that was given up."""
    return {"e": "eventStreamTerminated", "E": time // 1000}


def cancel_id(order_id: int) -> str:
    """The client's id of a request to cancel that named none."""
    return f"cancel{order_id}"


def _report(event: OrderEvent) -> dict[str, Any]:
    order, fill, asked = event.order, event.fill, event.order.asked
    # The report of a cancelled order names the request to cancel, and then the order.
    canceled = event.execution == "CANCELED"
    stamp = event.time // 1000
    return {
        "e": "executionReport", "E": stamp, "s": order.listing.symbol,
        "c": cancel_id(order.id) if canceled else asked.client_id, "S": asked.side,
        "o": asked.type, "f": asked.time_in_force, "q": text(order.quantity, 8),
        "p": text(asked.price or ZERO, 8), "P": "0.00000000", "F": "0.00000000", "g": -1,
        "C": asked.client_id if canceled else "", "x": event.execution, "X": order.status,
        "r": "NONE", "i": order.id, "l": text(fill.quantity if fill else ZERO, 8),
        "z": text(order.filled, 8), "L": text(fill.price if fill else ZERO, 8),
        "n": text(fill.fee, 8) if fill else "0", "N": fill.fee_asset if fill else None,
        "T": stamp, "t": fill.id if fill else -1, "I": 0, "w": order.open,
        "m": fill.maker if fill else False, "M": fill is not None, "O": order.arrived // 1000,
        "Z": text(order.value, 8), "Y": text(fill.value if fill else ZERO, 8),
        "Q": text(asked.value or ZERO, 8), "W": order.arrived // 1000, "V": "EXPIRE_MAKER",
    }  # fmt: skip


def _balances(engine: Engine, event: BalanceEvent) -> dict[str, Any]:
    owner = engine.spot[event.account]
    balances = [
        {"a": asset, "f": text(owner.free(asset), 8), "l": text(owner.locked(asset), 8)}
        for asset in event.assets
    ]  # fmt: skip
    return {
        "e": "outboundAccountPosition", "E": event.time // 1000, "u": owner.updated // 1000,
        "B": balances,
    }  # fmt: skip
