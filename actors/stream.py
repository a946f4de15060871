"""The stream actor: closed seconds become tables, and parts of the day are sealed as it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from apex_trader.errors import ConfigError
from apex_trader.market.closed import ClosedFeed, ClosedSeconds
from apex_trader.state.live import LiveTables
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, SECOND, day_start

#: Longest piece (µs) taken at a time: a day must be sealed before the one after the next begins.
_PIECE = DAY // 4


@dataclass(frozen=True)
class Sealed:
    """A part of a day, for good: a later part of the same day holds the same rows and more.

    until: µs, where it ends. complete: the day is over.
    """

    segment: Segment
    until: int

    @property
    def complete(self) -> bool:
        """Whether the whole day is there."""
        return self.until == self.segment.day + DAY


class StreamActor:
    """Joins a feed of closed seconds with live tables.

    Every ``seal_every`` µs of market time, as soon as it is known what became of the decisions up
    to then, the day so far is sealed as a segment, and a day that is over for the last time. The
    boundaries are multiples of ``seal_every``, whenever the stream began.

    Args:
        tables: that end where the feed begins.
        feed: of the tables' markets.
        seal_every: µs, a multiple of the decision interval that divides a day.
    """

    def __init__(self, tables: LiveTables, feed: ClosedFeed, seal_every: int) -> None:
        interval = tables.schema.decision_interval
        if seal_every <= 0 or seal_every % interval or DAY % seal_every:
            raise ConfigError(
                "rollout.seal_every", seal_every / SECOND,
                f"seconds that divide a day, a multiple of the {interval / SECOND:g} s between "
                "decisions",
            )  # fmt: skip
        self.tables, self._feed, self._every = tables, iter(feed), seal_every
        #: First decision (µs) that is live: those before are history.
        self.begin = tables.end
        self._sealed = tables.end // seal_every * seal_every
        self.ended = False
        self._seconds = self._batches = self._parts = 0

    def poll(self) -> list[Sealed]:
        """Wait for the feed's next batch and take it; what could be sealed with it, in order.

        ``ended`` when there is none any more.
        """
        batch = next(self._feed, None)
        if batch is None:
            self.ended = True
            return []
        self._batches += 1
        self._seconds += (batch.until - batch.start) // SECOND
        return [part for piece in _pieces(batch) for part in self._take(piece)]

    def metrics(self) -> dict[str, float]:
        """How far the stream and its sealed parts have come; keys under ``stream/``."""
        return {
            "stream/batches": float(self._batches),
            "stream/seconds_closed": float(self._seconds),
            "stream/parts_sealed": float(self._parts),
            "stream/unsealed_seconds": (self.tables.end - self._sealed) / SECOND,
            "stream/decisions_today": float(self.tables.newest + 1),
        }

    def _take(self, piece: ClosedSeconds) -> list[Sealed]:
        self.tables.extend(piece)
        newest = (self.tables.end - self.tables.settle) // self._every * self._every
        sealed = []
        while self._sealed < newest:
            self._sealed = min(newest, day_start(self._sealed) + DAY)
            sealed.append(Sealed(self.tables.seal(self._sealed), self._sealed))
        self._parts += len(sealed)
        return sealed


def _pieces(batch: ClosedSeconds) -> Iterator[ClosedSeconds]:
    at = batch.start
    while at < batch.until:
        until = min(batch.until, at // _PIECE * _PIECE + _PIECE)
        yield batch.between(at, until)
        at = until
