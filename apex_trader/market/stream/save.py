"""Putting what the feed knows into the market store, which is what a restart goes on from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apex_trader.errors import DataError
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.lane import Unsaved
from apex_trader.market.transaction import Transaction


def save(store: MarketStore, parts: Sequence[Unsaved], infos: Sequence[MarketInfo]) -> int:
    """Write trades of several markets at once, or none of them; number of new rows.

    infos: what the exchange says of markets that the store does not know yet. ApexError when the
    store is busy or cannot be written, DataError when it holds other trades for the same time.
    """
    with store.transaction() as transaction:
        for info in infos:
            if not transaction.entry(info.market).kinds:
                transaction.set_info(info)
        return sum(_write(transaction, part) for part in parts)


def _write(transaction: Transaction, part: Unsaved) -> int:
    origin = f"the live feed of {part.market}"
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
