"""Who trades on the exchange, and at which terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from apex_trader.errors import ApexError, ConfigError
from apex_trader.time import HOUR, SECOND
from tests.local_exchange.feed import Venue

#: What an account owns, by asset: numbers are written as text, so that they are exact.
Funds = Mapping[str, str | Decimal]


@dataclass(frozen=True)
class Account:
    """One trader: an API key with its secret (HMAC), and what it has at the start.

    spot, futures: balances by asset. leverage: of every perpetual until the client changes it.
    may_trade: False for a key that may only read.
    """

    name: str = "trader"
    key: str = "LocalExchangeKey"
    secret: str = field(default="LocalExchangeSecret", repr=False)
    spot: Funds = field(default_factory=dict)
    futures: Funds = field(default_factory=dict)
    leverage: int = 20
    may_trade: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]+", self.key):
            raise ApexError(f"the API key of account {self.name!r} must be letters and digits")


def _taker_fees() -> dict[Venue, Decimal]:
    return {"spot": Decimal("0.001"), "futures": Decimal("0.0005")}


def _maker_fees() -> dict[Venue, Decimal]:
    return {"spot": Decimal("0.001"), "futures": Decimal("0.0002")}


@dataclass(frozen=True)
class TradingConfig:
    """The exchange's terms.

    taker, maker: fee as a share of the traded value, by venue.
    market_for, immediate_for: µs of exchange time in which trades stand for the book that a MARKET
    order, and an IOC or FOK order, would have met; what they leave expires.
    answer_within: real seconds for which the answer to such an order waits for its end; with a
    clock that stands, or with 0, the answer comes at once and says NEW.
    maintenance, liquidation_fee: shares of a position's value. max_leverage: of every perpetual.
    timestamps: what the timestamps of signed requests are held against: the "exchange"'s clock,
    the "host"'s (for a clock that runs faster than clients can follow), or nothing, "unchecked".
    order_limits: new orders of one account by venue, as (interval, its real seconds, number).
    listen_key_life: µs of exchange time after which a listen key expires that nobody renewed.
    """

    taker: Mapping[Venue, Decimal] = field(default_factory=_taker_fees)
    maker: Mapping[Venue, Decimal] = field(default_factory=_maker_fees)
    market_for: int = 30 * SECOND
    immediate_for: int = SECOND
    answer_within: float = 2.0
    maintenance: Decimal = Decimal("0.004")
    liquidation_fee: Decimal = Decimal("0.0125")
    max_leverage: int = 125
    listen_key_life: int = HOUR
    timestamps: Literal["exchange", "host", "unchecked"] = "exchange"
    order_limits: Mapping[Venue, tuple[tuple[str, int, int], ...]] = field(
        default_factory=lambda: {
            "spot": (("10S", 10, 100), ("1D", 86_400, 200_000)),
            "futures": (("10S", 10, 300), ("1M", 60, 1200)),
        }
    )

    def __post_init__(self) -> None:
        for name in ("maintenance", "liquidation_fee"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"trading.{name}", getattr(self, name), "a share in [0, 1)")
        if self.maintenance * self.max_leverage >= 1:
            raise ConfigError(
                "trading.maintenance", self.maintenance,
                "below 1 / max_leverage, or positions are liquidated as they open",
            )  # fmt: skip
