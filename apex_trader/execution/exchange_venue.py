"""Orders to an exchange: each sent once, and asked after until it is known what became of it.

An order's id is its decision's, so the exchange itself knows whether it has it. Nothing is ever
sent a second time: a lost answer is followed by questions, and an order that the exchange does not
know when its time to arrive (recvWindow) is over can never come to be.
https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info (Timing security)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from apex_trader.execution.exchange_requests import Refused, TradingRequests, Unanswered
from apex_trader.execution.orders import Order, Outcome
from apex_trader.market.transaction import split_market
from apex_trader.trading.config import TradingConfig

#: Reasons of an order that did not trade, or not whole; the first words of what a journal says.
REFUSED, NOT_ARRIVED, PARTLY = "refused", "it never reached the exchange", "filled in part"
NOBODY = "nobody took the other side"
#: States in which ccxt has an order that trades no more.
_OVER = ("closed", "canceled", "expired", "rejected")
#: Real seconds between two looks at the position when nothing was sent.
_LOOK_EVERY = 60.0


class ExchangeVenue:
    """Sends market orders for one market of Binance, spot or USD-M in one-way mode.

    Args:
        requests: of a client with keys.
        market: "exchange:SYMBOL". trading: its rules filled in.
        tag: of the trading run, part of every order's id.
        aside: base coin of a spot account that is not this run's.
        clock: real seconds.
    """

    def __init__(
        self,
        requests: TradingRequests,
        market: str,
        trading: TradingConfig,
        tag: str,
        aside: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests, self._tag, self._aside, self._clock = requests, tag, aside, clock
        self.market, self._spot = requests.market(split_market(market)[1]), not trading.mirrors
        self._lot = trading.lot_size or 0.0
        self._refused: dict[str, str] = {}
        #: Real second after which no order that was sent so far can arrive any more.
        self._arrived_by = self._clock() + requests.window
        self._traded, self._looked = True, 0.0

    # --- the venue ---------------------------------------------------------------------------

    def send(self, order: Order) -> None:
        """See ``Venue.send``. Returns when the exchange has answered, or has not in time."""
        amount = self._requests.amount(self.market, abs(order.quantity))
        self._arrived_by = self._clock() + self._requests.window
        self._traded = True
        side, closes = "buy" if order.quantity > 0.0 else "sell", order.target == 0
        try:
            self._requests.place(
                self.market, side, amount, self._name(order.id), reduce=closes and not self._spot
            )
        except Refused as refusal:
            self._refused[order.id] = f"{REFUSED}: {refusal}"
        except Unanswered:
            pass  # what became of it is asked later
        self._arrived_by = self._clock() + self._requests.window

    def outcome(self, order: Order) -> Outcome | None:
        """See ``Venue.outcome``. What is still open is cancelled: its time is over."""
        name = self._name(order.id)
        if order.id in self._refused:
            return Outcome(math.nan, 0, self._refused.pop(order.id), 0.0, 0.0)
        try:
            found = self._requests.order(self.market, name)
            if found is None:
                late = self._clock() >= self._arrived_by
                return Outcome(math.nan, 0, NOT_ARRIVED, 0.0, 0.0) if late else None
            if found["status"] not in _OVER:
                self._requests.cancel(self.market, name)
                found = self._requests.order(self.market, name)
            if found is None or found["status"] not in _OVER:
                return None
            return self._filled(order, found)
        except (Unanswered, Refused):
            return None

    def differs(self, quantity: float) -> str:
        """See ``Venue.differs``."""
        if not self._traded and self._clock() < self._looked + _LOOK_EVERY:
            return ""
        try:
            held = self.held()
        except (Unanswered, Refused):
            return ""
        if abs(held - quantity) <= 0.5 * self._lot + 1e-9:
            self._traded, self._looked = False, self._clock()
            return ""
        return f"it says {held:+g}, the account {quantity:+g}"

    # --- what a run begins with --------------------------------------------------------------

    def held(self) -> float:
        """Signed base coin that this run holds. Unanswered when nobody says."""
        funds = self._requests.funds(self.market)
        return funds.base - (self._aside if self._spot else 0.0)

    def cancel_left_over(self) -> int:
        """Cancel orders of this run that are open, but for none; how many there were."""
        mine = [o for o in self._requests.open_orders(self.market) if self._is_mine(o)]
        for order in mine:
            self._requests.cancel(self.market, order["clientOrderId"])
        return len(mine)

    # --- inside ------------------------------------------------------------------------------

    def _name(self, order: str) -> str:
        return f"{order}-{self._tag}"

    def _is_mine(self, order: dict[str, Any]) -> bool:
        return str(order.get("clientOrderId") or "").endswith(f"-{self._tag}")

    def _filled(self, order: Order, found: dict[str, Any]) -> Outcome | None:
        """What a finished order traded; None while its fills are not all told."""
        filled = float(found["filled"] or 0.0)
        if filled == 0.0:
            return Outcome(math.nan, 0, f"{found['status']}: {NOBODY}", 0.0, 0.0)
        fills = self._requests.fills(self.market, found["id"])
        if abs(sum(f["amount"] for f in fills) - filled) > 0.5 * self._lot + 1e-9:
            return None
        side = 1.0 if order.quantity > 0.0 else -1.0
        value = sum(f["amount"] * f["price"] for f in fills)
        price, traded, fee = value / filled, side * filled, 0.0
        for fill in fills:
            cost, coin = _fee_of(fill)
            if coin == self.market["quote"]:
                fee += cost
            elif coin == self.market["base"]:  # spot takes a buyer's fee out of what was bought
                fee += cost * price
                traded -= cost
        whole = filled >= abs(order.quantity) - 0.5 * self._lot - 1e-9
        ts = max(int(f["timestamp"]) for f in fills) * 1000
        return Outcome(math.log(price), ts, "" if whole else PARTLY, traded, fee)


def _fee_of(fill: dict[str, Any]) -> tuple[float, str]:
    fee = fill.get("fee") or {}
    return float(fee.get("cost") or 0.0), str(fee.get("currency") or "")
