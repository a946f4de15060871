"""What an order must be: the filters of a listing, and the venues' own errors.

https://developers.binance.com/docs/binance-spot-api-docs/filters and the error codes of
https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tests.local_exchange.answers import ExchangeError
from tests.local_exchange.feed import Listing
from tests.local_exchange.text import places_of
from tests.local_exchange.trading.money import exact, text
from tests.local_exchange.trading.orders import ZERO, NewOrder


def refused(code: int, message: str, status: int = 400) -> ExchangeError:
    """An order's refusal in the exchange's words."""
    return ExchangeError(status, code, message)


@dataclass(frozen=True)
class Filters:
    """The filters of one listing. Amounts in base coin, values in the quote asset.

    band: by how much (a share) a limit price may be beyond the last price; None: by anything.
    """

    listing: Listing
    tick: Decimal
    lot: Decimal
    least_value: Decimal
    most_price: Decimal
    most_amount: Decimal
    most_at_market: Decimal
    most_value: Decimal | None
    band: Decimal | None
    most_orders: int = 200

    @classmethod
    def of(cls, listing: Listing) -> Filters:
        """Those of a listing; what the store does not know is as on the exchange."""
        info = listing.info
        steps = (exact(info.tick_size), exact(info.lot_size), exact(info.min_notional))
        if listing.venue == "spot":
            most = (Decimal(1_000_000), Decimal(9000), Decimal(900))
            return cls(listing, *steps, *most, most_value=Decimal(9_000_000), band=None)
        most = (Decimal(306_177), Decimal(10_000), Decimal(2000))
        return cls(listing, *steps, *most, most_value=None, band=Decimal("0.05"))

    def check(self, order: NewOrder, last: Decimal | None) -> None:
        """ExchangeError for an order that breaks a filter. last: price of the latest trade."""
        if self.listing.venue == "spot":
            self._check_spot(order, last)
        else:
            self._check_futures(order, last)

    # -- spot: one code, and the filter's name ------------------------------------------------

    def _check_spot(self, order: NewOrder, last: Decimal | None) -> None:
        for name, value in (
            ("quantity", order.quantity), ("price", order.price), ("quoteOrderQty", order.value)
        ):  # fmt: skip
            if value is not None and _places(value) > 8:
                raise refused(-1111, f"Parameter '{name}' has too much precision.")
            if value is not None and value <= 0:
                raise refused(-1013, f"Invalid {name}.")
        if order.price is not None and (
            order.price % self.tick or not self.tick <= order.price <= self.most_price
        ):
            raise refused(-1013, "Filter failure: PRICE_FILTER")
        amount = order.quantity
        if amount is not None and (amount % self.lot or not self.lot <= amount <= self.most_amount):
            raise refused(-1013, "Filter failure: LOT_SIZE")
        if order.type == "MARKET" and amount is not None and amount > self.most_at_market:
            raise refused(-1013, "Filter failure: MARKET_LOT_SIZE")
        value = self._value(order, last)
        too_much = self.most_value is not None and order.type != "MARKET"
        if value is not None and (
            value < self.least_value or (too_much and value > (self.most_value or ZERO))
        ):
            raise refused(-1013, "Filter failure: NOTIONAL")

    # -- futures: each failure has a code -----------------------------------------------------

    def _check_futures(self, order: NewOrder, last: Decimal | None) -> None:
        self._check_futures_amount(order)
        if order.price is not None:
            self._check_futures_price(order, order.price, last)
        value = self._value(order, last)
        if value is not None and value < self.least_value and not order.reduce_only:
            least = text(self.least_value, 0)
            raise refused(
                -4164, f"Order's notional must be no smaller than {least} "
                "(unless you choose reduce only).",
            )  # fmt: skip

    def _check_futures_amount(self, order: NewOrder) -> None:
        amount = order.quantity or ZERO
        if amount <= 0:
            raise refused(-4003, "Quantity less than or equal to zero.")
        if _places(amount) > places_of(self.listing.info.lot_size):
            raise refused(-1111, "Precision is over the maximum defined for this asset.")
        if amount % self.lot:
            raise refused(-4023, "Quantity not increased by step size.")
        if amount > (self.most_at_market if order.type == "MARKET" else self.most_amount):
            raise refused(-4005, "Quantity greater than max quantity.")

    def _check_futures_price(self, order: NewOrder, price: Decimal, last: Decimal | None) -> None:
        if _places(price) > places_of(self.listing.info.tick_size):
            raise refused(-1111, "Precision is over the maximum defined for this asset.")
        if price < self.tick:
            raise refused(-4013, f"Price less than min price {text(self.tick, 0)}.")
        if price > self.most_price:
            raise refused(-4002, "Price greater than max price.")
        if price % self.tick:
            raise refused(-4014, "Price not increased by tick size.")
        if last is None or self.band is None:
            return
        edge = last * (1 + order.sign * self.band)
        if order.sign * (price - edge) > 0:
            shown = f"{edge:.{places_of(self.listing.info.tick_size)}f}"
            if order.side == "BUY":
                raise refused(-4016, f"Limit price can't be higher than {shown}.")
            raise refused(-4024, f"Limit price can't be lower than {shown}.")

    def _value(self, order: NewOrder, last: Decimal | None) -> Decimal | None:
        """What the order is worth, at the last price where it has none; None: nobody knows."""
        price = last if order.price is None else order.price
        if order.quantity is None:
            return order.value
        return None if price is None else order.quantity * price


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
