"""An account of the futures venue: cross margin, one-way mode, one wallet for each margin asset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tests.local_exchange.trading.ledger import Ledger
from tests.local_exchange.trading.money import to_money
from tests.local_exchange.trading.orders import ZERO, Fill, Order
from tests.local_exchange.trading.position import Position

#: Price of the latest trade by market.
Marks = Mapping[str, Decimal]


@dataclass(frozen=True)
class Margin:
    """Figures of one margin asset. wallet: balance without open profit and loss (unrealised).

    positions, orders: initial margin that they need. maintenance: below which all is liquidated.
    """

    wallet: Decimal
    unrealised: Decimal
    positions: Decimal
    orders: Decimal
    maintenance: Decimal

    @property
    def balance(self) -> Decimal:
        """Margin balance."""
        return self.wallet + self.unrealised

    @property
    def initial(self) -> Decimal:
        """Initial margin of positions and orders."""
        return self.positions + self.orders

    @property
    def available(self) -> Decimal:
        """What new orders may use."""
        return max(ZERO, self.balance - self.initial)


class MarginAccount:
    """Wallets, positions and leverage of one trader."""

    def __init__(self, name: str, leverage: int, maintenance: Decimal) -> None:
        self.name = name
        self.ledger = Ledger()
        self.positions: dict[str, Position] = {}
        self.updated: dict[str, int] = {}
        self.liquidating = False
        self._leverage: dict[str, int] = {}
        self._default, self._maintenance = leverage, maintenance

    def deposit(self, time: int, asset: str, amount: Decimal) -> None:
        """Money comes from outside."""
        self.ledger.book(time, "TRANSFER", asset, amount)

    def position(self, market: str) -> Position:
        """The position in a market, flat where there was none."""
        return self.positions.setdefault(market, Position())

    def leverage(self, market: str) -> int:
        """Leverage in a market."""
        return self._leverage.get(market, self._default)

    def set_leverage(self, market: str, leverage: int) -> None:
        """Change the leverage in a market."""
        self._leverage[market] = leverage

    def room(self, order: Order) -> Decimal:
        """Base coin that a reduce-only order can still close."""
        held = self.position(order.market).amount
        return abs(held) if held * order.asked.sign < 0 else ZERO

    def fill(self, order: Order, amount: Decimal, price: Decimal) -> Decimal:
        """Trade into the position; the profit or loss that this realises, not yet booked."""
        return self.position(order.market).trade(order.asked.sign * amount, price)

    def book(self, fill: Fill, quote: str) -> None:
        """Book what a fill earned and cost."""
        self.ledger.book(fill.time, "REALIZED_PNL", quote, fill.realised, fill.market, fill.id)
        self.ledger.book(fill.time, "COMMISSION", fill.fee_asset, -fill.fee, fill.market, fill.id)
        self.updated[fill.market] = fill.time

    def fund(self, time: int, market: str, quote: str, rate: Decimal, mark: Decimal) -> Decimal:
        """Longs pay shorts rate · value; what this account got."""
        got = to_money(-self.position(market).amount * mark * rate)
        self.ledger.book(time, "FUNDING_FEE", quote, got, market)
        return got

    def margin(self, asset: str, markets: Iterable[str], marks: Marks,
               orders: Iterable[Order]) -> Margin:  # fmt: skip
        """Figures of a margin asset, whose ``markets`` are given, with these open orders."""
        open_orders = list(orders)
        unrealised = held = wanted = least = ZERO
        for market in markets:
            mark = marks.get(market, ZERO)
            position = self.position(market)
            value = position.amount * mark
            own = abs(value) / self.leverage(market)
            worst = max(
                abs(value + _value(open_orders, market, "BUY", mark)),
                abs(value - _value(open_orders, market, "SELL", mark)),
            )
            unrealised += position.unrealised(mark)
            held += own
            wanted += worst / self.leverage(market) - own
            least += abs(value) * self._maintenance
        return Margin(self.ledger.total(asset), unrealised, held, wanted, least)


def _value(orders: Iterable[Order], market: str, side: str, mark: Decimal) -> Decimal:
    """Value of the open orders of a side that may make a position larger."""
    total = ZERO
    for order in orders:
        if order.market == market and order.asked.side == side and not order.asked.reduce_only:
            total += (order.remaining or ZERO) * (order.asked.price or mark)
    return total
