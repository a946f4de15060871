"""A run's live market: its days by registry number, each as far as it was sealed."""

from __future__ import annotations

from dataclasses import replace

from actors.stream import Sealed, StreamActor
from apex_trader.market.growing_source import CutSource
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.runtime.config import Config
from apex_trader.runtime.live_feed import LiveFeed
from apex_trader.runtime.market_data import MarketData, store_url
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.identity import SegmentKeys
from apex_trader.state.live import LiveTables
from apex_trader.state.segment import Segment
from apex_trader.time import SECOND, day_start, format_date


def keep_store_days(config: Config, folder: RunFolder) -> Config:
    """The configuration of a run on a stream, whose periods end where the stream can begin.

    The store grows while the run goes on; what its days serve is settled once, and a day that is
    not over in the store comes live.
    """
    if config.periods.end:
        return config
    store = MarketStore(store_url(config, folder))
    markets = [m for m in (config.market.primary, config.market.reference) if m]
    ends = [int(c[-1, 1]) for m in markets if len(c := StoreSource(store, m).coverage("1m"))]
    if not ends:
        return config
    end = format_date(day_start(min(ends)))
    return replace(config, periods=replace(config.periods, end=end))


class LiveMarket:
    """Follows a feed; numbers of days are those of the run's registry.

    Args:
        config: of the run. data: its market; days that come live are added to its registry.
        store: that the feed's history is read from. feed: of the run's markets.

    Raises:
        ApexError: the history is too short for any decision.
    """

    def __init__(
        self, config: Config, data: MarketData, store: MarketStore, feed: LiveFeed
    ) -> None:
        self._data, self._feed = data, feed
        markets = [m for m in (config.market.primary, config.market.reference) if m]
        sources = [StoreSource(store, market, feed.start) for market in markets]
        tables = LiveTables(
            data.schema, sources[0], sources[1] if sources[1:] else None, data.builder.fills
        )
        tables.markets.check_history(day_start(feed.start))
        self.actor = StreamActor(tables, feed, config.rollout.seal_every * SECOND)
        self._segments: dict[int, Segment] = {}
        self._past: dict[int, Segment] = {}
        #: The newest day is over and sealed whole.
        self.complete = False

    @property
    def numbers(self) -> list[int]:
        """Of the days that came live since the feed was opened, ascending."""
        return sorted(self._segments)

    @property
    def ended(self) -> bool:
        """The feed has nothing more to give."""
        return self.actor.ended

    def poll(self) -> list[int]:
        """Wait for the feed's next batch; numbers of the days that went on with it, ascending."""
        return sorted({self._take(part) for part in self.actor.poll()})

    def segment(self, number: int) -> Segment:
        """A live day as far as it was sealed; one that was live before comes from the store."""
        if number in self._segments:
            return self._segments[number]
        if number not in self._past:
            self._past[number] = self._data.builder.build(self._data.registry.days[number])
        return self._past[number]

    def drop(self, number: int) -> None:
        """A day is not needed any more."""
        self._segments.pop(number, None)
        self._past.pop(number, None)

    def metrics(self) -> dict[str, float]:
        """Figures of feed and tables, keys under ``stream/``."""
        return self._feed.metrics() | self.actor.metrics()

    def close(self) -> None:
        """End the feed."""
        self._feed.close()

    def _take(self, part: Sealed) -> int:
        number = self._data.registry.grow(part.segment.day, part.segment.key, part.until)
        self._segments[number] = part.segment
        self.complete = part.complete
        return number


def changed_days(data: MarketData) -> list[int]:
    """Numbers of the registry's live days that the store no longer holds as they were sealed.

    Trades that came late went into the store after their second was closed, and what a crash kept
    from being written is not there yet: what was learned on such a day cannot be looked up again.
    """
    keys = SegmentKeys(data.schema, data.builder.fills)
    primary, reference = data.builder.primary, data.builder.reference
    changed = []
    for number, (key, until) in data.registry.live.items():
        other = None if reference is None else CutSource(reference, until)
        day = data.registry.days[number]
        if keys.key(day, CutSource(primary, until), other) != key:
            changed.append(number)
    return changed
