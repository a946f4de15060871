"""Orders and their fills, as the exchange keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from tests.local_exchange.feed import Listing

Side = Literal["BUY", "SELL"]
OrderType = Literal["MARKET", "LIMIT", "LIMIT_MAKER"]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTX"]
Status = Literal["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"]
ZERO = Decimal(0)


@dataclass(frozen=True)
class NewOrder:
    """What a client asks for.

    quantity: in base coin; None for a spot market order that spends (or earns) ``value`` of the
    quote asset. price: None for market orders. reduce_only: may only make a position smaller.
    """

    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None
    price: Decimal | None
    client_id: str
    reduce_only: bool = False
    value: Decimal | None = None

    @property
    def sign(self) -> int:
        """+1 buys, -1 sells."""
        return 1 if self.side == "BUY" else -1

    @property
    def post_only(self) -> bool:
        """Whether it must not take."""
        return self.type == "LIMIT_MAKER" or self.time_in_force == "GTX"

    @property
    def at_once(self) -> bool:
        """Whether it never rests: what is not filled soon expires."""
        return self.type == "MARKET" or self.time_in_force in ("IOC", "FOK")


@dataclass(frozen=True)
class Fill:
    """A part of an order that was traded.

    trade: id of the aggregate trade of the market that it was filled against. realised: profit or
    loss of the part of a position that it closed, before fees. fee: paid, in ``fee_asset``.
    """

    id: int
    order: int
    account: str
    market: str
    client_id: str
    side: Side
    time: int
    price: Decimal
    quantity: Decimal
    maker: bool
    fee: Decimal
    fee_asset: str
    realised: Decimal
    trade: int

    @property
    def value(self) -> Decimal:
        """price · quantity."""
        return self.price * self.quantity


@dataclass
class Order:
    """An order that was accepted. ``taking``: it has not come to rest, so that it pays taker fees.

    quantity: grows with the fills of an order by value. ends: µs at which it expires, or None.
    locked: of a spot account, for this order. updated: µs of the last change.
    """

    id: int
    account: str
    listing: Listing
    asked: NewOrder
    arrived: int
    taking: bool
    ends: int | None = None
    liquidation: bool = False
    status: Status = "NEW"
    fills: list[Fill] = field(default_factory=list)
    filled: Decimal = ZERO
    value: Decimal = ZERO
    locked: Decimal = ZERO
    updated: int = 0
    #: (price, quantity, trade) that a FOK order has found so far.
    found: list[tuple[Decimal, Decimal, int]] = field(default_factory=list)

    @property
    def market(self) -> str:
        """Name of the market, e.g. "binanceusdm:ETHUSDT"."""
        return self.listing.info.market

    @property
    def open(self) -> bool:
        """Whether it may still be filled."""
        return self.status in ("NEW", "PARTIALLY_FILLED")

    @property
    def quantity(self) -> Decimal:
        """Wanted in base coin; of an order by value what it got."""
        return self.filled if self.asked.quantity is None else self.asked.quantity

    @property
    def remaining(self) -> Decimal | None:
        """Base coin that is still wanted; None for an order by value."""
        return None if self.asked.quantity is None else self.asked.quantity - self.filled

    @property
    def average(self) -> Decimal:
        """Mean price of its fills, 0 without."""
        return self.value / self.filled if self.filled else ZERO

    def take(self, fill: Fill) -> None:
        """Note a fill."""
        self.fills.append(fill)
        self.filled += fill.quantity
        self.value += fill.value
        self.updated = fill.time
        self.status = "FILLED" if self.remaining == 0 else "PARTIALLY_FILLED"
