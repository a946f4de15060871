"""The live feed: trades of some markets, exactly once and in order, as closed seconds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Self

import numpy as np

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.backoff import Backoff
from apex_trader.market.stream.batch import LiveSeconds
from apex_trader.market.stream.begin import (
    Recording,
    check_joins,
    first_second,
    fresh_lane,
    history_end,
    joined_lane,
    recording,
)
from apex_trader.market.stream.catch_up import CatchUp
from apex_trader.market.stream.clock import Clock, SystemClock, micros
from apex_trader.market.stream.config import StreamConfig
from apex_trader.market.stream.connection import Connection
from apex_trader.market.stream.core import FeedCore
from apex_trader.market.stream.funding import FundingSchedule
from apex_trader.market.stream.health import Health
from apex_trader.market.stream.keeper import Keeper
from apex_trader.market.stream.lane import Lane
from apex_trader.market.stream.market import StreamedMarket
from apex_trader.market.stream.upkeep import Upkeep
from apex_trader.market.stream.venue import Venue, open_venue
from apex_trader.market.transaction import split_market
from apex_trader.time import DAY

#: µs before the start from which on funding payments are asked for: two tell the interval.
FUNDING_PAST = 3 * DAY
#: Seconds in which a cancelled task ends, unless its cancellation was lost.
_SOON = 1.0


class TradeFeed:
    """Closed seconds of some markets, live::

        async with TradeFeed(ExchangeConfig("binance"), ["binance:ETHUSDT"], store=store) as feed:
            async for closed in feed:
                ...

    Every trade of the exchange is in exactly one closed second, in the exchange's order; the rows
    are those of ``seconds_from_trades`` over all trades, bit for bit, whatever happened to the
    connection. A second closes for all markets together (``Watermark`` says when). While the
    exchange cannot be heard nothing closes; the seconds come later, and are the same. What comes
    after its second has closed is a revision: it is recorded (``write_revisions``) and counted,
    goes into the store, and changes nothing that was handed on.

    Trades are written to the store as they become whole, so a feed that was killed goes on where
    the store ends.

    Args:
        config: the exchange, or one configuration for each exchange among the markets.
        markets: "exchange:SYMBOL" each; a batch names them all.
        store: what is known already, and where trades go; None: they are not kept.
        since: first time (µs) wanted; None: where the store ends, or now.
        stream: how the feed behaves. clock: local time. generator: draws the jitter of waits.
    """

    def __init__(
        self, config: ExchangeConfig | Sequence[ExchangeConfig], markets: Sequence[str], *,
        store: MarketStore | None = None, since: int | None = None,
        stream: StreamConfig | None = None, clock: Clock | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        configs = [config] if isinstance(config, ExchangeConfig) else list(config)
        self._configs = _by_exchange(configs, markets)
        self._names, self._since = list(markets), since
        # A store of its own, which it may look at anew at any time.
        self._store = None if store is None else MarketStore(store.url)
        self._config = stream or StreamConfig()
        self._clock: Clock = clock or SystemClock()
        self._generator = np.random.default_rng() if generator is None else generator
        self._health = Health()
        self._venues: dict[str, Venue] = {}
        self._connections: list[Connection] = []
        self._core: FeedCore | None = None
        self._keeper: Keeper | None = None
        self._awake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[str] = set()
        self._failures: deque[BaseException] = deque()

    @property
    def markets(self) -> tuple[str, ...]:
        """The markets that every batch names."""
        return tuple(self._names)

    @property
    def start(self) -> int:
        """The first second (µs) that is handed on; known once the feed is open."""
        return self._open.watermark.start

    @property
    def _open(self) -> FeedCore:
        if self._core is None:
            raise ApexError("the live feed is not open: use it in an `async with` block")
        return self._core

    def now(self) -> int:
        """The time (µs) of the exchange whose clock is ahead; known once the feed is open."""
        return max(venue.now() for venue in self._venues.values())

    def metrics(self) -> dict[str, float]:
        """The feed's figures, ``stream/…``; see docs/stream.md."""
        markets = self._core.markets.values() if self._core else ()
        return self._health.metrics(
            [market.sequence.counts for market in markets],
            sum(connection.disconnects for connection in self._connections),
            sum(connection.garbage for connection in self._connections),
            [(venue.skew.offset, venue.skew.error) for venue in self._venues.values()],
        )

    # -- opening and closing ------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._enter()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the feed; what is whole is in the store afterwards."""
        while self._tasks:
            # Again, for whichever library swallows a cancellation.
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_SOON)
        keeper, self._keeper = self._keeper, None
        try:
            if keeper is not None:
                await keeper.keep(final=True)
        finally:
            for venue in self._venues.values():
                await venue.close()
            self._venues = {}

    async def _enter(self) -> None:
        for exchange, config in self._configs.items():
            self._venues[exchange] = await open_venue(config, self._clock, self._generator)
        lanes = await self._lanes()
        start = lanes[0].start
        connections = self._connect(lanes)
        markets = [
            StreamedMarket(
                lane, self._venue(lane.market), connections[lane.market], self._funding(lane)
            )
            for lane in lanes
        ]
        self._core = FeedCore(markets, start, self._config, self._clock, self._health)
        for market in markets:
            self._core.proven(market, market.lane.saved)
        if self._store is not None:
            self._keeper = Keeper(self._store, self._core)
        upkeep = Upkeep(self._core, self._config, self._clock, self._awake.set)
        for market in markets:
            if market.funding is not None:
                await upkeep.ask_funding(market)
                self._start(upkeep.fund(market))
            self._ask_rest(market)
        for connection in self._connections:
            self._start(self._stay_connected(connection))
            self._start(upkeep.ping(connection))
            self._start(upkeep.watch(connection))
        for venue in self._venues.values():
            self._start(upkeep.measure(venue))
        if self._keeper is not None:
            self._start(self._save_now_and_then(self._keeper))

    async def _lanes(self) -> list[Lane]:
        held = {name: recording(self._store, name, self._since) for name in self._names}
        numbered = {name: self._venue(name).pages.numbered for name in self._names}
        now = self.now()
        reach = micros(self._config.reach)
        history = {name: history_end(self._store, name) for name in self._names}
        start = first_second(self._since, now, reach, held, numbered, history)
        return [await self._lane(name, held[name], start, reach) for name in self._names]

    async def _lane(self, name: str, held: Recording | None, start: int, reach: int) -> Lane:
        venue = self._venue(name)
        joins = held is not None and start - held.end <= reach
        if held is None or not joins or (venue.pages.numbered and not held.numbered):
            return await fresh_lane(venue, name, start)
        if venue.pages.numbered:
            await check_joins(venue, name, held)
        assert self._store is not None
        return joined_lane(self._store, name, held, start, venue)

    def _funding(self, lane: Lane) -> FundingSchedule | None:
        if not self._venue(lane.market).pays_funding(lane.market):
            return None
        return FundingSchedule(lane.start, lane.start - FUNDING_PAST)

    def _connect(self, lanes: Sequence[Lane]) -> dict[str, Connection]:
        """One socket for all markets of an exchange, or one each where ccxt has no other way."""
        out: dict[str, Connection] = {}
        for exchange, venue in self._venues.items():
            symbols = {
                lane.market: venue.listing(lane.market).unified
                for lane in lanes
                if split_market(lane.market)[0] == exchange
            }
            together = venue.client.has.get("watchTradesForSymbols")
            groups = [symbols] if together else [{n: s} for n, s in symbols.items()]
            for number, group in enumerate(groups):
                client = venue.client if number == 0 else venue.another_client()
                backoff = Backoff(
                    self._config.backoff, self._config.backoff_limit, self._generator
                )  # fmt: skip
                connection = Connection(client, group, self._clock, backoff, self._awake.set)
                self._connections.append(connection)
                out |= dict.fromkeys(group, connection)
        return out

    def _venue(self, market: str) -> Venue:
        return self._venues[split_market(market)[0]]

    # -- running ------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[LiveSeconds]:
        return self._batches()

    async def _batches(self) -> AsyncIterator[LiveSeconds]:
        while True:
            self._awake.clear()
            closed = self._advance()
            if closed is not None:
                yield closed
            else:
                await self._awake.wait()

    def _advance(self) -> LiveSeconds | None:
        """Take in what was heard; the next closed seconds, if there are any."""
        if self._failures:
            raise self._failures[0]
        core = self._open
        for connection in self._connections:
            core.hear(connection)
        for market in core.needing_rest():
            self._ask_rest(market)
        if core.revisions and self._keeper is not None:
            self._start(self._keeper.record())
        return core.close()

    def _ask_rest(self, market: StreamedMarket) -> None:
        if market.name not in self._asking:
            self._asking.add(market.name)
            self._start(self._catch_up(market))

    async def _catch_up(self, market: StreamedMarket) -> None:
        first = max(self._config.reorder, 0.05)
        backoff = Backoff(first, self._config.backoff_limit, self._generator)
        try:
            await CatchUp(self._config, self._clock, backoff, self._open, self._awake.set).run(
                market
            )
        finally:
            self._asking.discard(market.name)
            self._awake.set()

    async def _stay_connected(self, connection: Connection) -> None:
        # A long past comes by REST first: the socket's trades would only pile up behind it.
        markets = [self._open.markets[name] for name in connection.markets]
        while not all(market.begun for market in markets):
            await self._clock.sleep(self._config.backoff)
        await connection.run()

    async def _save_now_and_then(self, keeper: Keeper) -> None:
        while True:
            await self._clock.sleep(self._config.save)
            await keeper.keep()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
            self._awake.set()


def _by_exchange(
    configs: Sequence[ExchangeConfig], markets: Sequence[str]
) -> dict[str, ExchangeConfig]:
    """The configuration of each exchange that the markets name."""
    if not markets:
        raise ConfigError("stream.markets", list(markets), "at least one exchange:SYMBOL")
    if len(set(markets)) != len(markets):
        raise ConfigError("stream.markets", list(markets), "each market once")
    known = {config.exchange: config for config in configs}
    named = dict.fromkeys(split_market(market)[0] for market in markets)
    for exchange in named:
        if exchange not in known:
            raise ConfigError(
                "stream.markets", list(markets),
                f"markets of {' or '.join(known)}, whose configuration is given",
            )  # fmt: skip
        known[exchange].check_streaming()
    return {exchange: known[exchange] for exchange in named}
