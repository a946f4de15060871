"""Asking REST for what a socket did not say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from apex_trader.market.exchange.pages import PAGE
from apex_trader.market.exchange.retry import UnreachableError
from apex_trader.market.stream.backoff import Backoff
from apex_trader.market.stream.clock import Clock, micros
from apex_trader.market.stream.config import StreamConfig
from apex_trader.market.stream.market import StreamedMarket
from apex_trader.market.stream.overlap import Overlap
from apex_trader.market.stream.sequencer import Sequencer
from apex_trader.market.types import Trades
from apex_trader.time import SECOND

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who hears what REST says."""

    def released(self, market: StreamedMarket, trades: Trades) -> None:
        """Trades that are next, or late."""

    def proven(self, market: StreamedMarket, time: int) -> None:
        """No trade of the market before ``time`` (µs) is missing."""

    def unreachable(self, market: StreamedMarket) -> None:
        """REST gave no answer, however often it was asked."""


class CatchUp:
    """Asks REST until one market is whole: from the start, after a lost socket, for a hole.

    The order of things makes it exact: REST is asked after the socket was subscribed, so every
    trade is in one of both, and ids (or counts, see ``Overlap``) tell what is in both.
    """

    def __init__(
        self, config: StreamConfig, clock: Clock, backoff: Backoff, listener: Listener,
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._config, self._clock, self._backoff = config, clock, backoff
        self._listener, self._wake = listener, wake

    async def run(self, market: StreamedMarket) -> None:
        """Ask until there is nothing more to ask."""
        if market.only_a_hole:
            # Perhaps its trades were merely overtaken.
            await self._clock.sleep(self._config.reorder)
        self._backoff.reset()
        while market.needs_rest:
            asked = self._clock.now()
            try:
                await self._ask(market)
                self._learn(market, asked)
            except UnreachableError as error:
                self._listener.unreachable(market)
                _log.warning("%s: %s", market.name, error)
            if market.needs_rest:
                await self._clock.sleep(self._pause(market))

    async def _ask(self, market: StreamedMarket) -> None:
        """Everything until now."""
        sequence = market.sequence
        if isinstance(sequence, Sequencer):
            await self._by_id(market, sequence)
        else:
            await self._by_time(market, sequence)
        market.begun = True

    async def _by_id(self, market: StreamedMarket, sequence: Sequencer) -> None:
        while True:
            start = sequence.wanted
            page = await market.venue.pages.trades_from(market.listing, start)
            self._listener.released(market, sequence.backfill(page, start))
            self._wake()
            if len(page) < PAGE:
                return

    async def _by_time(self, market: StreamedMarket, sequence: Overlap) -> None:
        start = sequence.wanted_time
        while True:
            end = market.venue.now() + SECOND
            page = await market.venue.pages.trades(market.listing, start, end)
            self._listener.released(market, sequence.backfill(page))
            self._wake()
            if len(page) == 0 or int(page.ts[-1]) <= start:
                return
            start = int(page.ts[-1])

    def _learn(self, market: StreamedMarket, asked: int) -> None:
        """What an answer to a question of local time ``asked`` (µs) means."""
        sequence = market.sequence
        if sequence.hole is not None:
            # The socket is ahead of REST: ask again.
            return
        if market.joins_at is not None and asked >= self._join_time(market.joins_at):
            market.joined = True
            if isinstance(sequence, Overlap):
                sequence.caught_up()
        known = market.venue.skew.surely_past(asked) - micros(self._config.watermark)
        self._listener.proven(market, known)
        self._wake()

    def _join_time(self, subscribed: int) -> int:
        """A trade of the last moment before the subscription may reach REST a little later."""
        return subscribed + micros(self._config.watermark)

    def _pause(self, market: StreamedMarket) -> float:
        pause = self._backoff.next()
        if market.joins_at is None or market.joined:
            return pause
        return max(pause, (self._join_time(market.joins_at) - self._clock.now()) / SECOND)
