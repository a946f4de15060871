"""A feed that another process hears and hands on over a queue."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Iterator
from typing import Protocol

from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.seconds import concatenate_seconds


class Batches(Protocol):
    """What a queue between processes gives; None: there is nothing more."""

    def get(self, block: bool = True, timeout: float | None = None) -> ClosedSeconds | None:
        """The next one; ``queue.Empty`` when there is none within ``timeout`` seconds."""
        ...


class PipedFeed:
    """A ``LiveFeed`` of batches that come over a queue.

    An empty batch comes when there is nothing for ``heartbeat`` (real) seconds. It ends with the
    stream, or when the process that started this one is gone.

    Args:
        batches: of closed seconds that join on to each other, the first at ``start`` (µs).
        markets: that are streamed, for empty batches.
    """

    def __init__(
        self, batches: Batches, start: int, markets: list[str], heartbeat: float = 1.0
    ) -> None:
        self.start, self._reached = start, start
        self._batches, self._markets, self._heartbeat = batches, markets, heartbeat
        self._closed = False

    def __iter__(self) -> Iterator[ClosedSeconds]:
        while not self._closed:
            try:
                batch = self._batches.get(timeout=self._heartbeat)
            except queue.Empty:
                if _orphan():
                    return
                none = concatenate_seconds([])
                seconds = dict.fromkeys(self._markets, none)
                yield ClosedSeconds(self._reached, self._reached, seconds)
                continue
            if batch is None:
                return
            self._reached = batch.until
            yield batch

    def now(self) -> int:
        """The end (µs) of what was handed on: nothing here asks what time it is."""
        return self._reached

    def metrics(self) -> dict[str, float]:
        """None: they are those of the process that hears."""
        return {}

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


def _orphan() -> bool:
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()
