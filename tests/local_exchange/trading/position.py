"""One position in one-way mode: buys and sells net."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tests.local_exchange.trading.money import to_money
from tests.local_exchange.trading.orders import ZERO


@dataclass
class Position:
    """amount: base coin, negative when short. cost: what the open amount was bought for (negative:
    sold for), so that closing all of it leaves nothing behind. realised: so far, before fees."""

    amount: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO

    @property
    def entry(self) -> Decimal:
        """Average price of the open amount, 0 when flat."""
        return self.cost / self.amount if self.amount else ZERO

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit or loss if it were closed at a price."""
        return self.amount * mark - self.cost

    def trade(self, amount: Decimal, price: Decimal) -> Decimal:
        """Buy (or sell, when negative) at a price; the profit or loss that this realises."""
        closed = ZERO
        if self.amount * amount < 0:
            closed = min(abs(amount), abs(self.amount)).copy_sign(self.amount)
        realised = self._close(closed, price) if closed else ZERO
        opened = amount + closed
        self.amount += opened
        self.cost += opened * price
        self.realised += realised
        return realised

    def _close(self, part: Decimal, price: Decimal) -> Decimal:
        """Give up a part of the amount (of its sign)."""
        whole = part == self.amount
        cost = self.cost if whole else to_money(self.cost * part / self.amount)
        self.amount -= part
        self.cost -= cost
        return part * price - cost
