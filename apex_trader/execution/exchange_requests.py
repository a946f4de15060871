"""Signed requests of a ccxt client, their failures sorted into refusals and missing answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import ccxt

from apex_trader.errors import ApexError
from apex_trader.market.exchange.requests import shortened
from apex_trader.market.exchange.retry import retry_after

T = TypeVar("T")
#: Real seconds between two tries of a question, and how many there are.
_PAUSE, _TRIES = 0.1, 3
#: Codes after which an order may have been taken all the same: "unable to process", "unexpected
#: response, execution status unknown", "timeout, execution status unknown", "request timed out".
#: https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code
_UNCERTAIN = (-1000, -1001, -1006, -1007)
#: "Order does not exist", and of cancels "unknown order sent".
_NO_SUCH_ORDER = (-2013, -2011)
#: Codes for an id that an open order has: the exchange has this very order.
_HELD_ALREADY = (-4116, -2010)
_CODE = re.compile(r'"code"\s*:\s*"?(-?\d+)')


class Funds(NamedTuple):
    """What an account holds: quote currency, and base coin (of a perpetual: its position)."""

    quote: float
    base: float


class Refused(Exception):
    """The exchange did not do what it was asked. code: its own, None where it gave none."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        self.code = code
        super().__init__(reason)


class Unanswered(Exception):
    """Nobody can tell whether the exchange did what it was asked."""


