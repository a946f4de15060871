"""The live feed for code that waits: it runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Self

from apex_trader.errors import ApexError
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.seconds import concatenate_seconds
from apex_trader.market.stream.feed import TradeFeed

#: Seconds in which a running event loop answers.
_SOON = 5.0


class BlockingFeed:
    """A ``ClosedFeed``: iterating waits for the next closed seconds of a ``TradeFeed``::

        with BlockingFeed(TradeFeed(config, markets, store=store)) as feed:
            for closed in feed: ...

    An empty batch comes when there is nothing for ``heartbeat`` (real) seconds. A failure of the
    feed is raised where it is iterated; the iteration ends when another thread closes the feed.
    """

    def __init__(self, feed: TradeFeed, heartbeat: float = 1.0) -> None:
        self._feed, self._heartbeat = feed, heartbeat
        self._batches: queue.SimpleQueue[ClosedSeconds | BaseException | None] = queue.SimpleQueue()
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._reached = 0

    @property
    def start(self) -> int:
        """The first second (µs) that is handed on."""
        return self._feed.start

    def open(self) -> Self:
        """Begin; returns when the feed is open, or raises why it cannot be."""
        self._thread = threading.Thread(target=self._run, name="live feed", daemon=True)
        self._thread.start()
        failure = self._opened.get()
        if failure is not None:
            self._thread.join()
            raise failure
        self._reached = self._feed.start
        return self

    def close(self) -> None:
        """End the feed, with everything that is whole in the store. May be called twice."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        # A loop that is closed has ended by itself, or for another thread.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[ClosedSeconds]:
        while True:
            try:
                batch = self._batches.get(timeout=self._heartbeat)
            except queue.Empty:
                yield self._nothing()
                continue
            if batch is None:
                # For whoever else iterates, now or later.
                self._batches.put(None)
                return
            if isinstance(batch, BaseException):
                self._batches.put(batch)
                raise batch
            self._reached = batch.until
            yield batch

    def now(self) -> int:
        """The exchange's time, µs."""
        return self._feed.now()

    def metrics(self) -> dict[str, float]:
        """The feed's figures, ``stream/…``."""
        if self._loop is None or self._loop.is_closed():
            return self._feed.metrics()

        async def read() -> dict[str, float]:
            return self._feed.metrics()

        try:
            return asyncio.run_coroutine_threadsafe(read(), self._loop).result(_SOON)
        except (RuntimeError, TimeoutError):
            # The feed is just ending.
            return self._feed.metrics()

    # -- inside -------------------------------------------------------------------------------

    def _nothing(self) -> ClosedSeconds:
        none = concatenate_seconds([])
        seconds = dict.fromkeys(self._feed.markets, none)
        return ClosedSeconds(self._reached, self._reached, seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except BaseException as error:
            self._opened.put(error)
            self._batches.put(error)
        else:
            self._batches.put(None)

    async def _listen(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._feed:
            self._opened.put(None)
            reading = asyncio.create_task(self._read())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not reading.done():
                reading.cancel()
                await asyncio.wait([reading])
            elif (failure := reading.exception()) is not None:
                raise failure

    async def _read(self) -> None:
        async for batch in self._feed:
            self._batches.put(batch)
        raise ApexError("the live feed ended by itself")
