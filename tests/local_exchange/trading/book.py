"""The open orders of one market, and which of them a trade of the market fills.

The exchange has no other traders: its market is a tape of trades that happened anyway, and each
trade is the liquidity that there is, once. An order that crosses the last price takes: it gets
the prices of the trades that come, while they are within its limit. Otherwise it rests, and a
trade that reaches or crosses its price fills it at that price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from tests.local_exchange.trading.orders import ZERO, NewOrder, Order


@dataclass(frozen=True)
class Print:
    """A trade of the market. side: +1 the aggressor bought, -1 sold, 0 unknown."""

    place: int
    time: int
    price: Decimal
    amount: Decimal
    side: int
    id: int


@dataclass
class Offer:
    """A trade of the market, and how much of it nobody here has had yet."""

    trade: Print
    left: Decimal


@dataclass(frozen=True)
class Match:
    """So much of an order is filled now."""

    order: Order
    price: Decimal
    quantity: Decimal
    maker: bool
    trade: int


#: How much of an order its account can still take at a price, in base coin.
Room = Callable[[Order, Decimal], Decimal]


class Book:
    """Open orders of one market. ``lot``: every fill is a multiple of it."""

    def __init__(self, lot: Decimal) -> None:
        self._lot = lot
        self.orders: list[Order] = []

    def add(self, order: Order) -> None:
        """An order arrives."""
        self.orders.append(order)

    def remove(self, order: Order) -> None:
        """An order ends."""
        self.orders.remove(order)

    def meet(self, offer: Offer, room: Room) -> Iterator[Match]:
        """Fills by a trade of the market; each must be booked before the next is asked for.

        Those who take come first, by arrival, then resting ones by price and arrival.
        """
        trade = offer.trade
        for order in self._ranked(trade):
            if not order.open:
                continue
            limit = order.asked.price
            if limit is not None and order.asked.sign * (limit - trade.price) < 0:
                # The prices within its limit are used up: what is left of it rests.
                order.taking = order.taking and order.asked.at_once
                continue
            price = trade.price if limit is None or order.taking else limit
            quantity = self._whole(min(offer.left, self._wanted(order, price, room)))
            if quantity <= 0:
                continue
            offer.left -= quantity
            match = Match(order, price, quantity, not order.taking, trade.id)
            if order.asked.time_in_force == "FOK":
                yield from self._gather(match, room)
            else:
                yield match

    def _gather(self, match: Match, room: Room) -> Iterator[Match]:
        """All or nothing: what was found is kept until it is enough."""
        order = match.order
        order.found.append((match.price, match.quantity, match.trade))
        found = sum((quantity for _, quantity, _ in order.found), ZERO)
        if found == order.asked.quantity and room(order, match.price) >= found:
            for price, quantity, trade in order.found:
                yield Match(order, price, quantity, False, trade)

    def _wanted(self, order: Order, price: Decimal, room: Room) -> Decimal:
        most = room(order, price)
        if order.remaining is not None:
            found = sum((quantity for _, quantity, _ in order.found), ZERO)
            most = min(most, order.remaining - found)
        return most

    def _whole(self, amount: Decimal) -> Decimal:
        return amount // self._lot * self._lot

    def _ranked(self, trade: Print) -> list[Order]:
        def rank(order: Order) -> tuple[bool, Decimal, int, int]:
            limit = trade.price if order.asked.price is None else order.asked.price
            # How far the trade crosses its price: the better price comes first.
            better = ZERO if order.taking else order.asked.sign * (trade.price - limit)
            return (not order.taking, better, order.arrived, order.id)

        return sorted(self.orders, key=rank)


def crosses(order: NewOrder, last: Print | None) -> bool:
    """Whether an order would take at once: a trade's price is the ask when its aggressor bought,
    the bid when he sold, and both when nobody knows."""
    if order.price is None:
        return True
    if last is None:
        return False
    beyond = order.sign * (order.price - last.price)
    return beyond > 0 or (beyond == 0 and last.side * order.sign >= 0)
