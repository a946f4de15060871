"""The tick, bar and reference tables: formulas in docs/features.md.

Every function takes rows on a ``Grid`` (see ``stretch``) and gives float64 columns of the same
length, in the schema's order: anchored columns hold ln p, all others are scaled but not yet
clipped, NaN is missing. Rows are computed from themselves and earlier rows alone, in one ordered
float64 recursion, so that a table never depends on what follows, and rows that come later go on
from the *carry* of those before them with the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
I64 = NDArray[np.int64]

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


class BarCarry(NamedTuple):
    """State of a bar table's recursions: the last ln close, and carries of ``state.ew``."""

    close: float = np.nan
    sigma: F64 | None = None
    average: F64 | None = None
    true_range: F64 | None = None
    volume: F64 | None = None


class TickCarry(NamedTuple):
    """State of the tick table's recursions, as ``BarCarry``.

    arrivals [3, 9]: number, sum and sum of squares of the inter-arrival times of the last rows.
    """

    close: float = np.nan
    sigma: F64 | None = None
    volume: F64 | None = None
    trades: F64 | None = None
    impact: F64 | None = None
    one_sided: F64 | None = None
    traded: F64 | None = None
    arrivals: F64 = np.zeros((3, ARRIVAL_ROWS - 1))


class ReferenceCarry(NamedTuple):
    """State of a reference table: last ln closes of reference and primary, their moments."""

    close: float = np.nan
    own: float = np.nan
    correlation: F64 | None = None


@dataclass(frozen=True)
class Table:
    """Columns of one table; n = rows.

    values [n, width] as above. close [n]: ln of the last price, carried. sigma [n]: EW standard
    deviation of one-bar log returns, at least one tick; NaN before the second return.
    """

    values: F64
    close: F64
    sigma: F64


def log_returns(close: F64, begins: Bool, before: float = np.nan) -> F64:
    """One-row log returns [n] of log prices, the first against ``before``; NaN where a stretch
    begins."""
    returns = np.diff(close, prepend=before)
    returns[begins] = np.nan
    return returns


def newest(column: F64, before: float) -> float:
    """The last value of a column; ``before`` where it has none."""
    return float(column[-1]) if len(column) else before


def volatility(
    returns: F64, close: F64, clock: str, tick_size: float, carry: F64 | None = None
) -> tuple[F64, F64]:
    """σ [n] of one-bar log returns, at least the tick size over the price at that row; carry."""
    sigma, state = ew_std(returns, half_life(SIGMA_HALF_LIFE[clock]), carry)
    return np.maximum(sigma, tick_size * np.exp(-close)), state


def relative_volume(
    volume: F64, decay: float, offset: F64 | float | None = None, carry: F64 | None = None
) -> tuple[F64, F64]:
    """ln((V + ε) / (V̄ + ε)) [n], V̄ the EW mean; 0 where nothing was ever traded. And the carry.

    offset: ε itself (1 for counts), by default ``VOLUME_EPSILON`` of V̄.
    """
    mean, state = ew_mean(volume, decay, carry)
    epsilon = VOLUME_EPSILON * mean if offset is None else offset
    above, below = volume + epsilon, mean + epsilon
    ratio = np.divide(above, below, out=np.ones(len(volume)), where=~(below <= 0.0))
    return np.log(ratio), state


def bar_table(
    bars: Bars, grid: Grid, tick_size: float, carry: BarCarry | None = None
) -> tuple[Table, BarCarry]:
    """The 8 columns of ``primary_*`` from the bars on their grid (``carry_bars``); the carry."""
    past = carry or BarCarry()
    opens, high, low, close = (np.log(p) for p in (bars.open, bars.high, bars.low, bars.close))
    returns = log_returns(close, grid.begins, past.close)
    sigma, sigma_carry = volatility(returns, close, bars.clock, tick_size, past.sigma)
    average, average_carry = ew_mean(close, span(20), past.average)
    true_range, range_carry = average_true_range(high, low, close, wilder(14), past.true_range)
    volume, volume_carry = relative_volume(bars.volume, half_life(20), carry=past.volume)
    columns = (
        opens,
        high,
        low,
        close,
        returns / sigma,
        volume,
        taker_imbalance(bars.taker_buy_volume, bars.volume),
        ratio(close - average, STRETCH_DIVISOR[bars.clock] * true_range),
    )
    last = newest(close, past.close)
    state = BarCarry(last, sigma_carry, average_carry, range_carry, volume_carry)
    return Table(np.stack(columns, axis=1), close, sigma), state


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


