"""What a USD-M account hears on its private stream, as JSON objects.

https://developers.binance.com/docs/derivatives/usds-margined-futures/user-data-streams
"""

from __future__ import annotations

from typing import Any

from tests.local_exchange.trading.engine import Engine
from tests.local_exchange.trading.events import BalanceEvent, Event, OrderEvent, SettingEvent
from tests.local_exchange.trading.money import rounded, text
from tests.local_exchange.trading.orders import ZERO


def messages(engine: Engine, event: Event) -> list[dict[str, Any]]:
    """The messages that an event of the futures venue makes, in their order."""
    if isinstance(event, SettingEvent):
        return [_setting(event)]
    if isinstance(event, BalanceEvent):
        return [_account(engine, event)]
    brief = [] if event.fill is None else [_trade_lite(event)]
    return [*brief, _order(event)]


def listen_key_expired(key: str, time: int) -> dict[str, Any]:
    """The last message of a stream whose key was not renewed."""
    return {"e": "listenKeyExpired", "E": time // 1000, "listenKey": key}


def _order(event: OrderEvent) -> dict[str, Any]:
    order, fill = event.order, event.fill
    asked, listing = order.asked, order.listing
    price, amount = listing.price_places, listing.amount_places
    kind = "LIQUIDATION" if order.liquidation else asked.type
    report = {
        "s": listing.symbol, "c": asked.client_id, "S": asked.side, "o": kind,
        "f": asked.time_in_force, "q": text(order.quantity, amount),
        "p": text(asked.price or ZERO, price), "ap": rounded(order.average, 8), "sp": "0",
        "x": _execution(event), "X": order.status, "i": order.id,
        "l": text(fill.quantity if fill else ZERO, amount), "z": text(order.filled, amount),
        "L": text(fill.price if fill else ZERO, price), "n": text(fill.fee if fill else ZERO, 8),
        "N": listing.assets[1], "T": event.time // 1000, "t": fill.id if fill else 0,
        "b": "0", "a": "0", "m": fill.maker if fill else False, "R": asked.reduce_only,
        "wt": "CONTRACT_PRICE", "ot": kind, "ps": "BOTH", "cp": False,
        "rp": text(fill.realised if fill else ZERO, 8), "pP": False, "si": 0, "ss": 0,
        "V": "EXPIRE_MAKER", "pm": "NONE", "gtd": 0, "er": "0",
    }  # fmt: skip
    if fill is None:
        # A commission is told of where there is one.
        del report["n"], report["N"]
    return {**_head("ORDER_TRADE_UPDATE", event.time), "o": report}


def _execution(event: OrderEvent) -> str:
    """A forced order's fills have a name of their own."""
    forced = event.order.liquidation and event.execution == "TRADE"
    return "CALCULATED" if forced else event.execution


def _trade_lite(event: OrderEvent) -> dict[str, Any]:
    """A fill in brief, which comes before the whole report."""
    order, fill = event.order, event.fill
    assert fill is not None
    price, amount = order.listing.price_places, order.listing.amount_places
    return {
        **_head("TRADE_LITE", event.time), "s": order.listing.symbol,
        "q": text(order.quantity, amount), "p": text(order.asked.price or ZERO, price),
        "m": fill.maker, "c": order.asked.client_id, "S": order.asked.side,
        "L": text(fill.price, price), "l": text(fill.quantity, amount), "t": fill.id,
        "i": order.id,
    }  # fmt: skip


def _account(engine: Engine, event: BalanceEvent) -> dict[str, Any]:
    """Cross margin: positions are told of where they were traded, not where they paid funding."""
    account = engine.futures[event.account]
    balances = [
        {"a": asset, "wb": text(account.ledger.total(asset), 8),
         "cw": text(account.ledger.total(asset), 8), "bc": text(event.change, 8)}
        for asset in event.assets
    ]  # fmt: skip
    markets = event.markets if event.reason == "ORDER" else ()
    positions = [_position(engine, event.account, market) for market in markets]
    update = {"B": balances, "P": positions, "m": event.reason}
    return {**_head("ACCOUNT_UPDATE", event.time), "a": update}


def _position(engine: Engine, account: str, market: str) -> dict[str, Any]:
    listing, position = engine.listings[market], engine.futures[account].position(market)
    mark = engine.marks().get(market, ZERO)
    return {
        "s": listing.symbol, "pa": text(position.amount, listing.amount_places),
        "ep": rounded(position.entry, 8), "bep": rounded(position.entry, 8),
        "cr": text(position.realised, 8), "up": text(position.unrealised(mark), 8),
        "mt": "cross", "iw": "0", "ps": "BOTH", "ma": listing.assets[1],
    }  # fmt: skip


def _setting(event: SettingEvent) -> dict[str, Any]:
    symbol = event.market.partition(":")[2]
    head = _head("ACCOUNT_CONFIG_UPDATE", event.time)
    return {**head, "ac": {"s": symbol, "l": event.leverage}}


def _head(name: str, time: int) -> dict[str, Any]:
    return {"e": name, "E": time // 1000, "T": time // 1000}
