"""Orders and what became of them, whoever fills them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Order:
    """One order to take another position.

    id: the client's own, unique. ts: µs of the decision. arrives, deadline: µs (the exchange's
    clock) from which it can trade, and at which it is given up. before, target: positions −1, 0, 1.
    quantity: signed change of the position that it is sized for, base coin.
    """

    id: str
    ts: int
    arrives: int
    deadline: int
    before: int
    target: int
    quantity: float


@dataclass(frozen=True)
class Outcome:
    """What became of an order: ``price`` is ln of the fill before slippage, NaN where it was not
    filled; ``ts`` µs of the fill, 0 for none. reason: why it was not filled, or not whole, or "".
    traded: signed base coin that changed hands, fee: quote currency; None where the rules of
    ``TradingConfig`` tell both."""

    price: float
    ts: int
    reason: str = ""
    traded: float | None = None
    fee: float | None = None

    @property
    def filled(self) -> bool:
        """Whether it traded."""
        return not math.isnan(self.price)

    @property
    def executed(self) -> float:
        """The price before slippage, quote currency; NaN where it was not filled."""
        return math.exp(self.price)


class Venue(Protocol):
    """Where orders go. One order at a time: its outcome is asked for at the next decision."""

    def send(self, order: Order) -> None:
        """Send an order; it is in the journal already. What went wrong is told by ``outcome``."""
        ...

    def outcome(self, order: Order) -> Outcome | None:
        """What became of it by the next decision; None while nobody can tell."""
        ...

    def differs(self, quantity: float) -> str:
        """Why the position at the venue is not ``quantity`` (signed, base coin); "" when it is, or
        when nobody can tell."""
        ...
