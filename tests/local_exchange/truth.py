"""The truth about all orders: what came in, when, and what became of it and of the money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.local_exchange.trading.engine import Engine
from tests.local_exchange.trading.ledger import Entry
from tests.local_exchange.trading.orders import ZERO, Fill, Order
from tests.local_exchange.trading.position import Position


@dataclass
class Arrival:
    """A request that would change orders, whether or not anything came of it.

    time: µs on the exchange's clock. account: None where nobody knows. values: its parameters
    without signature. status, code: of the answer; None, when the request was lost before the
    exchange saw it. order: id of the order concerned. fault: what went wrong with it, by name.
    """

    number: int
    time: int
    method: str
    path: str
    values: dict[str, str]
    account: str | None = None
    status: int | None = None
    code: int | None = None
    order: int | None = None
    fault: str = ""

    @property
    def client_id(self) -> str:
        """The client's own id of the order, or ""."""
        return self.values.get("newClientOrderId") or self.values.get("origClientOrderId", "")

    @property
    def accepted(self) -> bool:
        """Whether the exchange did what it was asked."""
        return self.status == 200


class Truth:
    """What the exchange knows. Lists are copies, orders are those of the engine: look, and leave.

    ``inside`` does the look in the server's own thread, so that it is safe from any other.
    """

    def __init__(self, engine: Engine, inside: Callable[[Callable[[], Any]], Any]) -> None:
        self._engine, self._inside = engine, inside
        self._arrivals: list[Arrival] = []

    # -- what tests and people ask ------------------------------------------------------------

    @property
    def arrivals(self) -> list[Arrival]:
        """Every request to place, change or cancel orders, in the order of arrival."""
        return list(self._inside(lambda: list(self._arrivals)))

    @property
    def orders(self) -> list[Order]:
        """Every order that was accepted, by id."""
        return list(self._inside(lambda: list(self._engine.orders.values())))

    @property
    def fills(self) -> list[Fill]:
        """Every fill, in the order of time."""
        return list(self._inside(lambda: list(self._engine.fills)))

    def named(self, client_id: str) -> list[Order]:
        """The orders that had this id of the client's: more than one is one too many."""
        return [order for order in self.orders if order.asked.client_id == client_id]

    def positions(self, account: str = "trader") -> dict[str, Position]:
        """Open positions by market."""
        held = self._inside(lambda: dict(self._engine.futures[account].positions))
        return {market: position for market, position in held.items() if position.amount}

    def entries(self, account: str = "trader", venue: str = "futures") -> list[Entry]:
        """Every change of an account's balances."""
        return list(self._inside(lambda: list(self._account(account, venue).ledger.entries)))

    def balances(self, account: str = "trader", venue: str = "futures") -> dict[str, Decimal]:
        """Balances by asset; on the futures venue without open profit and loss."""

        def look() -> dict[str, Decimal]:
            ledger = self._account(account, venue).ledger
            return {asset: ledger.total(asset) for asset in ledger.assets}

        found: dict[str, Decimal] = self._inside(look)
        return found

    def check(self) -> None:
        """AssertionError unless orders, fills, positions and balances tell one story."""
        self._inside(lambda: check(self._engine))

    # -- what the exchange notes --------------------------------------------------------------

    def arrived(self, time: int, method: str, path: str, values: Mapping[str, str],
                fault: str = "") -> Arrival:  # fmt: skip
        """Note a request."""
        hidden = {name: value for name, value in values.items() if name != "signature"}
        arrival = Arrival(len(self._arrivals), time, method, path, hidden, fault=fault)
        self._arrivals.append(arrival)
        return arrival

    def _account(self, account: str, venue: str) -> Any:
        return (self._engine.spot if venue == "spot" else self._engine.futures)[account]


def check(engine: Engine) -> None:
    """AssertionError unless an engine's books agree with each other, to the last decimal."""
    for order in engine.orders.values():
        mine = [fill for fill in engine.fills if fill.order == order.id]
        assert mine == order.fills, f"order {order.id}: fills are not those on record"
        assert sum((fill.quantity for fill in mine), ZERO) == order.filled
        assert order.filled <= order.quantity, f"order {order.id} is filled beyond its quantity"
        assert all(fill.time >= order.arrived for fill in mine), f"order {order.id}: filled early"
        assert order.open or not order.locked, f"order {order.id} ended and locks funds"
    for name, account in engine.futures.items():
        for market, position in account.positions.items():
            mine = [f for f in engine.fills if (f.account, f.market) == (name, market)]
            signed = [fill.quantity if fill.side == "BUY" else -fill.quantity for fill in mine]
            assert sum(signed, ZERO) == position.amount, f"{market}: position is not its fills"
            flows = sum((s * f.price for s, f in zip(signed, mine, strict=True)), ZERO)
            assert position.cost - flows == position.realised, f"{market}: profit is lost"
            booked = [e.amount for e in account.ledger.entries
                      if e.kind == "REALIZED_PNL" and e.market == market]  # fmt: skip
            assert sum(booked, ZERO) == position.realised, f"{market}: profit is not booked"
        _check_fees(engine, name, "futures", account.ledger.entries)
    for name, wallet in engine.spot.items():
        _check_fees(engine, name, "spot", wallet.ledger.entries)
        for asset in wallet.ledger.assets:
            assert 0 <= wallet.locked(asset) <= wallet.ledger.total(asset), f"{asset}: overdrawn"


def _check_fees(engine: Engine, account: str, venue: str, entries: list[Entry]) -> None:
    paid = -sum((entry.amount for entry in entries if entry.kind == "COMMISSION"), ZERO)
    owed = [
        fill.fee for fill in engine.fills
        if fill.account == account and engine.listings[fill.market].venue == venue
    ]  # fmt: skip
    assert paid == sum(owed, ZERO), f"{venue} {account}: fees are not those of the fills"
