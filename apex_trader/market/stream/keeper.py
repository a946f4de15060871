"""Keeps what the feed knows: trades into the store now and then, revisions at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from apex_trader.errors import ApexError, DataError
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.core import FeedCore
from apex_trader.market.stream.lane import Revisions, Unsaved
from apex_trader.market.stream.revisions import write_revisions
from apex_trader.market.stream.save import UnsavedFunding, save
from apex_trader.time import SECOND

_log = logging.getLogger(__name__)
#: µs. Trades go into the store when they are this old: most of what is late comes before.
SETTLED = 10 * SECOND


class Keeper:
    """Writes in a thread of its own, one write at a time; a busy store is tried again later."""

    def __init__(self, store: MarketStore, core: FeedCore) -> None:
        self._store, self._core = store, core
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, *, final: bool = False) -> None:
        """Write everything that is whole (and, unless ``final``, settled)."""
        await self._one_at_a_time()
        settled = 0 if final else SETTLED
        known = self._core.watermark.known
        lanes = [market.lane for market in self._core.markets.values()]
        ready = [lane.unsaved(known(lane.market) - settled) for lane in lanes]
        payments = []
        for market in self._core.markets.values():
            due = market.funding and market.funding.unsaved(known(market.name) - settled)
            payments += [] if not due else [UnsavedFunding(market.name, *due)]
        await self._write([part for part in ready if part is not None], payments)

    async def record(self) -> None:
        """Write the revisions that have come."""
        await self._one_at_a_time()
        await self._write([], [])

    async def _one_at_a_time(self) -> None:
        while self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])

    async def _write(self, parts: Sequence[Unsaved], payments: Sequence[UnsavedFunding]) -> None:
        revisions, self._core.revisions = self._core.revisions, []
        if not parts and not payments and not revisions:
            return
        # A write that has begun is not given up, even when whoever asked for it is.
        self._writing = asyncio.create_task(self._work(parts, payments, revisions))
        await asyncio.shield(self._writing)

    async def _work(
        self, parts: Sequence[Unsaved], payments: Sequence[UnsavedFunding],
        revisions: Sequence[Revisions],
    ) -> None:  # fmt: skip
        try:
            await asyncio.to_thread(self._in_thread, parts, payments, revisions)
        except DataError:
            raise
        except ApexError as error:
            self._core.health.save_failures += 1
            _log.warning("the live feed keeps its trades for later: %s", error)
            self._core.revisions = [*revisions, *self._core.revisions]
            for part in parts:
                self._core.markets[part.market].lane.not_saved(part)
            for payment in payments:
                schedule = self._core.markets[payment.market].funding
                assert schedule is not None
                schedule.not_saved(payment.paid, payment.span)

    def _in_thread(
        self, parts: Sequence[Unsaved], payments: Sequence[UnsavedFunding],
        revisions: Sequence[Revisions],
    ) -> None:  # fmt: skip
        write_revisions(self._store.files, revisions)
        names = dict.fromkeys([*(p.market for p in parts), *(p.market for p in payments)])
        if names:
            infos = [self._core.markets[name].venue.info(name) for name in names]
            save(self._store, parts, payments, infos)
