"""A small exchange: ETH spot with ids and minutes, BTC spot without either, an ETH perpetual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Funding
from apex_trader.time import HOUR
from tests.local_exchange import Feed, Listing
from tests.local_exchange.samples import FIRST_ID, exact_bars, exact_trades
from tests.market.samples import MONDAY


@pytest.fixture(scope="session")
def eth() -> Listing:
    trades = replace(exact_trades(1, 4000), id=np.arange(FIRST_ID, FIRST_ID + 4000))
    return Listing(MarketInfo("binance:ETHUSDT"), trades, {"1m": exact_bars(2, 1500, "1m")})


@pytest.fixture(scope="session")
def btc() -> Listing:
    return Listing(MarketInfo("binance:BTCUSDT"), exact_trades(3, 2000))


@pytest.fixture(scope="session")
def perpetual() -> Listing:
    trades = replace(exact_trades(4, 3000), id=np.arange(900, 3900))
    paid = MONDAY + np.arange(7) * 8 * HOUR
    rates = np.array([1e-4, -2.5e-5, 3e-8, 0.0, 1e-4, -1e-4, 2e-4])
    info = MarketInfo("binanceusdm:ETHUSDT", "perpetual", 0.01, 0.001, 20.0)
    amounts = np.round(trades.amount, 3) + 0.001
    trades = replace(trades, amount=np.round(amounts, 3))
    return Listing(info, trades, {"1m": exact_bars(5, 300, "1m")}, Funding(paid, rates))


@pytest.fixture(scope="session")
def feed(eth: Listing, btc: Listing, perpetual: Listing) -> Feed:
    return Feed([eth, btc, perpetual])
