"""What a live feed does besides listening: pings, a look at silent sockets, the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable

from apex_trader.errors import ApexError
from apex_trader.market.exchange.retry import UnreachableError
from apex_trader.market.stream.clock import Clock, micros
from apex_trader.market.stream.config import StreamConfig
from apex_trader.market.stream.connection import Connection
from apex_trader.market.stream.core import FeedCore
from apex_trader.market.stream.market import StreamedMarket
from apex_trader.market.stream.sequencer import Sequencer
from apex_trader.market.stream.venue import Venue
from apex_trader.time import SECOND

#: Seconds between questions for funding payments: while one is due, and otherwise.
FUNDING_DUE, FUNDING_QUIET = 1.0, 300.0
#: Seconds between looks at whether what arrives contradicts the exchange's clock.
CLOCK_LOOK = 0.5
_log = logging.getLogger(__name__)


class Upkeep:
    """Each method runs until it is cancelled."""

    def __init__(
        self, core: FeedCore, config: StreamConfig, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._core, self._config, self._clock, self._wake = core, config, clock, wake

    async def ping(self, connection: Connection) -> None:
        """Have the socket say now and then that it has said everything."""
        while self._config.ping:
            await self._clock.sleep(self._config.ping)
            if connection.live:
                await connection.ping(self._config.stall)

    async def measure(self, venue: Venue) -> None:
        """Follow the exchange's clock: now and then, and at once when it is in doubt."""
        pause = min(CLOCK_LOOK, self._config.skew)
        waited = 0.0
        while True:
            await self._clock.sleep(pause)
            waited += pause
            if waited < self._config.skew and not venue.skew.in_doubt:
                continue
            waited = 0.0
            try:
                await venue.measure()
            except ApexError as error:
                self._core.health.rest_failures += 1
                _log.warning("%s: its clock was not measured (%s)", venue.config.exchange, error)

    async def fund(self, market: StreamedMarket) -> None:
        """Ask for funding payments: often while one is due, else now and then."""
        schedule = market.funding
        while schedule is not None:
            await self.ask_funding(market)
            left = schedule.known - market.venue.now()
            wait = FUNDING_DUE if left <= 0 else min(left / SECOND, FUNDING_QUIET)
            await self._clock.sleep(wait)

    async def ask_funding(self, market: StreamedMarket) -> None:
        """Ask once for the payments that are new."""
        assert market.funding is not None
        since, now = market.funding.since, market.venue.now()
        try:
            paid = await market.venue.pages.funding(market.listing, since, now + SECOND)
        except UnreachableError as error:
            self._core.unreachable(market)
            _log.warning("%s: %s", market.name, error)
            return
        self._core.paid(market, paid, now)
        self._wake()

    async def watch(self, connection: Connection) -> None:
        """Replace a socket that has fallen silent, and ask REST about a market that has.

        A half-closed socket sends no pongs, a quiet one does; a market whose stream alone is dead
        shows only in REST, which has trades that the socket does not.
        """
        stall = micros(self._config.stall)
        while True:
            await self._clock.sleep(self._config.stall / 4)
            if self._clock.now() - connection.last_frame > stall:
                self._stalled(connection, "no frame")
                continue
            for name in connection.markets:
                market = self._core.markets[name]
                silent = self._clock.now() - market.last_sign > stall
                if market.joined and silent and await self._has_more(market):
                    self._stalled(connection, f"no trades of {name}, which REST has,")

    async def _has_more(self, market: StreamedMarket) -> bool:
        """Whether REST has trades that the socket should have brought by now."""
        sequence = market.sequence
        if not isinstance(sequence, Sequencer):
            return False
        asked = self._clock.now()
        start = sequence.wanted
        try:
            page = await market.venue.pages.trades_from(market.listing, start)
        except ApexError as error:
            self._core.health.rest_failures += 1
            _log.warning("%s: %s", market.name, error)
            return False
        market.last_sign = asked
        due = market.venue.skew.surely_past(asked) - micros(self._config.stall) // 2
        missing = len(page) > 0 and start == sequence.wanted and int(page.ts[0]) < due
        self._core.released(market, sequence.backfill(page, start))
        self._wake()
        return missing

    def _stalled(self, connection: Connection, what: str) -> None:
        reason = f"{what} for {self._config.stall:g} s"
        self._core.health.stalled += 1
        _log.warning("the socket of %s has stalled: %s", ", ".join(connection.markets), reason)
        connection.last_frame = self._clock.now()
        connection.replace(f"stalled, {reason}")
