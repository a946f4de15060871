"""What the engine tells those who listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from tests.local_exchange.feed import Venue
from tests.local_exchange.trading.orders import Fill, Order

Execution = Literal["NEW", "TRADE", "CANCELED", "EXPIRED"]
Reason = Literal["ORDER", "FUNDING_FEE", "INSURANCE_CLEAR"]


@dataclass(frozen=True)
class OrderEvent:
    """An order changed; it is as it is now, so whoever needs this moment reads it at once."""

    time: int
    order: Order
    execution: Execution
    fill: Fill | None = None


@dataclass(frozen=True)
class BalanceEvent:
    """Balances of these assets, and positions in these markets, of an account changed.

    change: of the balance, other than by trading.
    """

    time: int
    venue: Venue
    account: str
    reason: Reason
    assets: tuple[str, ...]
    markets: tuple[str, ...] = ()
    change: Decimal = Decimal(0)


@dataclass(frozen=True)
class SettingEvent:
    """An account of the futures venue has another leverage in a market."""

    time: int
    account: str
    market: str
    leverage: int


Event: TypeAlias = OrderEvent | BalanceEvent | SettingEvent
Listener: TypeAlias = Callable[[Event], None]