class ReferenceRows(NamedTuple):
    """The rows of the market that is followed, on its own grid; n = rows.

    ts [n]: open time, µs. step: µs of a row. close, sigma [n]: its log closes and σ.
    """

    ts: I64
    step: int
    close: F64
    sigma: F64

    @property
    def newest(self) -> ReferenceRows:
        """The last of them alone."""
        return ReferenceRows(self.ts[-1:], self.step, self.close[-1:], self.sigma[-1:])

    def followed_by(self, later: ReferenceRows) -> ReferenceRows:
        """These rows and later ones."""
        return ReferenceRows(
            np.concatenate((self.ts, later.ts)), self.step,
            np.concatenate((self.close, later.close)), np.concatenate((self.sigma, later.sigma)),
        )  # fmt: skip


def follow(grid: Grid, reference: ReferenceRows) -> Follower:
    """Puts the reference's log closes and σ on the rows of the primary's grid."""
    missing = np.full(len(grid), np.nan)
    if len(reference.ts) == 0:
        return Follower(missing, missing, missing, missing)
    closed = grid.ts + grid.step - reference.step
    place = np.searchsorted(reference.ts, closed, side="right") - 1
    known = np.maximum(place, 0)
    last_close = np.where(place >= 0, reference.close[known], np.nan)
    last_sigma = np.where(place >= 0, reference.sigma[known], np.nan)
    same = (place >= 0) & (reference.ts[known] == grid.ts)
    return Follower(
        np.where(same, last_close, np.nan),
        np.where(same, last_sigma, np.nan),
        last_close,
        last_sigma,
    )


def reference_table(
    follower: Follower, primary: Table, grid: Grid, carry: ReferenceCarry | None = None
) -> tuple[F64, ReferenceCarry]:
    """The 2 columns of ``reference_*`` [n, 2], ln close and EW correlation of returns; carry."""
    past = carry or ReferenceCarry()
    returns = log_returns(follower.close, grid.begins, past.close)
    own = log_returns(primary.close, grid.begins, past.own)
    correlation, moments = ew_correlation(returns, own, half_life(60), past.correlation)
    last = newest(follower.close, past.close), newest(primary.close, past.own)
    columns = np.stack((follower.close, correlation), axis=1)
    return columns, ReferenceCarry(*last, moments)


def tick_table(
    seconds: Seconds, grid: Grid, tick_size: float, carry: TickCarry | None = None
) -> tuple[Table, TickCarry]:
    """The 10 columns of ``ticks`` from the seconds with trades and their grid, and the carry."""
    past, rows = carry or TickCarry(), _GridSeconds(seconds, grid)
    close = np.log(rows.price(seconds.close))
    returns = log_returns(close, grid.begins, past.close)
    sigma, sigma_carry = volatility(returns, close, "1s", tick_size, past.sigma)
    vwap = rows.price(seconds.vwap)
    slow = half_life(TICK_VOLUME)
    volume, count = rows.flow(seconds.volume), rows.flow(seconds.count)
    relative, volume_carry = relative_volume(volume, slow, carry=past.volume)
    trades, count_carry = relative_volume(count, slow, offset=1.0, carry=past.trades)
    imbalance = rows.flow(seconds.count_buy) - rows.flow(seconds.count_sell)
    (impact, toxicity), flow = _flow_columns(rows, seconds, returns, volume, past)
    gaps = (seconds.gap_count, seconds.gap_sum, seconds.gap_sumsq)
    arrivals = np.column_stack((past.arrivals, np.stack([rows.flow(c) for c in gaps])))
    columns = (
        np.log(vwap),
        (close - np.log(vwap)) / sigma,
        rows.spread / sigma,
        relative,
        arrival_dispersion(*arrivals)[ARRIVAL_ROWS - 1 :],
        ratio(imbalance, count),
        trades,
        ratio(rows.flow(seconds.largest), volume),
        impact,
        toxicity,
    )
    last = newest(close, past.close)
    arrivals = arrivals[:, len(arrivals[0]) - ARRIVAL_ROWS + 1 :].copy()
    state = TickCarry(last, sigma_carry, volume_carry, count_carry, *flow, arrivals)
    return Table(np.stack(columns, axis=1), close, sigma), state


def _flow_columns(
    rows: _GridSeconds, seconds: Seconds, returns: F64, volume: F64, past: TickCarry
) -> tuple[tuple[F64, F64], tuple[F64, F64, F64]]:
    """Price impact and toxicity [n], NaN where the sides are unknown, and their carries."""
    bought, sold = rows.flow(seconds.volume_buy), rows.flow(seconds.volume_sell)
    decay, known = half_life(TICK_FLOW), ~np.isnan(bought)
    impact, impact_carry = ew_correlation(returns, bought - sold, decay, past.impact)
    one_sided, one_sided_carry = ew_mean(np.abs(bought - sold), decay, past.one_sided)
    traded, traded_carry = ew_mean(np.where(known, volume, np.nan), decay, past.traded)
    columns = np.where(known, impact, np.nan), np.where(known, ratio(one_sided, traded), np.nan)
    return columns, (impact_carry, one_sided_carry, traded_carry)


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
