"""Where a trading run's orders go, and the money it begins with."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from apex_trader.errors import ApexError, ConfigError
from apex_trader.execution.exchange_requests import Refused, TradingRequests, Unanswered
from apex_trader.execution.exchange_venue import ExchangeVenue
from apex_trader.execution.orders import Venue
from apex_trader.execution.paper import PaperVenue
from apex_trader.market.exchange.client import is_binance, trading
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.fills import FillConfig
from apex_trader.market.source import MarketSource
from apex_trader.market.transaction import split_market
from apex_trader.runtime.config import Config
from apex_trader.trading.config import TradingConfig

#: Bytes of a run's tag: with them two runs on one account hardly ever name an order alike.
_TAG_BYTES = 4


@dataclass(frozen=True)
class Terms:
    """What a trading run began with, the same whenever it goes on.

    equity: quote currency. tag: part of every order's id at an exchange. aside: base coin of a spot
    account that was there before, and is not this run's.
    """

    equity: float
    tag: str = ""
    aside: float = 0.0

    @classmethod
    def read(cls, about: dict[str, Any]) -> Self:
        """Out of ``plain``'s dictionary, among others."""
        return cls(float(about["equity"]), str(about["tag"]), float(about["aside"]))

    def plain(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def check_mode(config: Config) -> None:
    """ConfigError for a market on which orders cannot be sent in this mode."""
    mode, market = config.trade.mode, config.market.primary
    if mode == "paper":
        return
    if not is_binance(_exchange(config)):
        raise ConfigError(
            "trade.mode", mode, f"paper: orders are sent to Binance alone, not to {market}"
        )
    kind = "spot" if _exchange(config).exchange == "binance" else "perpetual"
    if config.trading.instrument != kind:
        raise ConfigError(
            "trading.instrument", config.trading.instrument, f"{kind}, which {market} is"
        )


def rules_of(config: Config, rules: TradingConfig, terms: Terms) -> TradingConfig:
    """The rules of the account that trades. Fills of an exchange are real: nothing is to be added
    to their prices."""
    slippage = rules.slippage_bps if config.trade.mode == "paper" else 0.0
    return replace(rules, initial_equity=terms.equity, slippage_bps=slippage)


class Desk:
    """An open account, or none on paper: ``venue`` gives what a trader sends its orders to.

    Args:
        config: with trade.mode. rules: trading rules and costs, the market's filled in.
        terms: of a run that goes on.

    Raises:
        ApexError: no keys, the exchange refuses them or does not answer, or the account holds a
            position that is nobody's.
    """

    def __init__(self, config: Config, rules: TradingConfig, terms: Terms | None) -> None:
        check_mode(config)
        self._config, self._requests = config, None
        wanted = config.trade.equity
        if config.trade.mode == "paper":
            self.terms = terms or Terms(wanted or rules.initial_equity)
            self.rules = rules_of(config, rules, self.terms)
            return
        exchange = _exchange(config)
        self._requests = TradingRequests(trading(exchange, config.trade.answer_within))
        self._requests.open()
        self.terms = terms or self._begin(wanted)
        self.rules = rules_of(config, rules, self.terms)

    def venue(self, market: MarketSource, fills: FillConfig) -> Venue:
        """Where orders go. market: the traded one, for paper. Cancels what a run left open."""
        if self._requests is None:
            return PaperVenue(market, fills)
        terms, name = self.terms, self._config.market.primary
        venue = ExchangeVenue(self._requests, name, self.rules, terms.tag, terms.aside)
        try:
            venue.cancel_left_over()
        except (Refused, Unanswered) as reason:
            raise ApexError(f"open orders on {name} cannot be asked for: {reason}") from None
        return venue

    def close(self) -> None:
        """Let go of the connection."""
        if self._requests is not None:
            self._requests.close()

    def _begin(self, wanted: float | None) -> Terms:
        """The terms of a new run."""
        assert self._requests is not None
        name = self._config.market.primary
        market = self._requests.market(split_market(name)[1])
        try:
            funds = self._requests.funds(market)
        except (Refused, Unanswered) as reason:
            raise ApexError(f"the account's balance cannot be asked for: {reason}") from None
        perpetual = market["type"] == "swap"
        if perpetual and funds.base != 0.0:
            raise ApexError(
                f"the account holds {funds.base:+g} {market['base']} on {name} that no trading run "
                "of this folder took: close the position, or go on in the folder of its run "
                "(out=DIR)"
            )
        equity = min(funds.quote, wanted or funds.quote)
        if equity <= 0.0 or (wanted and wanted > funds.quote):
            raise ApexError(
                f"the account has {funds.quote:,.2f} {market['quote']}, "
                + (f"trade.equity={wanted:g} wants more" if wanted else "nothing to trade with")
            )
        aside = 0.0 if perpetual else funds.base
        return Terms(equity, secrets.token_hex(_TAG_BYTES), aside)


def _exchange(config: Config) -> ExchangeConfig:
    name = split_market(config.market.primary)[0]
    return replace(config.exchange, exchange=name, testnet=config.trade.mode == "testnet")