class TradingRequests:
    """What a venue asks of an exchange, over a synchronous ccxt client of Binance with keys.

    window: real seconds within which a request must arrive to be taken (recvWindow).
    """

    def __init__(self, client: Any, window: float = 3.0) -> None:
        self.client, self.window = client, window
        self._signed = {"recvWindow": int(window * 1000)}
        self._silent_until = 0.0

    def open(self) -> None:
        """Load the markets and see that the keys may trade. ApexError when they may not."""
        try:
            self._ask(self.client.load_markets)
            if self._futures and self._ask(self._two_sided):
                raise ApexError(
                    "the account is in hedge mode, where a market has two positions: switch it to "
                    "one-way mode (position mode, in the exchange's settings)"
                )
        except Refused as refusal:
            raise ApexError(
                f"{self.client.id} refuses: {refusal}; see that the API key may trade from here"
            ) from None
        except Unanswered as reason:
            raise ApexError(f"{self.client.id} gives no answer: {reason}") from None

    def market(self, symbol: str) -> Mapping[str, Any]:
        """ccxt's description of a market by the exchange's own symbol. ApexError for none."""
        kind = "swap" if self._futures else "spot"
        for market in self.client.markets.values():
            if market["id"] == symbol and market["type"] == kind:
                return dict(market)
        raise ApexError(f"{self.client.id} has no market {symbol}")

    def amount(self, market: Mapping[str, Any], quantity: float) -> float:
        """A quantity as the market takes it: in whole lots."""
        lot = float(market["precision"]["amount"])
        return float(self.client.amount_to_precision(market["symbol"], quantity + 1e-3 * lot))

    def place(
        self, market: Mapping[str, Any], side: str, amount: float, name: str, reduce: bool
    ) -> None:
        """One market order, sent once. Refused, or Unanswered."""
        more = {"newClientOrderId": name, "newOrderRespType": "ACK", **self._signed}
        if reduce:
            more["reduceOnly"] = True
        try:
            self._once(
                lambda: self.client.create_order(
                    market["symbol"], "market", side, amount, None, more
                )
            )
        except Refused as refusal:
            if refusal.code in _HELD_ALREADY and "dup" in str(refusal).lower():
                raise Unanswered(str(refusal)) from None
            raise

    def order(self, market: Mapping[str, Any], name: str) -> dict[str, Any] | None:
        """An order by its own name, ccxt's; None when the exchange has none. Unanswered."""
        more = {"origClientOrderId": name, **self._signed}
        try:
            found = self._ask(lambda: self.client.fetch_order(None, market["symbol"], more))
        except Refused as refusal:
            if refusal.code in _NO_SUCH_ORDER:
                return None
            raise
        if found.get("id") is None or not found.get("status"):
            raise Unanswered("an answer that is no order")
        return dict(found)

    def cancel(self, market: Mapping[str, Any], name: str) -> None:
        """Cancel what is open of an order; one that is over stays as it is. Unanswered."""
        more = {"origClientOrderId": name, **self._signed}
        try:
            self._ask(lambda: self.client.cancel_order(None, market["symbol"], more))
        except Refused as refusal:
            if refusal.code not in _NO_SUCH_ORDER:
                raise

    def fills(self, market: Mapping[str, Any], order: str) -> list[dict[str, Any]]:
        """ccxt's trades of an order by the exchange's id. Unanswered."""
        more = {"orderId": order, **self._signed}
        found = self._ask(lambda: self.client.fetch_my_trades(market["symbol"], None, 1000, more))
        return [dict(fill) for fill in found if str(fill["order"]) == str(order)]

    def open_orders(self, market: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Orders of a market that are open. Unanswered."""
        return [
            dict(order)
            for order in self._ask(
                lambda: self.client.fetch_open_orders(market["symbol"], None, None, self._signed)
            )
        ]

    def funds(self, market: Mapping[str, Any]) -> Funds:
        """What the account holds of a market's two coins. Unanswered."""
        balance = self._ask(lambda: self.client.fetch_balance(dict(self._signed)))
        quote = _number(balance, market["settle"] or market["quote"])
        if not self._futures:
            return Funds(quote, _number(balance, market["base"]))
        risks = self._ask(
            lambda: self.client.fapiPrivateV3GetPositionRisk(
                {"symbol": market["id"], **self._signed}
            )
        )
        return Funds(quote, sum(float(risk["positionAmt"]) for risk in risks))

    def close(self) -> None:
        """Let go of the connection."""
        session = getattr(self.client, "session", None)
        if session is not None:
            session.close()

    # --- inside ------------------------------------------------------------------------------

    @property
    def _futures(self) -> bool:
        return bool(self.client.id != "binance")

    def _two_sided(self) -> bool:
        found = self.client.fapiPrivateGetPositionSideDual(self._signed)
        return str(found["dualSidePosition"]).lower() == "true"

    def _ask(self, question: Callable[[], T]) -> T:
        """The answer to something that may be asked again."""
        for left in reversed(range(_TRIES)):
            try:
                return self._once(question)
            except Unanswered:
                if left == 0 or time.monotonic() < self._silent_until:
                    raise
                time.sleep(_PAUSE)
        raise AssertionError

    def _once(self, request: Callable[[], T]) -> T:
        left = self._silent_until - time.monotonic()
        if left > 0.0:
            raise Refused(f"the exchange wants silence for {left:.0f} s more")
        try:
            return request()
        except ccxt.BaseError as error:
            raise self._sorted(error) from None
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            # ccxt's own parser, over an answer of another shape than it knows
            raise Unanswered(f"an answer that cannot be read, {type(error).__name__}") from None

    def _sorted(self, error: ccxt.BaseError) -> Exception:
        reason = shortened(str(error)) or type(error).__name__
        found = _CODE.search(str(error))
        code = int(found[1]) if found else None
        if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
            headers = self.client.last_response_headers or {}
            sent = {str(name).lower(): str(value) for name, value in headers.items()}
            wait = retry_after(sent.get("retry-after"), time.time())
            self._silent_until = time.monotonic() + (1.0 if wait is None else wait)
            return Refused(f"too many requests: {reason}", code)
        if code is not None and code not in _UNCERTAIN:
            return Refused(reason, code)
        if isinstance(error, ccxt.OperationFailed) or code in _UNCERTAIN:
            return Unanswered(reason)
        return Refused(reason) if isinstance(error, _BEFORE) else Unanswered(reason)


#: Raised before anything is sent, or with an answer that names the reason.
_BEFORE = (
    ccxt.AuthenticationError, ccxt.ArgumentsRequired, ccxt.BadSymbol, ccxt.InvalidOrder,
    ccxt.InsufficientFunds, ccxt.PermissionDenied,
)  # fmt: skip


def _number(balance: Mapping[str, Any], coin: str) -> float:
    return float((balance.get(coin) or {}).get("total") or 0.0)
