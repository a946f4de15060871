"""ccxt clients of an exchange, for REST and for websockets, set up alike.

One kind of trade everywhere: *aggregate* trades (the fills of one order at one price and moment),
as in Binance's archives. ccxt's own defaults differ: aggregate trades over REST, raw ones on the
socket; so ids, counts and the largest trade would not agree.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import ccxt
import ccxt.async_support
import ccxt.pro

from apex_trader.errors import ApexError
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.credentials import HidingFilter, credentials

#: Market types that a Binance client asks for; the others have hosts of their own.
_BINANCE_TYPES = {"binance": "spot", "binanceusdm": "linear", "binancecoinm": "inverse"}
#: Trades that a stream keeps for its reader. One that lags further sees a hole in the ids.
STREAM_CACHE = 10_000


def rest(config: ExchangeConfig, *, microseconds: bool = False) -> Any:
    """A ``ccxt.async_support`` client. To be closed with ``await client.close()``.

    microseconds: have Binance's spot market state times in microseconds, as in its archive since
    2025. Only ``pages`` understands them: ccxt's own methods (``fetch_time``) would not.
    """
    client = _client(ccxt.async_support, config)
    if microseconds and config.exchange == "binance":
        client.headers = {**(client.headers or {}), "X-MBX-TIME-UNIT": "MICROSECOND"}
    return client


def streaming(config: ExchangeConfig) -> Any:
    """A ``ccxt.pro`` client, which speaks websockets and REST. To be closed as well.

    ``watch_trades(symbol)`` gives aggregate trades on Binance.
    """
    if config.exchange not in ccxt.pro.exchanges:
        raise ApexError(f"{config.exchange} has no websocket client in ccxt: choose another one")
    return _client(ccxt.pro, config)


def trading(config: ExchangeConfig, timeout: float) -> Any:
    """A synchronous ``ccxt`` client that may send orders. timeout: s to wait for an answer.

    ApexError where no keys are given.
    """
    if credentials(config) is None:
        name = config.exchange.upper()
        raise ApexError(
            f"orders need an API key: export {name}_API_KEY and {name}_API_SECRET, or name others "
            "with exchange.key_env and exchange.secret_env, or a file with exchange.key_file"
        )
    return _client(ccxt, replace(config, timeout=timeout))


def is_binance(config: ExchangeConfig) -> bool:
    """Whether Binance's own endpoints (aggregate trades, taker volume) are spoken."""
    return config.exchange in _BINANCE_TYPES


def endpoint(client: Any, config: ExchangeConfig) -> str:
    """The REST address that requests go to, for messages."""
    if config.url:
        return config.url
    api = client.urls.get("api")
    kind = {"binanceusdm": "fapiPublic", "binancecoinm": "dapiPublic"}.get(config.exchange)
    address = api if isinstance(api, str) else api.get(kind or "public") or next(_texts(api), "")
    parts = urlsplit(str(address).replace("{hostname}", str(getattr(client, "hostname", "") or "")))
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else config.exchange


def _client(library: Any, config: ExchangeConfig) -> Any:
    keys = credentials(config)
    options: dict[str, Any] = {
        "enableRateLimit": True,
        "timeout": int(config.timeout * 1000),
        "options": _options(config),
    }
    if keys is not None:
        options |= {"apiKey": keys.key, "secret": keys.secret}
    client = getattr(library, config.exchange)(options)
    if config.testnet:
        client.set_sandbox_mode(True)
    api = client.urls.get("api")
    if isinstance(api, dict):
        streams = api.pop("ws", None)
        if config.url:
            client.urls["api"] = api = _moved(api, config.url)
        if streams is not None:
            api["ws"] = _moved(streams, config.ws_url) if config.ws_url else streams
    elif config.url:
        client.urls["api"] = _moved(api, config.url)
    # Proxies that the environment names are for the world, not for this machine.
    client.aiohttp_trust_env = client.requests_trust_env = urlsplit(config.url).hostname not in (
        "127.0.0.1",
        "::1",
        "localhost",
    )
    if keys is not None:
        client.logger = _quiet(client.logger, HidingFilter(keys))
    return client


def _options(config: ExchangeConfig) -> dict[str, Any]:
    if not is_binance(config):
        return {}
    return {
        "fetchMarkets": {"types": [_BINANCE_TYPES[config.exchange]]},
        # Both need keys, and neither is needed for market data.
        "fetchCurrencies": False,
        "fetchMargins": False,
        "watchTrades": {"name": "aggTrade"},
        "watchTradesForSymbols": {"name": "aggTrade"},
        "tradesLimit": STREAM_CACHE,
    }


def _moved(addresses: Any, base: str) -> Any:
    """The addresses with scheme and host of ``base``, each with its own path below its path."""
    if isinstance(addresses, dict):
        return {name: _moved(value, base) for name, value in addresses.items()}
    if not isinstance(addresses, str):
        return addresses
    new, old = urlsplit(base), urlsplit(addresses)
    return urlunsplit((new.scheme, new.netloc, new.path.rstrip("/") + old.path, old.query, ""))


def _texts(addresses: Any) -> Any:
    for value in addresses.values():
        if isinstance(value, str):
            yield value


def _quiet(shared: logging.Logger, hide: HidingFilter) -> logging.Logger:
    """A logger of this client alone that passes its records on without keys."""
    logger = logging.Logger(shared.name)
    logger.parent = shared
    logger.addFilter(hide)
    return logger
