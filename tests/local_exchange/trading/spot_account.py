"""A spot account: balances, of which open orders lock what they need."""

from __future__ import annotations

from decimal import Decimal

from tests.local_exchange.trading.filters import refused
from tests.local_exchange.trading.ledger import Ledger
from tests.local_exchange.trading.orders import ZERO, Fill, Order


class SpotAccount:
    """Free and locked balances by asset."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ledger = Ledger()
        self._locked: dict[str, Decimal] = {}
        self.updated = 0

    def deposit(self, time: int, asset: str, amount: Decimal) -> None:
        """Money comes from outside."""
        self.ledger.book(time, "TRANSFER", asset, amount)
        self.updated = time

    def locked(self, asset: str) -> Decimal:
        """Held for open orders."""
        return self._locked.get(asset, ZERO)

    def free(self, asset: str) -> Decimal:
        """What new orders may use."""
        return self.ledger.total(asset) - self.locked(asset)

    def check(self, order: Order, last: Decimal | None) -> None:
        """-2010 where there is not enough for an order. last: the market's price."""
        if self._needs(order, last) > self.free(self._paid_in(order)):
            raise refused(-2010, "Account has insufficient balance for requested action.")

    def open(self, order: Order, last: Decimal | None) -> None:
        """Lock what an order needs."""
        self._lock(order, self._paid_in(order), self._needs(order, last))
        self.updated = order.arrived

    def room(self, order: Order, price: Decimal) -> Decimal:
        """Base coin that it can still buy or sell."""
        asset = self._paid_in(order)
        if order.asked.quantity is None and order.asked.value is not None:
            wanted = (order.asked.value - order.value) / price
            return wanted if order.asked.side == "BUY" else min(wanted, self.free(asset))
        funds = order.locked if order.asked.price is not None else order.locked + self.free(asset)
        return funds / price if order.asked.side == "BUY" else funds

    def fill(self, order: Order, fill: Fill) -> None:
        """Exchange base for quote, pay the fee out of what was received; the order has taken the
        fill already."""
        base, quote = order.listing.assets
        buys = order.asked.side == "BUY"
        given, asset = (fill.value, quote) if buys else (fill.quantity, base)
        self._lock(order, asset, -self._released(order, fill, given))
        got = (base, fill.quantity) if buys else (quote, fill.value)
        time, market = fill.time, order.market
        self.ledger.book(time, "SOLD", asset, -given, market, fill.id)
        self.ledger.book(time, "BOUGHT", got[0], got[1], market, fill.id)
        self.ledger.book(time, "COMMISSION", fill.fee_asset, -fill.fee, market, fill.id)
        self.updated = time

    def close(self, order: Order, time: int) -> None:
        """Free what an ended order has locked."""
        self._lock(order, self._paid_in(order), -order.locked)
        self.updated = time

    def _needs(self, order: Order, last: Decimal | None) -> Decimal:
        asked = order.asked
        if asked.side == "SELL":
            # By value nobody knows how much: what it sells is seen as it goes.
            return ZERO if asked.quantity is None else asked.quantity
        if asked.quantity is None:
            return asked.value or ZERO
        return asked.quantity * (asked.price or last or ZERO)

    def _released(self, order: Order, fill: Fill, given: Decimal) -> Decimal:
        """What a fill frees of the lock: a limit buy may have paid less than it locked."""
        if order.asked.side == "BUY" and order.asked.price is not None:
            return fill.quantity * order.asked.price
        return min(order.locked, given)

    def _paid_in(self, order: Order) -> str:
        base, quote = order.listing.assets
        return quote if order.asked.side == "BUY" else base

    def _lock(self, order: Order, asset: str, amount: Decimal) -> None:
        order.locked += amount
        self._locked[asset] = self.locked(asset) + amount
