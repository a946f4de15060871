"""A run's live market: its days by registry number, each as far as it was sealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from actors.stream import Sealed, StreamActor
from apex_trader.market.growing_source import CutSource
from apex_trader.market.history import StoreSource
from apex_trader.market.source import MarketSource
from apex_trader.market.store import MarketStore
from apex_trader.runtime.config import Config
from apex_trader.runtime.live_feed import LiveFeed
from apex_trader.runtime.market_data import MarketData, store_url
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.identity import SegmentKeys
from apex_trader.state.live import LiveTables
from apex_trader.state.segment import Outcomes, Segment
from apex_trader.time import SECOND, day_start, format_date

NEVER_BEGAN = (
    "the stream ended before anything could be decided: a part of the day must be sealed first "
    "(rollout.seal_every), and every block needs its look-back"
)


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


def live_tables(config: Config, data: MarketData, store: MarketStore, feed: LiveFeed) -> LiveTables:
    """Tables that end where a feed begins. ApexError when the history is too short."""
    markets = [m for m in (config.market.primary, config.market.reference) if m]
    sources = [StoreSource(store, market, feed.start) for market in markets]
    tables = LiveTables(
        data.schema, sources[0], sources[1] if sources[1:] else None, data.builder.fills
    )
    tables.markets.check_history(day_start(feed.start))
    return tables


class LiveMarket:
    """Follows a feed; numbers of days are those of the run's registry.

    What was learned of a day stays only where the day is the same again: days that were live before
    the feed was opened are compared with the store, or, where a crash kept their end from being
    written, with what the feed brings of it once more. Those that changed are let go.

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
        tables = live_tables(config, data, store, feed)
        self.actor = StreamActor(tables, feed, config.rollout.seal_every * SECOND)
        self._segments: dict[int, Segment] = {}
        self._past: dict[int, Segment] = {}
        self._keys = SegmentKeys(data.schema, data.builder.fills)
        live = data.registry.live
        # What became of a day's last decisions is part of it.
        settled = feed.start - tables.settle
        self._unproven = {n: until for n, (_, until) in live.items() if until > settled}
        self._changed: list[int] = []
        for number in [n for n in live if n not in self._unproven]:
            self._prove(number, data.builder.primary, data.builder.reference)
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

    @property
    def unproven(self) -> list[int]:
        """Numbers of the days of which the feed still has to bring once more what was known."""
        return sorted(self._unproven)

    def poll(self) -> list[int]:
        """Wait for the feed's next batch; numbers of the days that went on with it, ascending."""
        return sorted({n for part in self.actor.poll() if (n := self._take(part)) is not None})

    def take_changed(self) -> list[int]:
        """Numbers of the days that were let go since this was last asked: they came otherwise."""
        changed, self._changed = self._changed, []
        return changed

    def segment(self, number: int) -> Segment:
        """A live day as far as it was sealed; one that was live before is built from the store."""
        if number in self._segments:
            return self._segments[number]
        if number not in self._past:
            self._past[number] = self._build(number)
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

    def _take(self, part: Sealed) -> int | None:
        """The number of a sealed part's day; None where more of it is known than that."""
        registry, day = self._data.registry, part.segment.day
        for number, until in list(self._unproven.items()):
            if registry.days[number] == day and part.until < until:
                return None
            if part.until >= until:
                del self._unproven[number]
                self._prove(number, *_pair(self.actor.tables.markets.sources))
        number = registry.grow(day, part.segment.key, part.until)
        self._segments[number] = part.segment
        self._past.pop(number, None)
        self.complete = part.complete
        return number

    def _prove(self, number: int, primary: MarketSource, reference: MarketSource | None) -> None:
        """Let a day go that these markets do not hold as it was sealed."""
        registry = self._data.registry
        key, until = registry.live[number]
        other = None if reference is None else CutSource(reference, until)
        if self._keys.key(registry.days[number], CutSource(primary, until), other) != key:
            registry.let_go(number)
            self._changed.append(number)

    def _build(self, number: int) -> Segment:
        """What was sealed of a day, from the store: that of markets which end there, but for what
        became of its decisions, which was known by then."""
        data, (_, until) = self._data, self._data.registry.live[number]
        primary, reference = data.builder.primary, data.builder.reference
        builder = SegmentBuilder(
            data.schema, CutSource(primary, until),
            None if reference is None else CutSource(reference, until), data.builder.fills,
        )  # fmt: skip
        sealed = builder.build(data.registry.days[number])
        whole = data.builder.build(data.registry.days[number]).outcomes
        return replace(sealed, outcomes=_joined(whole, sealed.outcomes, sealed.rows - 1))


def changed_text(data: MarketData, number: int) -> str:
    """What a user is told of a day that changed."""
    return (
        f"{format_date(data.registry.days[number])}: the market does not hold what was learned "
        "from live, its experience goes"
    )


def surplus_days(held: Sequence[int], limit: int, standing: int) -> list[int]:
    """The live days to let go: the oldest ones beyond a limit that all lanes have left.

    held: registry numbers, ascending. standing: the number of the day in which the last lanes are.
    """
    return [number for number in held[: max(len(held) - limit, 0)] if number < standing]


def _joined(known: Outcomes, last: Outcomes, count: int) -> Outcomes:
    """The first ``count`` rows of one, then those of the other."""
    names = [f.name for f in fields(Outcomes)]
    parts = {n: (getattr(known, n)[:count], getattr(last, n)[count:]) for n in names}
    return Outcomes(**{n: np.concatenate(part) for n, part in parts.items()})


def _pair(sources: Sequence[MarketSource]) -> tuple[MarketSource, MarketSource | None]:
    return sources[0], sources[1] if sources[1:] else None
