"""The feed without its network: what was heard goes in, closed seconds come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apex_trader.errors import DataError
from apex_trader.market.exchange.convert import no_trades, raw_trades, unified_trades
from apex_trader.market.kinds import concatenate
from apex_trader.market.stream.batch import LiveSeconds
from apex_trader.market.stream.clock import Clock, micros
from apex_trader.market.stream.config import StreamConfig
from apex_trader.market.stream.connection import (
    Arrived,
    Connection,
    Lost,
    Ponged,
    Subscribed,
    Unread,
)
from apex_trader.market.stream.health import Health
from apex_trader.market.stream.lane import Revisions
from apex_trader.market.stream.market import StreamedMarket
from apex_trader.market.stream.sequencer import Sequencer
from apex_trader.market.stream.watermark import Watermark
from apex_trader.market.types import I64, Funding, Seconds, Trades
from apex_trader.time import MINUTE, SECOND

#: Longest batch (µs): after an outage seconds come in pieces.
LONGEST = 10 * MINUTE
#: A trade further than this (µs) in the exchange's future is no trade; less may be a clock that
#: was not measured since it moved.
FUTURE = MINUTE


class FeedCore:
    """All markets of a feed, their common watermark, and what is to be handed on.

    Args:
        markets: in the order in which batches name them. start: first second (µs) to close.
    """

    def __init__(
        self, markets: Sequence[StreamedMarket], start: int, config: StreamConfig, clock: Clock,
        health: Health,
    ) -> None:  # fmt: skip
        self.markets = {market.name: market for market in markets}
        self.health = health
        self.revisions: list[Revisions] = []
        self._clock = clock
        self._paying = {m.funding_name: m for m in markets if m.funding is not None}
        self.watermark = Watermark(
            [*self.markets, *self._paying], start, micros(config.watermark),
            micros(config.patience),
        )  # fmt: skip
        self._emitted = start

    # -- what is heard ------------------------------------------------------------------------

    def hear(self, connection: Connection) -> None:
        """Take everything that happened on a connection."""
        rows: dict[str, list[Arrived]] = {}
        for event in connection.take():
            if isinstance(event, Arrived):
                rows.setdefault(event.market, []).append(event)
                continue
            self._deliver(connection, rows)
            rows = {}
            for name in connection.markets:
                self._note(self.markets[name], event)
        self._deliver(connection, rows)
        for name in connection.markets:
            self._settle(self.markets[name])

    def released(self, market: StreamedMarket, trades: Trades) -> None:
        """Trades that are next, or late."""
        revisions = market.lane.take(trades)
        if revisions is not None:
            self.health.revisions += len(revisions.trades)
            self.revisions.append(revisions)
        self._settle(market)

    def proven(self, market: StreamedMarket, time: int) -> None:
        """No trade of the market before ``time`` (µs) is missing."""
        self.watermark.proven(market.name, time)
        self._settle(market)

    def paid(self, market: StreamedMarket, paid: Funding, asked: int) -> None:
        """Funding payments that the exchange told of at ``asked`` (its time, µs)."""
        assert market.funding is not None
        self.health.late_funding += len(market.funding.learn(paid, asked))
        self.watermark.proven(market.funding_name, market.funding.known)

    def unreachable(self, market: StreamedMarket) -> None:
        """REST gave no answer about this market, however often it was asked."""
        self.health.rest_failures += 1

    # -- what comes out -----------------------------------------------------------------------

    def needing_rest(self) -> list[StreamedMarket]:
        """Markets of which REST has something to tell."""
        return [market for market in self.markets.values() if market.needs_rest]

    def close(self) -> LiveSeconds | None:
        """The next closed seconds, at most ``LONGEST`` of them; None when there are none yet."""
        for name in self.watermark.overdue():
            if name in self.markets:
                self._go_on_without(self.markets[name])
            else:
                self._do_without_payment(self._paying[name])
        start, until = self._emitted, min(self.watermark.close(), self._emitted + LONGEST)
        if until <= start:
            return None
        seconds: dict[str, Seconds] = {}
        trades: dict[str, Trades] = {}
        incomplete: dict[str, I64] = {}
        for name, market in self.markets.items():
            known = self.watermark.known(name)
            seconds[name], trades[name], doubtful = market.lane.close(until, known)
            if len(doubtful):
                incomplete[name] = doubtful
                self.health.incomplete += len(doubtful)
        funding = {
            market.name: market.funding.close(until)
            for market in self.markets.values()
            if market.funding is not None
        }
        self._emitted = until
        now = max(market.venue.now() for market in self.markets.values())
        self.health.closed += (until - start) // SECOND
        self.health.closing_lag = now - until
        return LiveSeconds(
            start, until, seconds, trades, funding, closed_at=now, incomplete=incomplete
        )

    # -- inside -------------------------------------------------------------------------------

    def _note(self, market: StreamedMarket, event: Lost | Subscribed | Unread | Ponged) -> None:
        if isinstance(event, Lost):
            market.lost()
            self.watermark.lost(market.name)
        elif isinstance(event, Subscribed):
            market.subscribed(event.at)
        elif isinstance(event, Unread):
            market.doubted(event.at)
        else:
            self.watermark.heard(market.name, market.venue.skew.surely_past(event.sent))

    def _deliver(self, connection: Connection, rows: Mapping[str, list[Arrived]]) -> None:
        latest = 0
        for name, arrived in rows.items():
            market = self.markets[name]
            trades = self._read(market, arrived, connection)
            now = market.venue.now() + market.venue.skew.error
            self._take_times(market, arrived, trades)
            garbage = market.sequence.counts.garbage
            released = market.sequence.offer(trades, now + FUTURE)
            if len(trades) < len(arrived) or market.sequence.counts.garbage > garbage:
                # Nothing may close as whole before REST has told what was thrown away.
                market.doubted(arrived[-1].at)
            self.released(market, released)
            past = trades.ts[trades.ts <= now]
            latest = max(latest, int(past.max()) if len(past) else 0)
        # One socket: what it said of one market was said after everything before of the others.
        for name in connection.markets if latest else ():
            self.watermark.heard(name, latest)

    def _read(
        self, market: StreamedMarket, arrived: Sequence[Arrived], connection: Connection
    ) -> Trades:
        try:
            return _read(market, arrived)
        except DataError:
            pass
        parts = []
        for row in arrived:
            try:
                parts.append(_read(market, [row]))
            except DataError:
                connection.garbage += 1
        return _joined(parts)

    def _take_times(
        self, market: StreamedMarket, arrived: Sequence[Arrived], trades: Trades
    ) -> None:
        market.last_sign = arrived[-1].at
        if len(trades) != len(arrived):
            return
        skew = market.venue.skew
        # The frame's own time where there is one: the trade was not sent before.
        sent = arrived[-1].trade.get("info", {}).get("E")
        event = int(sent) * 1000 if isinstance(sent, int) and sent < 10**14 else int(trades.ts[-1])
        skew.arrived(event, arrived[-1].at)
        at = np.fromiter((row.at for row in arrived), np.int64, len(arrived))
        self.health.arrived((at + skew.offset - trades.ts).tolist())

    def _settle(self, market: StreamedMarket) -> None:
        """Tell the watermark how things stand."""
        market.look_for_holes(self._clock.now())
        if market.sequence.hole is not None and self.watermark.abandoned(market.name):
            self._give_up(market)
        if isinstance(market.sequence, Sequencer):
            self.watermark.proven(market.name, market.sequence.time)
        self.watermark.whole(market.name, market.whole)

    def _go_on_without(self, market: StreamedMarket) -> None:
        """What is missing has been waited for long enough."""
        self.watermark.abandon(market.name)
        self._give_up(market)

    def _do_without_payment(self, market: StreamedMarket) -> None:
        assert market.funding is not None
        market.funding.skip()
        self.health.missed_funding += 1
        self.watermark.proven(market.funding_name, market.funding.known)

    def _give_up(self, market: StreamedMarket) -> None:
        sequence = market.sequence
        before = sequence.time if isinstance(sequence, Sequencer) else 0
        released = sequence.give_up()
        if isinstance(sequence, Sequencer) and len(released):
            market.lane.doubt(before, int(released.ts[0]) + 1)
        self.released(market, released)


def _read(market: StreamedMarket, arrived: Sequence[Arrived]) -> Trades:
    rows: list[Any] = [row.trade for row in arrived]
    origin = f"the socket of {market.name}"
    if market.venue.pages.numbered:
        return raw_trades([row.get("info") or {} for row in rows], origin)
    return unified_trades(rows, origin)


def _joined(parts: list[Trades]) -> Trades:
    if not parts:
        return no_trades()
    joined = concatenate("trades", [*parts])
    assert isinstance(joined, Trades)
    return joined
