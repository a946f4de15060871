"""Who asks: API keys, signatures and timestamps of requests.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence

from tests.local_exchange.answers import ExchangeError
from tests.local_exchange.trading.config import Account, TradingConfig

#: Milliseconds: the window that a request has where it names none, and the longest.
DEFAULT_WINDOW, LONGEST_WINDOW = 5_000, 60_000
#: Milliseconds by which a client's clock may be ahead.
_AHEAD = 1_000
_SIGNATURE = re.compile(r"(?:^|&)signature=[^&]*")


class Signatures:
    """Checks requests against the accounts' keys."""

    def __init__(self, accounts: Sequence[Account], config: TradingConfig) -> None:
        self._accounts = {account.key: account for account in accounts}
        self._config = config

    @property
    def any(self) -> bool:
        """Whether there are accounts at all; without, any key may ask what needs no account."""
        return bool(self._accounts)

    def account(self, key: str | None) -> Account:
        """Whose key it is: -2014 without one, -2015 for one that nobody has."""
        if not key or not re.fullmatch(r"[A-Za-z0-9]+", key):
            raise ExchangeError(401, -2014, "API-key format invalid.")
        if key not in self._accounts:
            raise _no_permission()
        return self._accounts[key]

    def check(
        self, key: str | None, payload: str, values: Mapping[str, str], now: int, *, trades: bool
    ) -> Account:
        """Who signed this request. payload: query and body, as sent; now: µs of the exchange.

        trades: whether it needs a key that may trade.
        """
        account = self.account(key)
        for name in ("timestamp", "signature"):
            if not values.get(name):
                raise ExchangeError(
                    400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or "
                    "malformed.",
                )  # fmt: skip
        self._check_time(values, now)
        if not hmac.compare_digest(sign(account.secret, payload), values["signature"]):
            raise ExchangeError(400, -1022, "Signature for this request is not valid.")
        if trades and not account.may_trade:
            raise _no_permission()
        return account

    def _check_time(self, values: Mapping[str, str], now: int) -> None:
        window, stamp = values.get("recvWindow", str(DEFAULT_WINDOW)), values["timestamp"]
        for name, value in (("recvWindow", window), ("timestamp", stamp)):
            if not re.fullmatch(r"\d{1,20}", value):
                raise ExchangeError(
                    400, -1100, f"Illegal characters found in parameter '{name}'; legal range is "
                    "'^[0-9]{1,20}$'.",
                )  # fmt: skip
        if int(window) > LONGEST_WINDOW:
            raise ExchangeError(400, -1131, f"recvWindow must be less than {LONGEST_WINDOW}")
        if self._config.timestamps == "unchecked":
            return
        here = now // 1000 if self._config.timestamps == "exchange" else int(time.time() * 1000)
        if int(stamp) >= here + _AHEAD:
            raise ExchangeError(
                400, -1021, f"Timestamp for this request was {_AHEAD}ms ahead of the server's time."
            )
        if here - int(stamp) > int(window):
            raise ExchangeError(
                400, -1021, "Timestamp for this request is outside of the recvWindow."
            )


def sign(secret: str, payload: str) -> str:
    """HMAC-SHA256 of a payload, without the signature that it may hold."""
    text = _SIGNATURE.sub("", payload)
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _no_permission() -> ExchangeError:
    return ExchangeError(401, -2015, "Invalid API-key, IP, or permissions for action.")
