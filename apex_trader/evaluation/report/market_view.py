"""The traded market as a chart shows it: candles, the agent's fills, and confirmed pivots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.record import Record
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, MINUTE

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]

MINUTES = "primary_1m"
#: Names of a bar's prices.
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Candles:
    """Bars [n] in time order; ts: µs, their opens. Prices in quote currency. span: µs of each."""

    span: int
    ts: I64
    open: F64
    high: F64
    low: F64
    close: F64

    def __len__(self) -> int:
        return len(self.ts)

    def between(self, start: int, end: int) -> Candles:
        """Those that open in [start, end) µs."""
        first, stop = np.searchsorted(self.ts, [start, end])
        ts, *prices = (getattr(self, name)[first:stop] for name in ("ts", *PRICES))
        return Candles(self.span, ts, *prices)

    def coarser(self, span: int) -> Candles:
        """Bars of a longer span (µs, a multiple of theirs), on its grid."""
        if not len(self) or span <= self.span:
            return self
        opens, first = np.unique(self.ts // span * span, return_index=True)
        last = np.append(first[1:], len(self)) - 1
        return Candles(
            span, opens, self.open[first], np.maximum.reduceat(self.high, first),
            np.minimum.reduceat(self.low, first), self.close[last],
        )  # fmt: skip


@dataclass(frozen=True)
class Fills:
    """Orders [m] of the agent that were filled. ts µs and price of the fill, before slippage; side:
    +1 bought, −1 sold."""

    ts: I64
    price: F64
    side: I8


@dataclass(frozen=True)
class Pivots:
    """Pivots [p] of level ≥ 2 that the state came to know. ts: µs of the pivot's bar; known: µs of
    the first decision that knew it; price: the bar's extreme; kind: +1 high, −1 low."""

    ts: I64
    known: I64
    price: F64
    kind: I8
    level: I8


@dataclass(frozen=True)
class MarketView:
    """What the price charts draw."""

    candles: Candles
    fills: Fills
    pivots: Pivots


def market_view(segments: Sequence[Segment], schema: Schema, agent: Record) -> MarketView:
    """From the segments judged, in time order, and the agent's record on them."""
    candles = candles_of(segments, schema)
    return MarketView(candles, fills_of(segments, agent), pivots_of(segments, candles))


def candles_of(segments: Sequence[Segment], schema: Schema) -> Candles:
    """Minute candles of the days: the state's own bars, or the prices at decisions without them."""
    parts = [_bars(s, schema) if schema.has(MINUTES) else _marks(s) for s in segments]
    ts = np.concatenate([part.ts for part in parts])
    prices = [np.concatenate([getattr(part, name) for part in parts]) for name in PRICES]
    return Candles(MINUTE, ts, *prices)


def fills_of(segments: Sequence[Segment], agent: Record) -> Fills:
    """Where the agent's orders were filled."""
    ts = np.concatenate([s.decisions.ts for s in segments])
    row = np.searchsorted(ts, agent.ts[agent.traded])
    at = np.concatenate([s.outcomes.fill_ts for s in segments])[row]
    price = np.exp(np.concatenate([s.outcomes.fill for s in segments])[row])
    change = np.diff(agent.position, prepend=0.0)[agent.traded]
    known = np.isfinite(price)
    return Fills(at[known], price[known], np.sign(change[known]).astype(np.int8))


def pivots_of(segments: Sequence[Segment], candles: Candles) -> Pivots:
    """Confirmed pivots whose bar is among the candles."""
    found = [(s.pivot_events, s.decisions.ts) for s in segments]
    ts = np.concatenate([events.ts for events, _ in found])
    inside = [events.known_row < len(at) for events, at in found]
    known = np.concatenate([
        np.where(ok, at[np.minimum(events.known_row, len(at) - 1)], -1)
        for (events, at), ok in zip(found, inside, strict=True)
    ])  # fmt: skip
    kind = np.concatenate([events.kind for events, _ in found]).astype(np.int8)
    level = np.concatenate([events.level for events, _ in found]).astype(np.int8)
    place = np.minimum(np.searchsorted(candles.ts, ts), max(len(candles) - 1, 0))
    there = (known >= 0) & (candles.ts[place] == ts) if len(candles) else np.zeros(len(ts), bool)
    at = place[there]
    price = np.where(kind[there] > 0, candles.high[at], candles.low[at])
    return Pivots(ts[there], known[there], price, kind[there], level[there])


def _bars(segment: Segment, schema: Schema) -> Candles:
    """The day's minute bars that decisions saw close, out of the state's table."""
    known = segment.decisions
    return minute_bars(
        known.ts, known.row["1m"], segment.tables[MINUTES], schema, segment.base[0], segment.day
    )[0]


def minute_bars(
    ts: I64, row: NDArray[np.integer[Any]], table: F32, schema: Schema, base: float, day: int
) -> tuple[Candles, I64]:
    """The bars of a day (µs) that decisions saw close, and the row of each in ``table``.

    ts [n] µs of the decisions; row [n]: the last minute bar that each saw, a row of ``table``
    (negative: one before it). base: log price that the table is relative to.
    """
    rows, first = np.unique(row, return_index=True)
    # a bar is new to the first decision that sees it; its close is that decision's minute
    opens = ts[first] // MINUTE * MINUTE - MINUTE
    inside = (rows >= 0) & (opens >= day)
    names = [column.name for column in schema.block(MINUTES).columns]
    values = table[rows[inside]].astype(np.float64)
    prices = [np.exp(values[:, names.index(name)] + base) for name in PRICES]
    there = np.isfinite(prices[3])
    candles = Candles(MINUTE, opens[inside][there], *(price[there] for price in prices))
    return candles, rows[inside][there].astype(np.int64)


def _marks(segment: Segment) -> Candles:
    return mark_candles(segment.decisions.ts, np.exp(segment.decisions.mark))


def mark_candles(ts: I64, price: F64) -> Candles:
    """Candles of the prices [n] known at decisions (µs): narrower than the market's own."""
    known = np.isfinite(price)
    ts, mark = ts[known], price[known]
    return Candles(1, ts, mark, mark, mark, mark).coarser(MINUTE)


def busiest_day(fills: Fills) -> int | None:
    """The UTC day (µs) with the most orders; the first of several."""
    if not len(fills.ts):
        return None
    days, counts = np.unique(fills.ts // DAY * DAY, return_counts=True)
    return int(days[counts.argmax()])
