"""What happened to an account's money, entry by entry; an asset's entries add up to its balance."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tests.local_exchange.trading.orders import ZERO

Kind = Literal[
    "TRANSFER", "BOUGHT", "SOLD", "COMMISSION", "REALIZED_PNL", "FUNDING_FEE", "INSURANCE_CLEAR"
]


@dataclass(frozen=True)
class Entry:
    """One change of a balance. market: "" where none is concerned; fill: its id, or None."""

    id: int
    time: int
    kind: Kind
    asset: str
    amount: Decimal
    market: str = ""
    fill: int | None = None


class Ledger:
    """Entries in the order of time, and the balances that they make."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._totals: dict[str, Decimal] = {}

    def book(
        self, time: int, kind: Kind, asset: str, amount: Decimal, market: str = "",
        fill: int | None = None,
    ) -> None:  # fmt: skip
        """Add an entry; a change of nothing leaves none."""
        if not amount:
            return
        self.entries.append(
            Entry(len(self.entries) + 1, time, kind, asset, amount, market, fill)
        )  # fmt: skip
        self._totals[asset] = self.total(asset) + amount

    def total(self, asset: str) -> Decimal:
        """Balance of an asset."""
        return self._totals.get(asset, ZERO)

    @property
    def assets(self) -> list[str]:
        """Every asset that ever had an entry, sorted."""
        return sorted(self._totals)
