"""Second rows: the statistics of every second with trades, from ticks or from 1 s bars."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.market.types import F64, I8, I64, Bars, Seconds, Trades
from apex_trader.time import SECOND

#: Column order of the kernel's result.
_COLUMNS = (
    "open", "high", "low", "close", "volume", "vwap", "count", "count_buy", "count_sell",
    "volume_buy", "volume_sell", "largest", "gap_count", "gap_sum", "gap_sumsq",
)  # fmt: skip


def seconds_from_trades(trades: Trades, previous: int | None = None) -> Seconds:
    """One row for each second with trades.

    previous: time (µs) of the trade before the first one, where it is known; otherwise the first
    trade has no inter-arrival time. A second that holds a trade of unknown side has NaN in
    count_buy, count_sell, volume_buy and volume_sell: a guess at its flow would be no measurement.
    """
    second = trades.ts // SECOND
    bounds = group_bounds(second)
    table = _second_rows(
        trades.ts, trades.price, trades.amount, trades.side, bounds,
        np.int64(-1 if previous is None else previous),
    )  # fmt: skip
    return Seconds(second[bounds[:-1]] * SECOND, **dict(zip(_COLUMNS, table, strict=True)))


def seconds_from_bars(bars: Bars) -> Seconds:
    """Second rows of imported 1 s bars. Zero-volume bars are carried prices, not trades: dropped.

    Columns that a bar cannot provide are NaN: always vwap, count_buy, count_sell, largest and the
    gaps; count, volume_buy and volume_sell where the source lacks them.
    """
    if bars.clock != "1s":
        raise ValueError(f"1 s bars are needed, not {bars.clock}")
    kept = bars.volume > 0
    nothing = np.full(int(kept.sum()), np.nan)
    bought = bars.taker_buy_volume[kept]
    return Seconds(
        ts=bars.ts[kept], open=bars.open[kept], high=bars.high[kept], low=bars.low[kept],
        close=bars.close[kept], volume=bars.volume[kept], vwap=nothing, count=bars.count[kept],
        count_buy=nothing, count_sell=nothing, volume_buy=bought,
        volume_sell=bars.volume[kept] - bought, largest=nothing, gap_count=nothing,
        gap_sum=nothing, gap_sumsq=nothing,
    )  # fmt: skip


def concatenate_seconds(parts: list[Seconds]) -> Seconds:
    """The parts one after another."""
    names = ("ts", *_COLUMNS)
    if not parts:
        nothing = np.empty(0)
        return Seconds(np.empty(0, np.int64), **dict.fromkeys(_COLUMNS, nothing))
    return Seconds(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def merge_seconds(first: Seconds, second: Seconds) -> Seconds:
    """All seconds of both by time; where both have one, that of ``first``."""
    if len(second) == 0:
        return first
    new = ~np.isin(second.ts, first.ts)
    both = concatenate_seconds([first, _take(second, new)])
    return _take(both, np.argsort(both.ts, kind="stable"))


def group_bounds(groups: I64) -> I64:
    """Row numbers where each run of equal values starts, and the end; [runs + 1]."""
    if len(groups) == 0:
        return np.zeros(1, np.int64)
    starts = np.flatnonzero(np.diff(groups)) + 1
    return np.concatenate([[0], starts, [len(groups)]]).astype(np.int64)


def _take(rows: Seconds, index: NDArray[np.bool_] | NDArray[np.intp]) -> Seconds:
    return Seconds(**{n: getattr(rows, n)[index] for n in ("ts", *_COLUMNS)})


@njit(cache=True, nogil=True)
def _second_rows(ts: I64, price: F64, amount: F64, side: I8, bounds: I64, previous: int) -> F64:
    """[15, seconds] statistics of the trades in rows bounds[k]:bounds[k+1], in order."""
    rows = len(bounds) - 1
    out = np.zeros((15, rows))
    for k in range(rows):
        start, stop = bounds[k], bounds[k + 1]
        high, low = price[start], price[start]
        volume, value, largest = 0.0, 0.0, 0.0
        buys, sells, bought, sold = 0.0, 0.0, 0.0, 0.0
        unknown = False
        gaps, gap_sum, gap_sumsq = 0.0, 0.0, 0.0
        for i in range(start, stop):
            before = ts[i - 1] if i > 0 else previous
            if before >= 0:
                gap = (ts[i] - before) / 1e6
                gaps += 1.0
                gap_sum += gap
                gap_sumsq += gap * gap
            high, low = max(high, price[i]), min(low, price[i])
            volume += amount[i]
            # Relative to the first price: the sum then keeps the digits that the range needs.
            value += (price[i] - price[start]) * amount[i]
            largest = max(largest, amount[i])
            if side[i] > 0:
                buys += 1.0
                bought += amount[i]
            elif side[i] < 0:
                sells += 1.0
                sold += amount[i]
            else:
                unknown = True
        if unknown:
            buys, sells, bought, sold = np.nan, np.nan, np.nan, np.nan
        out[0, k], out[1, k], out[2, k], out[3, k] = price[start], high, low, price[stop - 1]
        out[4, k] = volume
        vwap = price[start] + value / volume if volume > 0 else price[stop - 1]
        out[5, k] = min(max(vwap, low), high)
        out[6, k], out[7, k], out[8, k] = stop - start, buys, sells
        out[9, k], out[10, k], out[11, k] = bought, sold, largest
        out[12, k], out[13, k], out[14, k] = gaps, gap_sum, gap_sumsq
    return out
