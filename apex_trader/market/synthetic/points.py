"""When the symbols of a market pair trade inside their minutes, and what their prices are then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.bridge import STEPS
from apex_trader.market.synthetic.ranges import Volatility
from apex_trader.market.synthetic.settling import settle
from apex_trader.market.synthetic.targets import Minutes
from apex_trader.market.synthetic.waits import Waits
from apex_trader.market.synthetic.walks import Walks

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

#: Kinds of points and orders: drawn ones, and those that make the bar.
DRAWN, OPEN, HIGH, LOW, CLOSE = range(5)
#: Rounds in which the prices are drawn anew given each other.
SETTLING = 80
#: How close to a bar's extremes the start may come, as a share of its range.
MARGIN = 1e-6


@dataclass(frozen=True)
class Points:
    """Moments at which a symbol's price is drawn: its clusters of orders [n], in time order.

    minute [n]; place [n] on the grid of the minute's steps; kind [n]; log_price [n]; move [n]: from
    the point before, in its standard deviations (0 for a minute's first). last [minutes]: place of
    each minute's last trade.
    """

    minute: I64
    place: F64
    kind: I64
    log_price: F64
    move: F64
    last: F64

    def at(self, minute: I64, place: F64) -> I64:
        """The last point up to places of minutes, at or behind the minute's first."""
        own = _key(self.minute, self.place)
        return np.asarray(np.searchsorted(own, _key(minute, place), side="right") - 1, np.int64)


@dataclass(frozen=True)
class _Grid:
    """The points of both symbols in time order [n]: minute, place, the symbol that trades, and the
    points' kinds, as far as the times tell them."""

    minute: I64
    place: F64
    symbol: I64
    kind: I64

    def row(self, symbol: int, kind: int, minutes: int) -> I64:
        """Row of each minute's point of a symbol and kind [minutes], -1 where it has none."""
        rows = np.flatnonzero((self.symbol == symbol) & (self.kind == kind))
        found = np.full(minutes, -1)
        found[self.minute[rows]] = rows
        return found


def _key(minute: I64, place: F64) -> F64:
    return np.asarray(minute * (STEPS + 3.0) + place)


def draw_points(
    minutes: list[Minutes],
    clusters: F64,
    volatility: list[Volatility],
    waits: Waits,
    walks: Walks,
    correlation: float,
    shared: float,
    rng: np.random.Generator,
) -> list[Points]:
    """Times of each symbol's points, and their prices from the exact law given the minutes.

    clusters [symbols, n]: their mean number in each minute; volatility: what is known of it from
    the bars alone, also where it starts from, as the prices do from ``walks``; correlation of
    the symbols' moves; shared: that of what their volatilities are beyond their priors.
    """
    grid = _times(minutes, clusters, waits, rng)
    count, points = len(minutes), len(grid.minute)
    price, variance = np.zeros((2, points)), np.zeros((2, points))
    low, high = np.full((2, points), -np.inf), np.full((2, points), np.inf)
    spans: list[_Spans] = []
    for k in range(count):
        price[k] = walks.at(k, grid.minute, grid.place, rng)
        found = _spans(grid, k, minutes[k], volatility[k])
        _start(price[k], grid, k, minutes[k], found, low[k], high[k])
        step = volatility[k].sigma ** 2 / (waits.last[k] - waits.first[k])
        variance[k] = _variance(grid, step, waits) * found.cover(points)
        spans.append(found)
    covariance = correlation * np.sqrt(variance[0] * variance[1])
    top, bottom = (np.concatenate([getattr(s, name) for s in spans]) for name in ("top", "bottom"))
    settle(
        price, variance, covariance, low, high, top, bottom,
        np.concatenate([s.ends for s in spans]),
        np.repeat(np.arange(count), [len(s.ends) for s in spans]),
        np.concatenate([s.expected for s in spans]), np.concatenate([s.width for s in spans]),
        _partners([s.minute for s in spans], len(minutes[0].ts)), shared, SETTLING, rng,
    )  # fmt: skip
    grid.kind[top[top >= 0]], grid.kind[bottom[bottom >= 0]] = HIGH, LOW
    return [_own(grid, k, price[k], variance[k], waits.last[k]) for k in range(count)]


def _times(minutes: list[Minutes], clusters: F64, waits: Waits, rng: np.random.Generator) -> _Grid:
    """Open and close at the first and last trade, Poisson points between, and as many more as the
    bar needs to reach its extremes."""
    parts = []
    for k, bars in enumerate(minutes):
        traded = np.flatnonzero(bars.activity > 0)
        closing = traded[~bars.single[traded]]
        number = rng.poisson(np.maximum(clusters[k, closing] - 2.0, 0.0))
        extremes = bars.high_apart.astype(np.int64) + bars.low_apart
        number = np.maximum(number, extremes[closing])
        minute = np.repeat(closing, number)
        first, last = waits.first[k], waits.last[k]
        place = first[minute] + (last - first)[minute] * rng.random(len(minute))
        for rows, places, kind in (
            (traded, first[traded], OPEN), (minute, place, DRAWN), (closing, last[closing], CLOSE)
        ):  # fmt: skip
            parts.append((rows, places, np.full(len(rows), k), np.full(len(rows), kind)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(_key(columns[0], columns[1]), kind="stable")
    return _Grid(*(column[order] for column in columns))


@dataclass(frozen=True)
class _Spans:
    """Stretches of points between fixed ends [m, 2] of a symbol: from opens to closes, from closes
    to opens. top, bottom [m]: the points in them that stand at the bar's extremes, else -1. minute
    [m], -1 between minutes. expected, width [m]: prior mean of the log deviation relative to the
    start's, and variance, 0 between minutes, where a tick may be all that a gap tells."""

    ends: I64
    top: I64
    bottom: I64
    minute: I64
    expected: F64
    width: F64

    def cover(self, points: int) -> Bool:
        """Which points' moves from the ones before are in a stretch."""
        begun = np.bincount(self.ends[:, 0] + 1, minlength=points + 1)
        done = np.bincount(self.ends[:, 1] + 1, minlength=points + 1)
        return np.asarray(np.cumsum(begun - done)[:points] > 0)


def _spans(grid: _Grid, symbol: int, bars: Minutes, volatility: Volatility) -> _Spans:
    count, sigma = len(bars.ts), volatility.sigma
    opened, closed = grid.row(symbol, OPEN, count), grid.row(symbol, CLOSE, count)
    closed = np.where(closed < 0, opened, closed)
    within = np.flatnonzero((opened >= 0) & (closed > opened) & (sigma > 0))
    between = 1 + np.flatnonzero(~np.isnan(bars.gap[1:-1]))
    ends = np.concatenate([
        np.stack([opened[within], closed[within]], axis=1),
        np.stack([closed[between - 1], opened[between]], axis=1),
    ])  # fmt: skip
    unknown = np.zeros(len(between))
    nobody = np.full(len(ends), -1)
    return _Spans(
        ends, nobody, nobody.copy(), np.concatenate([within, nobody[: len(between)]]),
        np.concatenate([volatility.prior[within] - np.log(sigma[within]), unknown]),
        np.concatenate([volatility.width[within], unknown]),
    )  # fmt: skip


def _partners(minute: list[I64], minutes: int) -> I64:
    """Of each symbol's spans, one symbol's after the other's, the other's of the same minute; -1
    where there is none. minute: of each symbol's spans."""
    found = np.full(sum(len(own) for own in minute), -1)
    if len(minute) < 2:
        return found
    spans = np.full((2, minutes), -1)
    begin = 0
    for k, own in enumerate(minute):
        spans[k, own[own >= 0]] = begin + np.flatnonzero(own >= 0)
        begin += len(own)
    both = (spans >= 0).all(axis=0)
    found[spans[0, both]], found[spans[1, both]] = spans[1, both], spans[0, both]
    return found


def _start(
    price: F64, grid: _Grid, symbol: int, bars: Minutes, spans: _Spans, low: F64, high: F64
) -> None:
    """Move a walk's prices inside the bars, and the outermost ones to their extremes, in place."""
    own = np.flatnonzero(grid.symbol == symbol)
    minute = grid.minute[own]
    bottom, reach = bars.log_low[minute], bars.reach[minute]
    low[own], high[own] = bottom, np.log(bars.high)[minute]
    price[own] = np.clip(
        price[own], bottom + MARGIN * reach, np.maximum(high[own] - MARGIN * reach, bottom)
    )
    kind = grid.kind[own]
    for code, exact in ((OPEN, bars.log_open), (CLOSE, bars.log_close)):
        ends = own[kind == code]
        price[ends] = exact[grid.minute[ends]]
    inner = own[kind == DRAWN]
    by_price = inner[np.lexsort((price[inner], grid.minute[inner]))]
    bounds = np.searchsorted(grid.minute[by_price], spans.minute)
    ends = np.searchsorted(grid.minute[by_price], spans.minute, side="right") - 1
    known = spans.minute >= 0
    for apart, rows, target, exact in (
        (bars.high_apart, ends, spans.top, high), (bars.low_apart, bounds, spans.bottom, low)
    ):  # fmt: skip
        needed = known & apart[spans.minute]
        target[needed] = by_price[rows[needed]]
        price[target[needed]] = exact[target[needed]]


def _variance(grid: _Grid, rate: F64, waits: Waits) -> F64:
    """Variance of the move to each point [n] from the one before; rate [minutes]: a step's."""
    minute, place = grid.minute, grid.place
    found = rate[minute] * np.diff(place, prepend=0.0)
    new = np.flatnonzero(np.diff(minute, prepend=-1))[1:]
    before, after = minute[new - 1], minute[new]
    found[new] = rate[before] * (STEPS - place[new - 1] + waits.after[before])
    found[new] += rate[after] * (place[new] + waits.before[after])
    return found


def _own(grid: _Grid, symbol: int, price: F64, variance: F64, last: F64) -> Points:
    """A symbol's own points."""
    rows = np.flatnonzero(grid.symbol == symbol)
    passed = np.diff(np.cumsum(variance)[rows], prepend=0.0)
    moved = np.diff(price[rows], prepend=0.0)
    move = np.divide(moved, np.sqrt(passed), out=np.zeros_like(moved), where=passed > 0)
    kind = grid.kind[rows]
    move[kind == OPEN] = 0.0
    return Points(grid.minute[rows], grid.place[rows], kind, price[rows], move, last)
