"""The tape inside minute bars: times, prices, sides and amounts that keep every bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.market.source import MarketInfo
from apex_trader.market.synthetic.bridge import STEPS
from apex_trader.market.synthetic.grids import dithered, on_grid
from apex_trader.market.synthetic.tape import LEVEL_CHANCE, MILLISECOND, sweep_offsets
from apex_trader.market.types import Bars, Trades

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

#: Trades of a minute grow with its volume to this power (measured relations lie near 0.6).
VOLUME_POWER = 0.6
#: Least and most orders of a minute, relative to one of median volume.
LEAST_ACTIVITY, MOST_ACTIVITY = 0.1, 10.0
#: Longest wait for a minute's first trade, and after its last, as a share of the minute.
MOST_SILENT = 0.25
#: Deviation of trades around their cell's centre, in cells.
WANDER = 0.25
#: Kinds of orders: drawn ones, and those that make the bar.
DRAWN, OPEN, HIGH, LOW, CLOSE = range(5)


@dataclass(frozen=True)
class InsideLaw:
    """How trades lie inside minutes; fields as in the parameters of the same names."""

    trades_per_second: float
    sweep: float
    burstiness: float
    amount_dispersion: float
    flow: float
    spread_ticks: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> InsideLaw:
        """The tape's part of the resolved parameters."""
        return cls(**{f.name: parameters[f.name] for f in fields(cls)})

    def pace(self, minutes: int, rng: np.random.Generator) -> F64:
        """Share of its minute that has passed at each edge of the walk's steps [minutes, 121].

        Steps take log-normal times, so activity and volatility come in bursts. The walk runs from a
        minute's first trade to its last: what prices do between trades is known to nobody. All of
        it is shared by the symbols, for a clock that runs ahead in one would make it foretell the
        other, and knows nothing of where the price goes.
        """
        taken = np.exp(self.burstiness * rng.standard_normal((minutes, STEPS // 4)))
        passed = np.cumsum(np.repeat(taken, 4, axis=1), axis=1)
        share = np.concatenate([np.zeros((minutes, 1)), passed / passed[:, -1:]], axis=1)
        wait = self.sweep / (60.0 * self.trades_per_second)
        before, after = np.minimum(wait * rng.exponential(1.0, (2, minutes, 1)), MOST_SILENT)
        edges: F64 = before + (1.0 - before - after) * share
        return edges


@dataclass(frozen=True)
class Minutes:
    """Minute bars of one market on a common list of minutes [n]; NaN where it has no trades.

    reach: ln(high/low), 0 where flat or absent; move: ln(close/open). activity: relative number of
    orders. tick_size, lot_size: the market's grids.
    """

    ts: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    activity: F64
    tick_size: float
    lot_size: float

    @classmethod
    def of(cls, bars: Bars, ts: I64, info: MarketInfo) -> Minutes:
        """The bars' rows at each of ``ts``; bars without volume carry a price: nobody traded."""
        place = np.minimum(np.searchsorted(bars.ts, ts), len(bars) - 1)
        present = (bars.ts[place] == ts) & (bars.volume[place] > 0)
        columns = {
            name: np.where(present, getattr(bars, name)[place], np.nan)
            for name in ("open", "high", "low", "close", "volume")
        }
        median = np.median(columns["volume"][present]) if present.any() else 1.0
        relative = np.nan_to_num(columns["volume"]) / median
        activity = np.clip(relative**VOLUME_POWER, LEAST_ACTIVITY, MOST_ACTIVITY)
        return cls(ts, **columns, activity=np.where(present, activity, 0.0),
                   tick_size=info.tick_size, lot_size=info.lot_size)  # fmt: skip

    def rows(self, index: slice) -> Minutes:
        """Some of the minutes."""
        arrays = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if f.name not in ("tick_size", "lot_size")
        }
        return Minutes(**arrays, tick_size=self.tick_size, lot_size=self.lot_size)

    @property
    def log_low(self) -> F64:
        """ln(low), 0 where absent."""
        return np.log(np.where(np.isnan(self.low), 1.0, self.low))

    @property
    def log_open(self) -> F64:
        """ln(open), 0 where absent."""
        return np.log(np.where(np.isnan(self.open), 1.0, self.open))

    @property
    def log_close(self) -> F64:
        """ln(close), 0 where absent."""
        return np.log(np.where(np.isnan(self.close), 1.0, self.close))

    @property
    def reach(self) -> F64:
        """ln(high/low), 0 where flat or absent."""
        return np.nan_to_num(np.log(self.high / self.low))

    @property
    def move(self) -> F64:
        """ln(close/open), 0 where absent."""
        return np.nan_to_num(np.log(self.close / self.open))


@dataclass(frozen=True)
class _Orders:
    """Orders by minute and place in the walk: minute [n], place in [0, STEPS], kind [n]."""

    minute: I64
    place: F64
    kind: I64


def trades_inside(
    minutes: Minutes,
    walks: I64,
    floor: F64,
    width: F64,
    pace: F64,
    law: InsideLaw,
    rng: np.random.Generator,
    first_id: int = 0,
) -> Trades:
    """Trades that re-aggregate to the minutes.

    walks [n, STEPS + 1]: cell of the price at each step; cells of ``width`` [n] stand on the log
    price ``floor`` [n]. pace [n, STEPS + 1]: see ``InsideLaw.pace``.
    """
    orders = _orders(minutes, walks, law, rng)
    path = _path(minutes, walks, floor, width)
    latent, move = _latent(minutes, orders, path, width, rng)
    ts = _times(minutes, orders, pace)
    chance = 1.0 / (1.0 + np.exp(-2.0 * law.flow * move))
    side = np.where(rng.random(len(ts)) < chance, 1, -1)
    noisy = np.exp(latent) / minutes.tick_size + side * (0.5 * law.spread_ticks)
    return _trades(minutes, orders, ts, dithered(noisy, rng), side, law, rng, first_id)


def _orders(minutes: Minutes, walks: I64, law: InsideLaw, rng: np.random.Generator) -> _Orders:
    """First and last orders, those at the extremes, and drawn ones over the steps between."""
    traded = np.flatnonzero(minutes.activity > 0)
    mean = 60.0 * law.trades_per_second / law.sweep * minutes.activity[traded]
    drawn = rng.poisson(np.maximum(mean - 4.0, 0.0))
    minute = [np.repeat(traded, drawn), traded, traded]
    place = [STEPS * rng.random(len(minute[0])), np.zeros(len(traded)), np.full(len(traded), STEPS)]
    kind = [np.full(len(minute[0]), DRAWN), np.full(len(traded), OPEN), np.full(len(traded), CLOSE)]
    top = walks.max(axis=1)[:, None]
    for code, extreme, cells in ((HIGH, minutes.high, top), (LOW, minutes.low, 0)):
        needed = traded[(minutes.open[traded] != extreme[traded])
                        & (minutes.close[traded] != extreme[traded])]  # fmt: skip
        minute.append(needed)
        place.append(_visit((walks == cells)[needed], rng))
        kind.append(np.full(len(needed), code))
    joined = _Orders(np.concatenate(minute), np.concatenate(place).astype(np.float64),
                     np.concatenate(kind))  # fmt: skip
    rank = np.where(joined.kind == OPEN, -1.0, joined.place)
    rank[joined.kind == CLOSE] = STEPS + 1.0
    order = np.argsort(joined.minute * (STEPS + 3.0) + rank, kind="stable")
    return _Orders(joined.minute[order], joined.place[order], joined.kind[order])


def _visit(visited: Bool, rng: np.random.Generator) -> F64:
    """One of the steps at which each row is true, all alike; every row has one."""
    score = np.where(visited, rng.random(visited.shape), -1.0)
    step: F64 = score.argmax(axis=1).astype(np.float64)
    return step


def _path(minutes: Minutes, walks: I64, floor: F64, width: F64) -> F64:
    """Log price at each step [n, STEPS + 1]: cell centres, tilted to meet open and close."""
    centre = floor[:, None] + (walks + 0.5) * width[:, None]
    share = np.linspace(0.0, 1.0, STEPS + 1)
    at_open = (minutes.log_open - centre[:, 0])[:, None]
    at_close = (minutes.log_close - centre[:, -1])[:, None]
    path: F64 = centre + at_open * (1.0 - share) + at_close * share
    return path


def _latent(
    minutes: Minutes, orders: _Orders, path: F64, width: F64, rng: np.random.Generator
) -> tuple[F64, F64]:
    """(log price [n] at each order, in cells the move that led there [n]).

    The price moves *at* the edges of steps: one that went from cell to cell bit by bit would
    foretell the rest of its way. Around its cell's centre it wanders no further than the nearer of
    low and high, both ways alike: noise cut off at the high alone would make fills there cheap.
    """
    step = np.minimum(orders.place.astype(np.int64), STEPS)
    cell = width[orders.minute]
    now = path[orders.minute, step]
    came = now - path[orders.minute, np.maximum(step - 1, 0)]
    move = np.divide(came, cell, out=np.zeros(len(cell)), where=cell > 0)
    low = minutes.log_low[orders.minute]
    room = np.maximum(np.minimum(now - low, low + minutes.reach[orders.minute] - now), 0.0)
    wander = WANDER * cell * rng.standard_normal(len(cell))
    return now + np.clip(wander, -room, room), move


def _times(minutes: Minutes, orders: _Orders, pace: F64) -> I64:
    """Times of the orders, whole milliseconds, in order within their minute."""
    step = np.minimum(orders.place.astype(np.int64), STEPS - 1)
    begun, done = pace[orders.minute, step], pace[orders.minute, step + 1]
    share = begun + (done - begun) * (orders.place - step)
    milli = np.minimum((share * 60_000.0).astype(np.int64), 59_999)
    ts: I64 = minutes.ts[orders.minute] + milli * MILLISECOND
    return ts


def _trades(
    minutes: Minutes,
    orders: _Orders,
    ts: I64,
    ticks: I64,
    side: I64,
    law: InsideLaw,
    rng: np.random.Generator,
    first_id: int,
) -> Trades:
    """Orders as sweeps of trades within each minute's range, and the minute's volume over them."""
    count = np.where(orders.kind == DRAWN, rng.geometric(1.0 / law.sweep, len(ts)), 1)
    order = np.repeat(np.arange(len(ts)), count)
    offset = sweep_offsets(np.cumsum(count) - count, rng.random(len(order)) < LEVEL_CHANCE)
    kind, minute = orders.kind[order], orders.minute[order]
    kept = _affordable(kind, minute, minutes, rng)
    order, kind, minute, offset = order[kept], kind[kept], minute[kept], offset[kept]
    price = _prices(minutes, minute, kind, ticks[order] + side[order] * offset)
    amount = _amounts(minutes, minute, law.amount_dispersion, rng)
    ids = first_id + np.arange(len(order), dtype=np.int64)
    return Trades(ts[order], price, amount, side[order].astype(np.int8), ids)


def _affordable(kind: I64, minute: I64, minutes: Minutes, rng: np.random.Generator) -> Bool:
    """Which trades to keep so that no minute has more of them than lots; bar makers stay."""
    lots = np.floor(minutes.volume / minutes.lot_size + 1e-6)
    kept = np.ones(len(kind), np.bool_)
    scarce = np.bincount(minute, minlength=len(lots)) > lots
    rows = np.flatnonzero(scarce[minute])
    if len(rows) == 0:
        return kept
    inside = minute[rows]
    priority = np.where(kind[rows] == DRAWN, rng.random(len(rows)), -1.0)
    by_priority = np.lexsort((priority, inside))
    rank = np.empty(len(rows), np.int64)
    rank[by_priority] = np.arange(len(rows)) - np.searchsorted(inside, inside)[by_priority]
    kept[rows] = (kind[rows] != DRAWN) | (rank < lots[inside])
    return kept


def _prices(minutes: Minutes, minute: I64, kind: I64, ticks: I64) -> F64:
    """Ticks as prices inside each minute's range; bar makers take the bar's own doubles."""
    low, high = minutes.low[minute], minutes.high[minute]
    price = np.clip(on_grid(ticks, minutes.tick_size), low, high)
    for code, exact in ((OPEN, minutes.open), (HIGH, minutes.high), (LOW, minutes.low),
                        (CLOSE, minutes.close)):  # fmt: skip
        makers = kind == code
        price[makers] = exact[minute[makers]]
    return price


def _amounts(minutes: Minutes, minute: I64, dispersion: float, rng: np.random.Generator) -> F64:
    """Heavy-tailed amounts, whole lots, that sum to each minute's volume in *any* order.

    Every amount is rounded to a multiple of the volume's last binary digit (a change of under one
    part in 10^15 of the volume), and the rest goes to the largest. Multiples of one unit whose sum
    has 53 bits add without rounding, so no order of summation can miss the volume.
    """
    if len(minute) == 0:
        return np.empty(0)
    bounds = np.flatnonzero(np.r_[True, minute[1:] != minute[:-1]])
    number = np.diff(np.r_[bounds, len(minute)])
    group = np.repeat(np.arange(len(bounds)), number)
    volume = minutes.volume[minute[bounds]]
    weight = np.exp(dispersion * rng.standard_normal(len(minute)))
    spare = np.maximum(np.floor(volume / minutes.lot_size + 1e-6) - number, 0.0)
    lots = 1.0 + np.floor(weight * (spare / np.add.reduceat(weight, bounds))[group])
    # fewer lots than bar makers: a share of what there is
    amount = np.minimum(on_grid(lots, minutes.lot_size), (volume / number)[group] * lots)
    unit = np.spacing(volume)
    units = np.rint(amount / unit[group]).astype(np.int64)
    _give_rest(units, np.rint(volume / unit).astype(np.int64), bounds)
    exact: F64 = units * unit[group]
    return exact


@njit(cache=True, nogil=True)
def _give_rest(units: I64, whole: I64, bounds: I64) -> None:
    """Add what each group lacks of its whole to its largest member."""
    for k in range(len(bounds)):
        stop = bounds[k + 1] if k + 1 < len(bounds) else len(units)
        largest, rest = bounds[k], whole[k]
        for i in range(bounds[k], stop):
            rest -= units[i]
            if units[i] > units[largest]:
                largest = i
        units[largest] += rest
