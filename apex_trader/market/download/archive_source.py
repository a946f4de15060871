"""History from an exchange's public archive of daily and monthly files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from apex_trader.errors import ApexError
from apex_trader.market import intervals
from apex_trader.market.download.fetch import Fetcher, Place
from apex_trader.market.download.layout import ArchiveFile, days_of, files_for
from apex_trader.market.download.source import FileDelivery, Take, Watch
from apex_trader.market.download.want import Want
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.retry import UnreachableError
from apex_trader.market.types import I64


class DiskError(ApexError):
    """Files cannot be written where they should be."""


class ArchiveSource:
    """Fetches files, a few at a time, and hands each over when it is whole and verified.

    folder: where files lie until they are in the store; keep: where they go then (None: deleted).
    now: time (µs) by which a file's period must be over. slots: files under way at a time, from
    the first byte to the last row. failed: told of a file that cannot be used, and of its time.
    """

    name = "archive"

    def __init__(
        self,
        config: ExchangeConfig,
        fetcher: Fetcher,
        folder: Path,
        watch: Watch,
        *,
        slots: asyncio.Semaphore,
        now: int,
        keep: Path | None = None,
        failed: Callable[[str, tuple[int, int]], None],
    ) -> None:
        self._config, self._fetcher, self._folder, self._watch = config, fetcher, folder, watch
        self._slots, self._now, self._keep, self._failed = slots, now, keep, failed

    async def deliver(self, wanted: Want, parts: I64, take: Take) -> None:
        """See ``Source.deliver``. A month that is not published is looked for day by day."""
        async with asyncio.TaskGroup() as group:
            for file in files_for(wanted, parts, self._now):
                group.create_task(self._month_or_days(wanted, file, parts, take))

    async def _month_or_days(self, wanted: Want, file: ArchiveFile, parts: I64, take: Take) -> None:
        if await self._one(wanted, file, take) or not file.monthly:
            return
        async with asyncio.TaskGroup() as group:
            for day in days_of(wanted, intervals.clip(parts, *file.covered), self._now):
                group.create_task(self._one(wanted, day, take))

    async def _one(self, wanted: Want, file: ArchiveFile, take: Take) -> bool:
        """Bring one file; False where it is not published. A bad file fails alone."""
        path = self._folder / self._config.exchange / file.file
        place = Place(f"{self._config.archive_url.rstrip('/')}/{file.path}", path)
        async with self._slots:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if not await self._fetcher.fetch(
                    place, lambda size: self._watch.received(wanted, size)
                ):
                    return False
                await take(FileDelivery(wanted, path, file.name))
                self._put_away(place, file)
            except UnreachableError:
                raise
            except ApexError as error:
                self._failed(str(error), file.covered)
            except OSError as error:
                # A full disk is no matter of one file.
                reason = error.strerror or str(error)
                raise DiskError(f"{error.filename or path} cannot be written: {reason}") from None
        return True

    def _put_away(self, place: Place, file: ArchiveFile) -> None:
        if self._keep is None:
            place.drop()
            return
        kept = self._keep / file.path
        kept.parent.mkdir(parents=True, exist_ok=True)
        # The folder may be on another disk.
        shutil.move(place.path, kept)
