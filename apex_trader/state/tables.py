"""The tick, bar and reference tables: formulas in docs/features.md.

Every function takes rows on a ``Grid`` (see ``stretch``) and gives float64 columns of the same
length, in the schema's order: anchored columns hold ln p, all others are scaled but not yet
clipped, NaN is missing. Rows are computed from themselves and earlier rows alone, in one ordered
float64 recursion, so that a table never depends on what follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.types import Bars, Seconds
from apex_trader.state.ew import (
    average_true_range,
    ew_correlation,
    ew_mean,
    ew_std,
    half_life,
    span,
    wilder,
)  # fmt: skip
from apex_trader.state.stretch import Grid

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]

#: Half-life of σ in bars, by clock.
SIGMA_HALF_LIFE = {"1s": 300.0, "1m": 60.0, "1h": 60.0, "1d": 60.0}
#: ε of ln((V + ε) / (V̄ + ε)), as a share of V̄: an empty second gives ln(0.05 / 1.05) = -3.0.
VOLUME_EPSILON = 0.05
#: Divisor of the stretch, by clock: most seconds hardly move, so their mean range is small against
#: their deviation; undivided, 7% to 45% of real seconds and 1.1% of a quiet year's minutes would
#: be clipped.
STRETCH_DIVISOR = {"1s": 2.5, "1m": 1.5, "1h": 1.0, "1d": 1.0}
#: Half-lives of the tick columns, in seconds.
TICK_VOLUME, TICK_FLOW = 300.0, 60.0
#: Rows over which inter-arrival times are pooled.
ARRIVAL_ROWS = 10
#: ε of the arrival dispersion, as a share of the mean inter-arrival time.
ARRIVAL_EPSILON = 0.01


@dataclass(frozen=True)
class Table:
    """Columns of one table; n = rows.

    values [n, width] as above. close [n]: ln of the last price, carried. sigma [n]: EW standard
    deviation of one-bar log returns, at least one tick; NaN before the second return.
    """

    values: F64
    close: F64
    sigma: F64


def log_returns(close: F64, begins: Bool) -> F64:
    """One-row log returns [n] of log prices; NaN where a stretch begins."""
    returns = np.full(len(close), np.nan)
    returns[1:] = np.diff(close)
    returns[begins] = np.nan
    return returns


def volatility(returns: F64, close: F64, clock: str, tick_size: float) -> F64:
    """σ [n] of one-bar log returns, at least the tick size over the price at that row."""
    sigma, _ = ew_std(returns, half_life(SIGMA_HALF_LIFE[clock]))
    return np.maximum(sigma, tick_size * np.exp(-close))


def relative_volume(volume: F64, decay: float, offset: F64 | float | None = None) -> F64:
    """ln((V + ε) / (V̄ + ε)) [n], V̄ the EW mean; 0 where nothing was ever traded.

    offset: ε itself (1 for counts), by default ``VOLUME_EPSILON`` of V̄.
    """
    mean, _ = ew_mean(volume, decay)
    epsilon = VOLUME_EPSILON * mean if offset is None else offset
    above, below = volume + epsilon, mean + epsilon
    ratio = np.divide(above, below, out=np.ones(len(volume)), where=~(below <= 0.0))
    return np.log(ratio)


def bar_table(bars: Bars, grid: Grid, tick_size: float) -> Table:
    """The 8 columns of ``primary_*`` from the bars on their grid (``carry_bars``)."""
    opens, high, low, close = (np.log(p) for p in (bars.open, bars.high, bars.low, bars.close))
    returns = log_returns(close, grid.begins)
    sigma = volatility(returns, close, bars.clock, tick_size)
    average, _ = ew_mean(close, span(20))
    true_range, _ = average_true_range(high, low, close, wilder(14))
    columns = (
        opens,
        high,
        low,
        close,
        returns / sigma,
        relative_volume(bars.volume, half_life(20)),
        taker_imbalance(bars.taker_buy_volume, bars.volume),
        ratio(close - average, STRETCH_DIVISOR[bars.clock] * true_range),
    )
    return Table(np.stack(columns, axis=1), close, sigma)


def taker_imbalance(bought: F64, volume: F64) -> F64:
    """2·V_buy/V - 1 [n] in -1…1: 0 where nothing was traded, NaN where the source cannot know."""
    share = ratio(2.0 * bought, volume) - 1.0
    return np.where(np.isnan(bought), np.nan, np.where(volume > 0.0, share, 0.0))


def ratio(above: F64, below: F64) -> F64:
    """above / below, 0 where below is 0; NaN stays."""
    nothing = np.where(np.isnan(above), np.nan, 0.0)
    return np.divide(above, below, out=nothing, where=below != 0.0)


@dataclass(frozen=True)
class Follower:
    """The reference market on the primary's rows; n = rows of the primary.

    close, sigma [n]: ln price and σ of the reference's row at the same time, NaN where it has
    none. last_close, last_sigma [n]: those of its last row up to then, however old.
    """

    close: F64
    sigma: F64
    last_close: F64
    last_sigma: F64


def follow(grid: Grid, reference: Grid, close: F64, sigma: F64) -> Follower:
    """Puts the reference's log closes and σ (on its own grid) on the rows of the primary's."""
    place = reference.last_closed(grid.ts + grid.step)
    missing = np.full(len(grid), np.nan)
    if len(reference) == 0:
        return Follower(missing, missing, missing, missing)
    known = np.maximum(place, 0)
    last_close = np.where(place >= 0, close[known], np.nan)
    last_sigma = np.where(place >= 0, sigma[known], np.nan)
    same = (place >= 0) & (reference.ts[known] == grid.ts)
    return Follower(
        np.where(same, last_close, np.nan),
        np.where(same, last_sigma, np.nan),
        last_close,
        last_sigma,
    )


def reference_table(follower: Follower, primary: Table, grid: Grid) -> F64:
    """The 2 columns of ``reference_*`` [n, 2]: ln close, and EW correlation of the returns."""
    returns = log_returns(follower.close, grid.begins)
    own = log_returns(primary.close, grid.begins)
    correlation, _ = ew_correlation(returns, own, half_life(60))
    return np.stack((follower.close, correlation), axis=1)


def tick_table(seconds: Seconds, grid: Grid, tick_size: float) -> Table:
    """The 10 columns of ``ticks`` from the seconds with trades and their grid."""
    rows = _GridSeconds(seconds, grid)
    close = np.log(rows.price(seconds.close))
    returns = log_returns(close, grid.begins)
    sigma = volatility(returns, close, "1s", tick_size)
    vwap = rows.price(seconds.vwap)
    volume, count = rows.flow(seconds.volume), rows.flow(seconds.count)
    bought, sold = rows.flow(seconds.volume_buy), rows.flow(seconds.volume_sell)
    imbalance = rows.flow(seconds.count_buy) - rows.flow(seconds.count_sell)
    flow = half_life(TICK_FLOW)
    impact, _ = ew_correlation(returns, bought - sold, flow)
    one_sided, _ = ew_mean(np.abs(bought - sold), flow)
    traded, _ = ew_mean(np.where(np.isnan(bought), np.nan, volume), flow)
    known = ~np.isnan(bought)
    columns = (
        np.log(vwap),
        (close - np.log(vwap)) / sigma,
        rows.spread / sigma,
        relative_volume(volume, half_life(TICK_VOLUME)),
        arrival_dispersion(rows.flow(seconds.gap_count), rows.flow(seconds.gap_sum),
                           rows.flow(seconds.gap_sumsq)),
        ratio(imbalance, count),
        relative_volume(count, half_life(TICK_VOLUME), offset=1.0),
        ratio(rows.flow(seconds.largest), volume),
        np.where(known, impact, np.nan),
        np.where(known, ratio(one_sided, traded), np.nan),
    )  # fmt: skip
    return Table(np.stack(columns, axis=1), close, sigma)


class _GridSeconds:
    """Seconds on a grid: a carried row has the last close as every price, and no flow."""

    def __init__(self, seconds: Seconds, grid: Grid) -> None:
        self._close, self._source, self._carried = seconds.close, grid.source, grid.carried
        spread = np.log(seconds.high) - np.log(seconds.low)
        self.spread: F64 = np.where(grid.carried, 0.0, spread[grid.source])

    def price(self, column: F64) -> F64:
        """The column, the close where carried; unknown where its source row does not know it."""
        source = column[self._source]
        carried = self._carried & ~np.isnan(source)
        return np.where(carried, self._close[self._source], source)

    def flow(self, column: F64) -> F64:
        """The column, 0 where carried; unknown where its source row does not know it."""
        source = column[self._source]
        return np.where(self._carried, 0.0 * source, source)


def arrival_dispersion(count: F64, total: F64, squares: F64) -> F64:
    """ln(deviation/mean + ε) [n] of the inter-arrival times of the last 10 rows.

    count, total (s), squares (s²) [n]: number, sum and sum of squares of the times that ended in
    each row. NaN with fewer than two of them. The sums are taken afresh for each row, in a fixed
    order, so that no rounding error is carried along. 0 where all trades came at once.
    """
    n, s, q = (_last_rows_sum(c, ARRIVAL_ROWS) for c in (count, total, squares))
    enough = n >= 2.0
    n = np.where(enough, n, np.nan)
    mean = s / n
    deviation = np.sqrt(np.maximum(q / n - mean * mean, 0.0))
    scaled = np.divide(deviation, mean, out=np.full(len(n), np.nan), where=mean > 0.0)
    dispersion = np.log(scaled + ARRIVAL_EPSILON)
    return np.where(enough & (mean == 0.0), 0.0, dispersion)


def _last_rows_sum(values: F64, rows: int) -> F64:
    """Sum of each row and the ``rows - 1`` before it."""
    padded = np.concatenate((np.zeros(rows - 1), values))
    total = np.zeros(len(values))
    for age in range(rows - 1, -1, -1):
        total += padded[rows - 1 - age : len(padded) - age]
    return total
