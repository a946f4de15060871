"""Where a feed begins: joined to what the store holds, or at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market import intervals
from apex_trader.market.exchange.convert import no_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.lane import Lane
from apex_trader.market.stream.overlap import REMEMBERED, Overlap
from apex_trader.market.stream.sequencer import MILLISECOND, Sequencer
from apex_trader.market.stream.venue import Venue
from apex_trader.market.types import Trades
from apex_trader.time import DAY, HOUR, MINUTE, SECOND, format_time


@dataclass(frozen=True)
class Recording:
    """The store's recording of a market that a feed can go on from.

    [begin, end) µs is whole. last: its last trade (one row).
    """

    begin: int
    end: int
    last: Trades

    @property
    def numbered(self) -> bool:
        """Whether its trades have the exchange's ids."""
        return self.last.id is not None


def recording(store: MarketStore | None, market: str, by: int | None = None) -> Recording | None:
    """The last recording that begins by a time (None: of all); None when there is none."""
    if store is None or market not in store.manifest.markets:
        return None
    if "trades" not in store.kinds(market):
        return None
    raw = intervals.union(store.entry(market).kinds["trades"].covered())
    begun = raw if by is None else raw[raw[:, 0] <= by]
    if len(begun) == 0:
        return None
    end = int(begun[-1, 1])
    joined = store.coverage(market, "trades")
    begin = int(joined[joined[:, 0] <= begun[-1, 0]][-1, 0])
    for day in range((end - 1) // DAY * DAY, begin // DAY * DAY - 1, -DAY):
        trades = store.read_trades(market, max(day, begin), min(day + DAY, end))
        if len(trades):
            return Recording(begin, end, trades.slice(len(trades) - 1, len(trades)))
    return None


def first_second(
    since: int | None, now: int, reach: int, recordings: Mapping[str, Recording | None],
    numbered: Mapping[str, bool], history: Mapping[str, int | None],
) -> int:  # fmt: skip
    """The first second (µs) to close.

    since: as asked for. Without it, where the store's recordings end, so that no second is
    missing; of a market that has none, where its bars end (history, see ``history_end``), when that
    is within reach; or now. ApexError when that is further back than ``reach``.
    """
    ends = [
        _recorded_until(held, numbered[market])
        if held is not None
        else _within(history.get(market), now - reach)
        for market, held in recordings.items()
    ]
    known = [end for end in ends if end is not None]
    whole = -(-now // SECOND) * SECOND
    start = min(*known, whole) if known and len(known) == len(ends) else whole
    if since is not None:
        start = -(-since // SECOND) * SECOND
    if start < now - reach:
        what = "that" if since is not None else "where the store ends"
        raise ApexError(
            f"a live feed from {format_time(start)} would ask REST for {what} to now: run "
            "`python -m apex_trader.data download` up to now first, or raise stream.reach"
        )
    return start


def history_end(store: MarketStore | None, market: str) -> int | None:
    """µs up to which the store has a market's seconds or minutes; None when it has neither."""
    if store is None or market not in store.manifest.markets:
        return None
    spans = [store.coverage(market, kind) for kind in ("1s", "1m") if kind in store.kinds(market)]
    ends = [int(span[-1, 1]) for span in spans if len(span)]
    return max(ends, default=None)


def _recorded_until(held: Recording, numbered: bool) -> int:
    """The first second that a recording does not hold whole, or cannot be sure to."""
    joins = held.numbered or not numbered
    return held.end // SECOND * SECOND if joins else -(-held.end // SECOND) * SECOND


def _within(end: int | None, earliest: int) -> int | None:
    return -(-end // SECOND) * SECOND if end is not None and end >= earliest else None


def joined_lane(store: MarketStore, market: str, held: Recording, start: int, venue: Venue) -> Lane:
    """The lane of a market whose recording goes on."""
    sequence: Sequencer | Overlap
    if venue.pages.numbered:
        assert held.last.id is not None
        sequence = Sequencer(int(held.last.id[0]), int(held.last.ts[0]))
    else:
        sequence = Overlap(held.end)
        sequence.prime(store.read_trades(market, held.end - REMEMBERED, held.end))
    previous = _time_before(store, market, held, start)
    lane = Lane(market, sequence, start, previous, held.end)
    if start < held.end:
        lane.prime(store.read_trades(market, start, held.end))
    return lane


async def check_joins(venue: Venue, market: str, held: Recording) -> None:
    """ApexError unless the exchange has the store's last trade under the same id."""
    assert held.last.id is not None
    page = await venue.pages.trades_from(venue.listing(market), int(held.last.id[0]))
    first = page.slice(0, 1)
    same = len(first) == 1 and all(
        np.array_equal(getattr(first, name), getattr(held.last, name))
        for name in ("id", "price", "amount")
    )
    if not same or first.ts[0] // MILLISECOND != held.last.ts[0] // MILLISECOND:
        raise ApexError(
            f"the store's last trade of {market}, {format_time(int(held.last.ts[0]))}, is not the "
            f"exchange's aggregate trade {held.last.id[0]}: the store holds single fills, or "
            "another market. Stream into another store, or replace its trades by aggregate ones"
        )


async def fresh_lane(venue: Venue, market: str, start: int) -> Lane:
    """The lane of a market whose recording begins at ``start``."""
    if not venue.pages.numbered:
        return Lane(market, Overlap(start), start)
    listing = venue.listing(market)
    at = min(start, venue.now())
    # The nearest trade before gives the id from which on nothing may be missing.
    edges = [0, MINUTE, 10 * MINUTE, *range(HOUR, DAY + HOUR, HOUR)]
    page = no_trades()
    for late, early in pairwise(edges):
        page = await venue.pages.trades(listing, at - early, at - late)
        if len(page):
            break
    if len(page) == 0 and at < venue.now():  # perhaps it began to trade in between
        page = await venue.pages.trades(listing, at, min(at + DAY, venue.now()))
        if len(page) and page.id is not None:
            return Lane(market, Sequencer(int(page.id[0]) - 1, at), start)
    if len(page) == 0 or page.id is None:
        raise ApexError(f"{market} had no trades in the day before {format_time(at)}")
    return Lane(market, Sequencer(int(page.id[0]) - 1, int(page.ts[0])), start)


def _time_before(store: MarketStore, market: str, held: Recording, start: int) -> int | None:
    """Time of the recording's last trade before ``start``; None when there is none."""
    if held.last.ts[0] < start:
        return int(held.last.ts[0])
    for early in range(start - HOUR, held.begin - HOUR, -HOUR):
        before = store.read_trades(market, max(early, held.begin), start)
        if len(before):
            return int(before.ts[-1])
    return None
