"""Private streams by listen key: start, keep alive, close; an API key without a signature does.

USD-M knows an account's key by the account, the spot venue wants its text.
"""

from __future__ import annotations

from typing import Any

from tests.local_exchange.answers import ExchangeError, Query
from tests.local_exchange.endpoints import Endpoint, Exchange, costs


def start_futures(exchange: Exchange, query: Query) -> Any:
    return {"listenKey": exchange.keys.start("futures", query.caller, exchange.now()).text}


def renew_futures(exchange: Exchange, query: Query) -> Any:
    key = exchange.keys.renew("futures", query.caller, exchange.now())
    if key is None:
        raise _unknown()
    return {"listenKey": key.text}


def end_futures(exchange: Exchange, query: Query) -> Any:
    if exchange.keys.renew("futures", query.caller, exchange.now()) is None:
        raise _unknown()
    exchange.keys.end("futures", query.caller)
    return {}


def start_spot(exchange: Exchange, query: Query) -> Any:
    return {"listenKey": exchange.keys.start("spot", query.caller, exchange.now()).text}


def renew_spot(exchange: Exchange, query: Query) -> Any:
    _check_mine(exchange, query)
    exchange.keys.renew("spot", query.caller, exchange.now())
    return {}


def end_spot(exchange: Exchange, query: Query) -> Any:
    _check_mine(exchange, query)
    exchange.keys.end("spot", query.caller)
    return {}


def _check_mine(exchange: Exchange, query: Query) -> None:
    key = exchange.keys.named(query.text("listenKey"), exchange.now())
    if key is None or (key.venue, key.account) != ("spot", query.caller):
        raise _unknown()


def _unknown() -> ExchangeError:
    return ExchangeError(400, -1125, "This listenKey does not exist.")


_FUTURES, _SPOT = "/fapi/v1/listenKey", "/api/v3/userDataStream"
ENDPOINTS = [
    Endpoint(_FUTURES, start_futures, costs(1), key_only=True, method="POST"),
    Endpoint(_FUTURES, renew_futures, costs(1), key_only=True, method="PUT"),
    Endpoint(_FUTURES, end_futures, costs(1), key_only=True, method="DELETE"),
    Endpoint(_SPOT, start_spot, costs(2), key_only=True, method="POST"),
    Endpoint(_SPOT, renew_spot, costs(2), key_only=True, method="PUT"),
    Endpoint(_SPOT, end_spot, costs(2), key_only=True, method="DELETE"),
]
