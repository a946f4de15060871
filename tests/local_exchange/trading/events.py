"""What the engine tells those who listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.local_exchange.feed import Venue
from tests.local_exchange.trading.orders import Fill, Order

Execution = Literal["NEW", "TRADE", "CANCELED", "EXPIRED"]
Reason = Literal["ORDER", "FUNDING_FEE", "INSURANCE_CLEAR", "DEPOSIT"]


@dataclass(frozen=True)
class OrderEvent:
    """An order changed; it is as it is now, so whoever needs this moment reads it at once."""

    time: int
    order: Order
    execution: Execution
    fill: Fill | None = None


@dataclass(frozen=True)
class BalanceEvent:
    """Balances of these assets, and positions in these markets, of an account changed."""

    time: int
    venue: Venue
    account: str
    reason: Reason
    assets: tuple[str, ...]
    markets: tuple[str, ...] = ()


Event: TypeAlias = OrderEvent | BalanceEvent
Listener: TypeAlias = Callable[[Event], None]
