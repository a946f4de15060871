"""Clients: aggregate trades everywhere, every address moved, nothing else of ccxt changed."""

from typing import Any

import pytest

from apex_trader.market.exchange.client import endpoint, rest, streaming
from apex_trader.market.exchange.config import ExchangeConfig

MOVED = {"url": "http://127.0.0.1:9/base", "ws_url": "ws://127.0.0.1:8"}


def texts(addresses: Any) -> list[str]:
    if isinstance(addresses, str):
        return [addresses]
    return [text for value in addresses.values() for text in texts(value)]


@pytest.mark.parametrize("exchange", ["binance", "binanceusdm", "kraken"])
def test_every_address_moves_and_keeps_its_path(exchange: str) -> None:
    config = ExchangeConfig(exchange, **MOVED)  # type: ignore[arg-type]
    for make in (rest, streaming):
        client = make(config)
        api = dict(client.urls["api"])
        sockets = texts(api.pop("ws", {}))
        assert all(text.startswith("http://127.0.0.1:9/base") for text in texts(api))
        assert all(text.startswith("ws://127.0.0.1:8") for text in sockets)
        assert sockets or make is rest
        assert not client.aiohttp_trust_env


def test_binance_paths_of_spot_and_futures() -> None:
    spot = rest(ExchangeConfig("binance", **MOVED)).urls["api"]  # type: ignore[arg-type]
    assert spot["public"] == "http://127.0.0.1:9/base/api/v3"
    assert spot["fapiPublic"] == "http://127.0.0.1:9/base/fapi/v1"


@pytest.mark.parametrize(("exchange", "kind"), [("binance", "spot"), ("binanceusdm", "linear")])
def test_streams_are_of_aggregate_trades_and_of_one_market_type(exchange: str, kind: str) -> None:
    options = streaming(ExchangeConfig(exchange)).options
    assert options["watchTrades"]["name"] == "aggTrade"
    assert options["watchTradesForSymbols"]["name"] == "aggTrade"
    assert options["fetchMarkets"]["types"] == [kind]


def test_the_endpoint_in_messages() -> None:
    for exchange, address in (
        ("binance", "https://api.binance.com"), ("binanceusdm", "https://fapi.binance.com"),
    ):  # fmt: skip
        config = ExchangeConfig(exchange)
        assert endpoint(rest(config), config) == address


def test_a_test_network() -> None:
    client = rest(ExchangeConfig("binance", testnet=True))
    assert "testnet" in client.urls["api"]["public"]
