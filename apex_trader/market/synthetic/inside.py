"""The tape inside minute bars: times, prices, sides and amounts that keep every bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.amounts import amounts_inside
from apex_trader.market.synthetic.bridge import STEPS
from apex_trader.market.synthetic.grids import dithered, on_grid
from apex_trader.market.synthetic.orders import (
    CLUSTER_AMOUNT,
    CLUSTER_SIDE,
    InsideLaw,
    Orders,
    Sizes,
    draw_orders,
    heavy_counts,
)
from apex_trader.market.synthetic.points import CLOSE, DRAWN, HIGH, LOW, OPEN, Points
from apex_trader.market.synthetic.tape import LEVEL_CHANCE, MILLISECOND, sweep_offsets
from apex_trader.market.synthetic.targets import Minutes
from apex_trader.market.types import Trades

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


def trades_inside(
    minutes: Minutes,
    points: Points,
    pace: F64,
    sizes: Sizes,
    law: InsideLaw,
    rng: np.random.Generator,
    first_id: int = 0,
) -> Trades:
    """Trades that re-aggregate to the minutes; pace [minutes, STEPS + 1]: ``InsideLaw.pace``."""
    orders = draw_orders(points, sizes.cluster, rng)
    ts = _times(minutes, orders, pace)
    side = _sides(orders, points.move[orders.point], law, rng)
    # whose sign is not the side's: sides go on, and a price known to bounce back can be traded
    bounce = (rng.random(len(points.log_price)) < 0.5) - 0.5
    noisy = np.exp(points.log_price) / minutes.tick_size + bounce * law.spread_ticks
    ticks = dithered(noisy, rng)[orders.point]
    return _trades(minutes, orders, ts, ticks, side, sizes, law, rng, first_id)


def _times(minutes: Minutes, orders: Orders, pace: F64) -> I64:
    """Times of the orders, whole milliseconds, in order within their minute."""
    step = np.minimum(orders.place.astype(np.int64), STEPS - 1)
    begun, done = pace[orders.minute, step], pace[orders.minute, step + 1]
    share = begun + (done - begun) * (orders.place - step)
    milli = np.minimum((share * 60_000.0).astype(np.int64), 59_999)
    ts: I64 = minutes.ts[orders.minute] + milli * MILLISECOND
    return ts


def _sides(orders: Orders, move: F64, law: InsideLaw, rng: np.random.Generator) -> I64:
    """Sides answer to the move that led to their cluster; most orders of it share one."""
    first = np.full(orders.cluster.max() + 1 if len(move) else 0, len(move), np.int64)
    np.minimum.at(first, orders.cluster, np.arange(len(move)))
    chance = 1.0 / (1.0 + np.exp(-2.0 * law.flow * move))
    own = np.where(rng.random(len(move)) < chance, 1, -1)
    with_cluster = np.where(rng.random(len(move)) < CLUSTER_SIDE, 1, -1)
    begins = first[orders.cluster] == np.arange(len(move))
    return np.where(begins, own, own[first[orders.cluster]] * with_cluster)


def _trades(
    minutes: Minutes,
    orders: Orders,
    ts: I64,
    ticks: I64,
    side: I64,
    sizes: Sizes,
    law: InsideLaw,
    rng: np.random.Generator,
    first_id: int,
) -> Trades:
    """Orders as sweeps of trades within each minute's range, and the minute's volume over them."""
    number = heavy_counts(sizes.sweep[orders.minute], rng)
    number[orders.kind == CLOSE] = 1
    number += _missing(minutes, orders, number, rng)
    order = np.repeat(np.arange(len(ts)), number)
    kind = _makers(order, orders.kind, side)
    kept = _affordable(kind, orders.minute[order], minutes, rng)
    order, kind = order[kept], kind[kept]
    minute = orders.minute[order]
    begins = np.flatnonzero(_begins(order)).astype(np.int64)
    offset = sweep_offsets(begins, rng.random(len(order)) < LEVEL_CHANCE)
    price = _prices(minutes, minute, kind, ticks[order] + side[order] * offset, begins)
    weight = _weights(orders.cluster[order], law.amount_dispersion, rng)
    amount = amounts_inside(minute, weight, minutes.volume, minutes.lot_size)
    ids = first_id + np.arange(len(order), dtype=np.int64)
    return Trades(ts[order], price, amount, side[order].astype(np.int8), ids)


def _begins(order: I64) -> Bool:
    """Which trades are the first ones of their orders."""
    begins = np.ones(len(order), np.bool_)
    begins[1:] = order[1:] != order[:-1]
    return begins


def _makers(order: I64, kinds: I64, side: I64) -> I64:
    """Kind of each trade: the first of its order makes the bar, or the last, where the order sweeps
    towards the extreme that it makes. Orders of one trade would tell what they make."""
    kind, begins = kinds[order], _begins(order)
    ends = np.roll(begins, -1)
    towards = ((kind == HIGH) & (side[order] > 0)) | ((kind == LOW) & (side[order] < 0))
    return np.where(np.where(towards, ends, begins), kind, DRAWN)


def _weights(cluster: I64, dispersion: float, rng: np.random.Generator) -> F64:
    """Log-normal sizes [trades], of which trades of a cluster share a part."""
    shared = rng.standard_normal(int(cluster.max()) + 1 if len(cluster) else 0)
    own = rng.standard_normal(len(cluster))
    mixed = np.sqrt(CLUSTER_AMOUNT) * shared[cluster] + np.sqrt(1.0 - CLUSTER_AMOUNT) * own
    return np.asarray(np.exp(dispersion * mixed))


def _missing(minutes: Minutes, orders: Orders, number: I64, rng: np.random.Generator) -> I64:
    """Trades [orders] to add where a minute's bar counts more than were drawn.

    They go to any order but the last one, whose price is the close.
    """
    drawn = np.bincount(orders.minute, number, minlength=len(minutes.ts))
    lacking = np.nan_to_num(np.minimum(minutes.count, minutes.lots)) - drawn
    minute = np.repeat(np.arange(len(lacking)), np.maximum(lacking, 0).astype(np.int64))
    begun = np.searchsorted(orders.minute, np.arange(len(lacking)))
    free = np.bincount(orders.minute[orders.kind != CLOSE], minlength=len(lacking))
    chosen = begun[minute] + (rng.random(len(minute)) * free[minute]).astype(np.int64)
    return np.bincount(chosen, minlength=len(number))


def _affordable(kind: I64, minute: I64, minutes: Minutes, rng: np.random.Generator) -> Bool:
    """Which trades to keep so that no minute has more of them than its bar counts, nor than lots;
    those that make the bar stay."""
    most = np.fmin(minutes.lots, minutes.count)
    kept = np.ones(len(kind), np.bool_)
    scarce = np.bincount(minute, minlength=len(most)) > most
    rows = np.flatnonzero(scarce[minute])
    if len(rows) == 0:
        return kept
    inside = minute[rows]
    priority = np.where(kind[rows] == DRAWN, rng.random(len(rows)), -1.0)
    by_priority = np.lexsort((priority, inside))
    rank = np.empty(len(rows), np.int64)
    rank[by_priority] = np.arange(len(rows)) - np.searchsorted(inside, inside)[by_priority]
    kept[rows] = (kind[rows] != DRAWN) | (rank < most[inside])
    return kept


def _prices(minutes: Minutes, minute: I64, kind: I64, ticks: I64, begins: I64) -> F64:
    """Ticks as prices inside each minute's range; bar makers take the bar's own doubles.

    begins: first trades of the orders. An order that goes beyond the range is moved into it as a
    whole, and one that makes an extreme to it: levels cut off would tell where the extreme is.
    """
    number = np.diff(np.r_[begins, len(ticks)])
    top = np.rint(minutes.high / minutes.tick_size)[minute[begins]]
    bottom = np.rint(minutes.low / minutes.tick_size)[minute[begins]]
    makes = np.maximum.reduceat(np.isin(kind, (HIGH, LOW)) * kind, begins)
    above = np.maximum.reduceat(ticks, begins) - top
    below = bottom - np.minimum.reduceat(ticks, begins)
    down = np.where(makes == HIGH, above, np.maximum(above, 0.0))
    up = np.where(makes == LOW, below, np.maximum(below, 0.0))
    shift = np.where(makes == LOW, up, np.where(down != 0.0, -down, up))
    moved = ticks + np.repeat(np.nan_to_num(shift), number).astype(np.int64)
    low, high = minutes.low[minute], minutes.high[minute]
    price = np.clip(on_grid(moved, minutes.tick_size), low, high)
    for code, exact in ((OPEN, minutes.open), (HIGH, minutes.high), (LOW, minutes.low),
                        (CLOSE, minutes.close)):  # fmt: skip
        makers = kind == code
        price[makers] = exact[minute[makers]]
    return price
