"""Putting what the feed knows into the market store, which is what a restart goes on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apex_trader.errors import DataError
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.lane import Unsaved
from apex_trader.market.transaction import Transaction
from apex_trader.market.types import Funding


@dataclass(frozen=True)
class UnsavedFunding:
    """Funding payments for the store, and the time [start, end) µs that they speak for."""

    market: str
    paid: Funding
    span: tuple[int, int]


def save(
    store: MarketStore, parts: Sequence[Unsaved], payments: Sequence[UnsavedFunding],
    infos: Sequence[MarketInfo],
) -> int:  # fmt: skip
    """Write trades and payments of several markets at once, or nothing; number of new trades.

    infos: what the exchange says of markets that the store does not know yet. ApexError when the
    store is busy or cannot be written, DataError when it holds other trades for the same time.
    """
    with store.transaction() as transaction:
        for info in infos:
            if not transaction.entry(info.market).kinds:
                transaction.set_info(info)
        for due in payments:
            transaction.write(due.market, due.paid, covered=due.span, origin=_origin(due.market))
        return sum(_write(transaction, part) for part in parts)


def _write(transaction: Transaction, part: Unsaved) -> int:
    origin = _origin(part.market)
    covered = (part.start, part.end)
    try:
        return transaction.write(
            part.market, part.trades, covered=covered, origin=origin
        ).new_rows  # fmt: skip
    except DataError:
        # A day that is stored without ids cannot take in what came late; it is a revision only.
        entry = transaction.entry(part.market).kinds["trades"]
        known = [end for start, end in entry.coverage if start <= part.start < end]
        late = part.trades.ts < max(known, default=part.start)
        if not late.any():
            raise
        rest = part.trades.take(np.asarray(~late))
        return transaction.write(part.market, rest, covered=covered, origin=origin).new_rows


def _origin(market: str) -> str:
    return f"the live feed of {market}"
