"""Coarser bars from finer ones: causal, and only bars that the source covers whole.

A bar is made when the source spans it from its open to its close. Source bars that are absent
inside that span are true absences (nothing traded, or the exchange stood still), so they leave
the bar complete; but a bar that reaches over an edge of the span would be built from a part of
its trades, so it is not made. A bar whose whole span holds no source bar is absent too.

A zero-volume bar carries the last price: it is no trade, so it contributes nothing to a bar that
has real ones; a bar made of carried prices alone carries them on, with volume 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from apex_trader.errors import ConfigError
from apex_trader.market import intervals
from apex_trader.market.seconds import group_bounds
from apex_trader.market.types import F64, I64, Bars, Seconds
from apex_trader.time import CLOCKS


def bars_from_seconds(seconds: Seconds) -> Bars:
    """1 s bars of the seconds with trades; taker volume and count where they are known."""
    return Bars(
        seconds.ts, seconds.open, seconds.high, seconds.low, seconds.close, seconds.volume,
        seconds.volume_buy, seconds.count, clock="1s",
    )  # fmt: skip


def resample(bars: Bars, clock: str, covered: I64 | None = None) -> Bars:
    """The complete bars of a coarser clock (or the same).

    covered: [k, 2] intervals (µs) that the source speaks for; without it, from the open of its
    first bar to the close of its last. taker_buy_volume and count are NaN where any of the real
    bars lacks them. Volumes are summed in order with compensation, so a bar's bits depend on its
    own rows alone.
    """
    if clock not in CLOCKS or CLOCKS[clock] < bars.step:
        raise ConfigError("clock", clock, f"a clock not finer than the source's {bars.clock}")
    if covered is None:
        covered = (
            intervals.one(int(bars.ts[0]), int(bars.ts[-1]) + bars.step)
            if len(bars)
            else intervals.empty()
        )
    step = CLOCKS[clock]
    group = bars.ts // step
    bounds = group_bounds(group)
    opens = group[bounds[:-1]] * step
    whole = intervals.covers(covered, opens, step)
    table = _merge_rows(
        bars.open, bars.high, bars.low, bars.close, bars.volume, bars.taker_buy_volume,
        bars.count, bounds,
    )[:, whole]  # fmt: skip
    names = ("open", "high", "low", "close", "volume", "taker_buy_volume", "count")
    return Bars(opens[whole], clock=clock, **dict(zip(names, table, strict=True)))


def merge_bars(first: Bars, second: Bars) -> Bars:
    """All bars of both by time; where both have one, that of ``first``."""
    if len(second) == 0:
        return first
    if len(first) == 0:
        return second
    new = ~np.isin(second.ts, first.ts, assume_unique=True)
    if not new.any():
        return first
    ts = np.concatenate([first.ts, second.ts[new]])
    order = np.argsort(ts, kind="stable")
    names = ("open", "high", "low", "close", "volume", "taker_buy_volume", "count")
    values = {n: np.concatenate([getattr(first, n), getattr(second, n)[new]])[order] for n in names}
    return Bars(ts[order], clock=first.clock, **values)


@njit(cache=True, nogil=True)
def _merge_rows(
    open_: F64, high: F64, low: F64, close: F64, volume: F64, taker: F64, count: F64, bounds: I64
) -> F64:
    """[7, groups] bars of the rows bounds[k]:bounds[k+1]."""
    rows = len(bounds) - 1
    out = np.empty((7, rows))
    for k in range(rows):
        start, stop = bounds[k], bounds[k + 1]
        real = 0
        for i in range(start, stop):
            if volume[i] > 0:
                real += 1
        first = True
        total, lost, bought, bought_lost, trades = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(start, stop):
            if real > 0 and not volume[i] > 0:
                continue
            if first:
                first = False
                out[0, k], out[1, k], out[2, k] = open_[i], high[i], low[i]
            out[1, k], out[2, k] = max(out[1, k], high[i]), min(out[2, k], low[i])
            out[3, k] = close[i]
            total, lost = _add(total, lost, volume[i])
            bought, bought_lost = _add(bought, bought_lost, taker[i])
            trades += count[i]
        out[4, k], out[5, k], out[6, k] = total + lost, bought + bought_lost, trades
    return out


@njit(cache=True, nogil=True)
def _add(total: float, lost: float, value: float) -> tuple[float, float]:
    """Neumaier's compensated sum: (total, lost digits) after adding ``value``."""
    new = total + value
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)
