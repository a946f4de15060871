"""The live market on Ray: one part hears the feed, all others share references to its days."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError

from apex_trader.market.store import MarketStore
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.config import Config
from apex_trader.runtime.live_feed import OpenFeed
from apex_trader.runtime.live_market import LiveMarket, changed_text
from apex_trader.runtime.live_rows import LiveRows
from apex_trader.runtime.market_data import MarketData, store_url
from apex_trader.runtime.ray_calls import SLICE
from apex_trader.runtime.ray_context import RunContext
from apex_trader.runtime.ray_part import NOT_STARTED, Part, Ref
from apex_trader.runtime.ray_resources import HELPER_CPUS
from apex_trader.runtime.ray_segments import Market, Segments
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.time import DAY, format_time

#: Seconds in which a feed that is ended has written what it heard.
CLOSE_LIMIT = 60.0
NOTHING = Market((), (), (), None)


@dataclass(frozen=True)
class News:
    """What the stream has come to.

    registry: its state, with the newest part of each day. changed: numbers of the days that are not
    what they were, and were let go. market: the days that lanes may still have to go through.
    """

    registry: dict[str, Any]
    changed: tuple[int, ...]
    market: Market
    ended: bool
    metrics: dict[str, float]


@dataclass(frozen=True)
class LiveDays:
    """What is known of a live market.

    market: see ``News``. extractor: [reference to the one that made its CNN rows] or []. gone:
    numbers that nothing may refer to any more.
    """

    market: Market = NOTHING
    extractor: Sequence[Ref] = ()
    gone: frozenset[int] = field(default_factory=frozenset)


class StreamPart(Part):
    """Follows the feed. A day that went on is put into the object store anew, its CNN rows too, of
    which only those that came since are computed."""

    def __init__(self, config: Config, folder: str, open_feed: OpenFeed) -> None:
        super().__init__(config)
        self._folder, self._open_feed = RunFolder(folder), open_feed
        self._live: LiveMarket | None = None

    def start(self, registry: dict[str, Any]) -> int:
        """Open the feed behind what the store holds; answers the first live decision (µs).

        registry: state of the run's registry, whose live days keep their numbers.
        """
        self.close()
        data = self._data = MarketData(self._config, self._folder)
        data.registry.follows_stream = True
        data.registry.load_state_dict(registry)
        store = MarketStore(store_url(self._config, self._folder))
        feed = self._open_feed(self._config, store)
        self._live = LiveMarket(self._config, data, store, feed)
        self._rows = LiveRows(data.schema)
        self._segments: dict[int, tuple[str, Ref]] = {}
        self._cnn: dict[int, tuple[str, str, Ref]] = {}
        self._extractor: FrozenExtractor | None = None
        self._adopted: Ref = None
        self._fresh = False
        return self._live.actor.begin

    def hear(
        self,
        seconds: float,
        held: Sequence[int],
        standing: int | None,
        extractor: Sequence[Ref],
    ) -> News | str:
        """Wait up to ``seconds`` until there is something new.

        held: numbers of the days that are still needed at all; others go. standing: the number from
        which on days must be part of the news, beside those that came since the feed was opened;
        None for these alone. extractor: see ``LiveDays``.
        """
        live, until = self._live, time.monotonic() + seconds
        if live is None:
            return NOT_STARTED
        for number in [n for n in self._data.registry.live if n not in held]:
            self._drop(live, number)
        self._adopt(extractor)
        while not (self._fresh or live.ended) and time.monotonic() < until:
            self._poll(live)
        self._fresh = False
        numbers = sorted({*live.numbers, *self._proven(live, standing)})
        return News(
            self._data.registry.state_dict(), tuple(live.take_changed()),
            self._market(live, numbers), live.ended, live.metrics(),
        )  # fmt: skip

    def market(self, numbers: Sequence[int], extractor: Sequence[Ref]) -> Market | str:
        """As ``SegmentServer.market``, of live days; without those that are gone."""
        live = self._live
        if live is None:
            return NOT_STARTED
        self._adopt(extractor)
        while not live.ended and not set(live.unproven).isdisjoint(numbers):
            self._poll(live)
        there = self._proven(live, 0)
        return self._market(live, [n for n in numbers if n in there])

    def close(self) -> None:
        """End the feed; what it heard is in the store then."""
        if self._live is not None:
            self._live.close()

    def _proven(self, live: LiveMarket, first: int | None) -> list[int]:
        """Numbers of the live days from ``first`` on of which everything is there again."""
        if first is None:
            return []
        return [n for n in self._data.registry.live if n >= first and n not in live.unproven]

    def _poll(self, live: LiveMarket) -> None:
        went_on = live.poll()
        self._fresh = self._fresh or bool(went_on)

    def _adopt(self, extractor: Sequence[Ref]) -> None:
        if extractor and self._adopted != extractor[0]:
            state = ray.get(extractor[0])
            self._extractor = FrozenExtractor.from_state(state, self._data.schema)
            self._adopted, self._fresh = extractor[0], True

    def _market(self, live: LiveMarket, numbers: Sequence[int]) -> Market:
        segments = tuple(self._segment(live, n) for n in numbers)
        complete = bool(numbers) and self._over(numbers[-1])
        if self._extractor is None:
            return Market(tuple(numbers), segments, (), None, complete)
        rows = tuple(self._rows_of(live, n, self._extractor) for n in numbers)
        for number in filter(self._over, numbers):
            self._rows.drop(number)  # the reference will do
        return Market(tuple(numbers), segments, rows, self._extractor.version, complete)

    def _over(self, number: int) -> bool:
        registry = self._data.registry
        return registry.live[number][1] == registry.days[number] + DAY

    def _segment(self, live: LiveMarket, number: int) -> Ref:
        segment = live.segment(number)
        known = self._segments.get(number)
        if known is None or known[0] != segment.key:
            known = self._segments[number] = segment.key, ray.put(segment)
        return known[1]

    def _rows_of(self, live: LiveMarket, number: int, extractor: FrozenExtractor) -> Ref:
        segment, known = live.segment(number), self._cnn.get(number)
        if known is None or known[:2] != (segment.key, extractor.version):
            rows = ray.put(self._rows.of(number, segment, extractor))
            known = self._cnn[number] = segment.key, extractor.version, rows
        return known[2]

    def _drop(self, live: LiveMarket, number: int) -> None:
        live.drop(number)
        self._data.registry.let_go(number)
        self._rows.drop(number)
        self._segments.pop(number, None)
        self._cnn.pop(number, None)


class Stream:
    """The driver's side: has one call at a time under way, and takes note of what it answers.

    begin: µs, the first decision that is live. days: what other parts are told. ended: the feed has
    nothing more to give. metrics: keys under ``stream/``, as it last told.
    """

    PART = "stream"

    def __init__(
        self, context: RunContext, segments: Segments, open_feed: OpenFeed,
        heard: Callable[[], None],
    ) -> None:  # fmt: skip
        self._context, self._segments, self._tell = context, segments, heard
        folder = str(context.session.folder.path.absolute())
        self.handle = context.make(
            StreamPart, context.config, folder, open_feed, cpus=HELPER_CPUS, here=True,
        )  # fmt: skip
        self.begin, self.days, self.ended = 0, LiveDays(), False
        self.metrics: dict[str, float] = {}
        #: Number of the day in which the last lanes stand; None before any have begun.
        self.standing: int | None = None
        self._busy = True

    def start(self) -> None:
        """Open the feed and wait for it."""
        self.begin = self._context.calls.wait(self._start())
        self._busy = False

    def hear(self) -> None:
        """Ask what is new, unless that is under way, or the lanes are far behind."""
        extractor = self._segments.extractor
        over = self.ended and list(self.days.extractor) == extractor
        if self._busy or over or self._context.ending or self._ahead() > 1:
            return
        self._busy = True
        held = list(self._context.data.registry.live)
        asked = self.handle.hear.remote(SLICE, held, self._first(held), extractor)
        self._context.calls.fly(asked, lambda news: self._heard(news, extractor), self._failed)

    def to_begin(self, begin: int) -> Market | None:
        """The days from the one of a time (µs) on, for lanes that begin there; None where there are
        none yet."""
        days = self._context.data.registry.days
        numbers = self.days.market.numbers
        here = next((i for i, n in enumerate(numbers) if days[n] + DAY > begin), None)
        return None if here is None else self._part(here, here)

    def to_go_on(self, standing: int, heard: Market) -> Market | None:
        """The days from the one before where lanes stand on, as far as ``heard`` had it, which they
        were given before; None while their day is not there."""
        numbers = self.days.market.numbers
        if standing not in numbers:
            return None
        here = numbers.index(standing)
        first = here - 1 if here and numbers[here - 1] in heard.numbers else here
        return self._part(first, here)

    def _part(self, first: int, here: int) -> Market:
        """Of the market, by place; at most to the day behind that of the last lanes: so the days
        that experience is of fit into the arena."""
        market = self.days.market
        numbers = market.numbers
        last = numbers.index(self.standing) if self.standing in numbers else here
        part = slice(first, max(here, last + 1) + 1)
        return replace(
            market, numbers=numbers[part], segments=market.segments[part], cnn=market.cnn[part],
            complete=market.complete or part.stop < len(numbers),
        )  # fmt: skip

    def let_go(self, numbers: Sequence[int]) -> None:
        """Nothing refers to these days any more."""
        for number in numbers:
            self._context.data.registry.let_go(number)
        self.days = replace(self.days, gone=self._context.data.registry.gone)

    def close(self) -> None:
        """End the feed, and let it write what it heard."""
        try:
            ray.get(self.handle.close.remote(), timeout=CLOSE_LIMIT)
        except RayError as error:
            self._context.session.display.say(
                "the live feed could not be ended in order, what it heard last will be asked of "
                f"the exchange again: {error}"
            )

    def _start(self) -> Ref:
        return self.handle.start.remote(self._context.data.registry.state_dict())

    def _first(self, held: Sequence[int]) -> int | None:
        """The number from which on lanes need days: from the one before where the last stand."""
        if self.standing is None:
            return None
        return max([n for n in held if n < self.standing], default=self.standing)

    def _ahead(self) -> int:
        """How many days the market is ahead of the last lanes."""
        if self.standing is None:
            return 0
        return sum(number > self.standing for number in self.days.market.numbers)

    def _heard(self, news: News, extractor: Sequence[Ref]) -> None:
        context, before = self._context, self.days
        self._busy, self.ended, self.metrics = False, news.ended, news.metrics
        context.data.registry.follow(news.registry)
        for number in news.changed:
            context.session.display.say(changed_text(context.data, number))
        self.days = LiveDays(news.market, tuple(extractor), context.data.registry.gone)
        if self.days != before or self.ended:
            self._tell()
        self.hear()

    def _failed(self, _: BaseException) -> None:
        """Its objects went with it. The lanes go on as far as they hold the market."""
        self.days = replace(self.days, market=NOTHING)
        restarts = self._context.restarts
        restarts.lost(self.PART)
        restarts.start_again(self.PART, self._start, self._restarted)

    def _restarted(self, begin: int) -> None:
        self._context.session.display.say(f"the stream goes on from {format_time(begin)}")
        self.begin, self._busy = begin, False
        self.hear()
