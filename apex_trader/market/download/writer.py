"""Deliveries into the store: one at a time, each whole or not at all."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from apex_trader.market import intervals
from apex_trader.market.download.source import Delivery, Watch
from apex_trader.market.download.want import Want
from apex_trader.market.exchange.listings import Listing
from apex_trader.market.files import StoreBusyError
from apex_trader.market.importers import ImportOptions
from apex_trader.market.leftovers import remove_leftovers
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import Transaction, WriteSummary
from apex_trader.market.types import I64

#: Seconds to wait for another process, such as a stream, to end its own write.
PATIENCE = 60.0
T = TypeVar("T")


class Writer:
    """Writes deliveries in a thread, so that downloads go on meanwhile.

    ``done`` holds, by want, the time that this download has delivered.
    """

    def __init__(self, store: MarketStore, watch: Watch, *, replaced: bool = False) -> None:
        self._store, self._watch = store, watch
        self._options = ImportOptions(replace=replaced)
        self._lock = asyncio.Lock()
        self.done: defaultdict[Want, I64] = defaultdict(intervals.empty)

    async def take(self, delivery: Delivery) -> None:
        """Write a delivery; DataError when its rows cannot be right, and then nothing is kept."""
        async with self._lock:
            summary = await asyncio.to_thread(lambda: patiently(lambda: self._write(delivery)))
        wanted = delivery.want
        covered = intervals.one(*summary.covered)
        self.done[wanted] = intervals.union(self.done[wanted], covered)
        self._watch.delivered(wanted, summary.covered, summary)

    def _write(self, delivery: Delivery) -> WriteSummary:
        with self._store.transaction() as transaction:
            summary = delivery.write(self._store, transaction, self._options)
            adopt(transaction, delivery.want.market, delivery.want.listing)
            return summary

    async def clean(self) -> None:
        """Delete what earlier writes left when they were killed."""
        await asyncio.to_thread(lambda: patiently(lambda: remove_leftovers(self._store)))


def adopt(transaction: Transaction, market: str, listing: Listing) -> None:
    """Record what the exchange says of a market, where the user has not said otherwise.

    Of steps the finer counts: exchanges have changed them, and old rows lie on the old ones.
    """
    entry = transaction.entry(market)
    said: dict[str, object] = {"instrument": listing.instrument}
    for name in ("tick_size", "lot_size"):
        step = getattr(listing, name)
        if step is not None:
            said[name] = min(step, getattr(entry.info, name))
    if listing.min_notional is not None:
        said["min_notional"] = listing.min_notional
    kept = {name: value for name, value in said.items() if name not in entry.given}
    transaction.set_info(replace(entry.info, **kept))  # type: ignore[arg-type]


def patiently(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """The result of ``work``, tried again while another process is writing to the store."""
    end = time.monotonic() + patience
    while True:
        try:
            return work()
        except StoreBusyError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)
