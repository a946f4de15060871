"""A trader at the local exchange, for tests: exact tapes, and the unmodified ccxt as its client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.pro
import numpy as np
import pytest

from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Funding, Trades
from apex_trader.time import SECOND
from tests.local_exchange import Account, Clock, Feed, Listing, LocalExchange, TradingConfig
from tests.local_exchange.samples import options
from tests.local_exchange.trading.orders import Fill, Order
from tests.market.samples import MONDAY

#: ccxt's names of the venues, and of their ETH markets.
SYMBOLS = {"binance": "ETH/USDT", "binanceusdm": "ETH/USDT:USDT"}
MARKETS = {"binance": "binance:ETHUSDT", "binanceusdm": "binanceusdm:ETHUSDT"}
TRADER = Account(spot={"USDT": "10000", "ETH": "5"}, futures={"USDT": "10000"})
OTHER = Account("other", "OtherKey", "OtherSecret", spot={"USDT": "10000", "ETH": "5"},
                futures={"USDT": "10000"})  # fmt: skip
#: (second, price, amount, side of the aggressor): a trade of the market.
Row = tuple[float, float, float, int]
#: A quiet market at 2000, with a trade each ten seconds.
QUIET: tuple[Row, ...] = tuple((10.0 * k, 2000.0, 1.0, 1) for k in range(1, 60))


def tape(rows: Sequence[Row], payments: Sequence[tuple[float, float]] = ()) -> Feed:
    """ETHUSDT on spot and as a perpetual, with these trades; payments: (second, funding rate).

    One trade at 2000 happened before the first second.
    """
    second, price, amount, side = np.array([(0.0, 2000.0, 1.0, 1), *rows]).T
    trades = Trades(
        MONDAY + (second * SECOND).astype(np.int64), price, amount, side.astype(np.int8),
        np.arange(100, 100 + len(second)),
    )  # fmt: skip
    paid = Funding(
        np.array([MONDAY + int(at * SECOND) for at, _ in payments], np.int64),
        np.array([rate for _, rate in payments], np.float64),
    )
    spot = MarketInfo(MARKETS["binance"], "spot", 0.01, 0.001, 5.0)
    perpetual = MarketInfo(MARKETS["binanceusdm"], "perpetual", 0.01, 0.001, 20.0)
    return Feed([Listing(spot, trades), Listing(perpetual, trades, funding=paid)])


@dataclass
class Desk:
    """An open exchange, and a client with an account's keys."""

    exchange: LocalExchange
    client: Any
    name: str

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.name]

    @property
    def venue(self) -> str:
        return "spot" if self.name == "binance" else "futures"

    async def at(self, second: float) -> None:
        """Let this second come, and everyone hear of all that happens until then."""
        self.exchange.clock.advance_to(MONDAY + int(second * SECOND))
        await self.exchange.settle()

    async def place(
        self, side: str, amount: float | str, price: float | None = None, **params: Any
    ) -> Any:
        """A limit order, or a market order where no price is given."""
        kind = "market" if price is None else "limit"
        return await self.client.create_order(self.symbol, kind, side, amount, price, params)

    async def raw(self, side: str, **params: Any) -> Any:
        """An order as the venue wants it, past ccxt's own rounding."""
        call = self.client.fapiPrivatePostOrder
        if self.name == "binance":
            call = self.client.privatePostOrder
        return await call({"symbol": "ETHUSDT", "side": side, **params})

    async def order(self, placed: Any) -> Any:
        """It as it is now."""
        return await self.client.fetch_order(placed["id"], self.symbol)

    def true(self, placed: Any) -> Order:
        """It as the exchange knows it."""
        return next(o for o in self.exchange.truth.orders if o.id == int(placed["id"]))

    @property
    def fills(self) -> list[Fill]:
        """All fills on the exchange."""
        return self.exchange.truth.fills

    def balance(self, asset: str = "USDT") -> Decimal:
        """Of the trader, on this venue."""
        return self.exchange.truth.balances(venue=self.venue).get(asset, Decimal(0))

    @property
    def position(self) -> Decimal:
        """Of the trader in the perpetual."""
        held = self.exchange.truth.positions().get(MARKETS["binanceusdm"])
        return Decimal(0) if held is None else held.amount

    async def refused(self, code: int, placing: Awaitable[Any]) -> None:
        """It is refused with this code."""
        with pytest.raises(ccxt.BaseError):
            await placing
        # ccxt knows Binance's classes of errors by its addresses, and not every message has the
        # code: the answer has.
        assert json.loads(self.client.last_http_response)["code"] == code


def trade(
    name: str, rows: Sequence[Row], work: Callable[[Desk], Awaitable[None]],
    *, payments: Sequence[tuple[float, float]] = (), accounts: Sequence[Account] = (TRADER,),
    speed: float = 0, terms: dict[str, Any] | None = None, **given: Any,
) -> None:  # fmt: skip
    """Work at a desk of the first account, the clock standing at second 1; then check the books."""

    async def run() -> None:
        clock = Clock(MONDAY + SECOND, speed)
        config = TradingConfig(timestamps="host", **(terms or {}))
        async with LocalExchange(
            tape(rows, payments), clock=clock, accounts=accounts, trading=config, **given
        ) as exchange:
            client = client_of(exchange, name, accounts[0])
            try:
                await client.load_markets()
                await asyncio.wait_for(work(Desk(exchange, client, name)), 30)
                exchange.truth.check()
            finally:
                await client.close()

    asyncio.run(run())


def client_of(exchange: LocalExchange, name: str, account: Account, **more: Any) -> Any:
    """The unmodified streaming client, with an account's keys."""
    keys = {"apiKey": account.key, "secret": account.secret}
    return getattr(ccxt.pro, name)(options(exchange, **keys, **more))


async def until(true: Any) -> None:
    """Wait for what must come soon."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.002)
