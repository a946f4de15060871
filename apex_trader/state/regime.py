"""What kind of market this is: twenty columns a minute, each from closed bars alone.

All of it is in log prices, and windows count bars, so they go on across gaps. A window's result
depends on the bars inside it and on nothing before (`rolling_sum`), a recursion's on the history's
first bar on; both give the same bits for any split of a history and any choice of rows.
Formulas, units and sources of the columns: docs/features.md.

No hidden-Markov labels: each refit would repaint the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ConfigError, DataError
from apex_trader.market.growing import GrowingArrays
from apex_trader.market.types import Bars
from apex_trader.state.ew import (
    ew_autocorrelation,
    ew_beta,
    ew_correlation,
    ew_mean,
    ew_std,
    half_life,
    true_range,
    wilder,
)
from apex_trader.state.schema import CLIP, REGIME_COLUMNS
from apex_trader.time import DAY, HOUR, MINUTE, SECOND

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Minute bars before a row that its windows can reach: 30 days and the hour before them. A history
#: continued from a carry needs as many in front of the first row that it asks for.
LOOKBACK_MINUTES = 30 * 1440 + 60
#: ε of the logarithms, as a share of the EW mean of what they compare.
EPSILON = 0.01
#: Half-life, in minutes, of the means that ε refers to.
EPSILON_HALF_LIFE = 1440.0
#: Half-lives in bars: σ of days, autocorrelation, and everything about the reference.
DAY_HALF_LIFE, AUTOCORRELATION_HALF_LIFE, REFERENCE_HALF_LIFE = 60.0, 60.0, 240.0
#: Half-life of the reference's residual on the 1 s clock: in a day nothing older is left.
SECOND_HALF_LIFE = 900.0
#: Seconds from which the 1 s residual counts; before, the 1 m one stands in.
SECOND_WARM_UP = 600
#: Least number of hourly samples for a percentile, and of days for an hour's usual volume.
LEAST_SAMPLES, LEAST_DAYS = 168, 3
#: Default floor of every σ that divides, in log price.
SIGMA_FLOOR = 1e-6

_NAMES = tuple(column.name for column in REGIME_COLUMNS)
_HOUR_BARS, _DAY_BARS, _MONTH_HOURS = 60, 1440, 720
_VARIANCE_BARS, _VARIANCE_LAG = 240, 10
_ADX_BARS = 14
#: A sum of squares below this share of what it was subtracted from is rounding, not variance.
_ROUNDING = 1e-12
#: Minutes that all windows but the weeks' ones reach back: a day and what that needs before it.
_WINDOW_MINUTES = _DAY_BARS + _HOUR_BARS
#: Seconds of the returns whose residual is taken.
_RESIDUAL_LAG = 60
#: Columns of a minute bar, and of what an hour's figures are made of.
_MINUTE_COLUMNS = ("ts", "open", "high", "low", "close", "volume")
_HOUR_SOURCES = ("ts", "change", "volume")


@dataclass(frozen=True)
class SecondCloses:
    """Log closes of both symbols on consecutive seconds; n seconds.

    ts [n] start of the second, µs; primary, reference [n] log price at its end, carried where
    there was no trade, NaN before the first. gap [n]: the second lies in a gap of trading; None
    where there is none.
    """

    ts: I64
    primary: F64
    reference: F64
    gap: NDArray[np.bool_] | None = None


class RegimeCarry(NamedTuple):
    """The recursions' state between two minute bars, as arrays to be stored anywhere.

    bars [1] int64: minute bars seen. last [4]: the last close, high and low of the primary, and
    close of the reference at that minute. The others are carries of ``state.ew``: means of squared
    returns, of volume, of Wilder's directional movements up and down and of DX; autocorrelation;
    moments of (primary, reference) returns; deviation of the reference's residual.
    """

    bars: I64
    last: F64
    squares: F64
    volume: F64
    up: F64
    down: F64
    directional: F64
    autocorrelation: F64
    pair: F64
    residual: F64

    @classmethod
    def start(cls) -> RegimeCarry:
        """Before the first minute of a history."""
        autocorrelation = np.zeros(8)
        autocorrelation[-1] = np.nan
        return cls(
            np.zeros(1, np.int64), np.full(4, np.nan), np.zeros(2), np.zeros(2), np.zeros(2),
            np.zeros(2), np.zeros(2), autocorrelation, np.zeros(7), np.zeros(4),
        )  # fmt: skip


def regime_table(
    minutes: Bars,
    hours: Bars,
    days: Bars,
    reference_minutes: Bars | None = None,
    seconds: SecondCloses | None = None,
    *,
    carry: RegimeCarry | None = None,
    emit_from: int = 0,
    emit_to: int | None = None,
    floor: float = SIGMA_FLOOR,
) -> F32:
    """The 20 regime columns at the closes of minute bars [emit_from, emit_to): [rows, 20].

    All bars hold LOG prices. A row uses the hour and day bars closed by its minute's close.
    reference_minutes, seconds: None where there are none. carry: state before the first of
    ``minutes``, from ``regime_carry``; then the first ``LOOKBACK_MINUTES`` rows have shorter
    windows behind them than the history has. floor: least σ, in log price (one tick).
    Columns are clipped to ±5; NaN where a window is not full yet or the source has nothing.
    Raises ConfigError for bars of another clock or an impossible range, DataError for seconds that
    are not consecutive.
    """
    for bars, clock in ((minutes, "1m"), (hours, "1h"), (days, "1d")):
        if bars.clock != clock:
            raise ConfigError("clock", bars.clock, f"{clock} bars in this place")
    rows = _emitted(len(minutes), emit_from, emit_to)
    history = RegimeHistory(floor, carry)
    history.extend(minutes.slice(0, rows.stop), reference_minutes)
    table = history.rows(rows.start, rows.stop, hours, days)
    if seconds is not None and len(seconds.ts):
        residual = SecondResidual(floor)
        residual.extend(seconds)
        residual.put(table, minutes.ts[rows.start : rows.stop])
    return table


class RegimeHistory:
    """The regime of minutes that grow: what a minute adds costs that minute alone.

    Keeps the series that depend on the whole history; windows reach back from each row that is
    asked for. Any division of the history into calls gives the same bits.
    """

    def __init__(self, floor: float = SIGMA_FLOOR, carry: RegimeCarry | None = None) -> None:
        """floor, carry: see ``regime_table``."""
        self._floor = floor
        self._carry = RegimeCarry.start() if carry is None else carry
        #: Minutes of the history before the first that was given, and forgotten ones of those.
        self._offset, self._forgotten = int(self._carry.bars[0]), 0
        self._series: GrowingArrays | None = None

    def __len__(self) -> int:
        """Minutes taken, forgotten ones too."""
        return self._forgotten + (0 if self._series is None else len(self._series))

    def extend(self, minutes: Bars, reference: Bars | None) -> None:
        """Take minute bars of log prices that follow those before, and the reference's at the
        same times."""
        series, self._carry = _recursions(minutes, reference, self._carry, self._floor)
        series |= {name: getattr(minutes, name) for name in _MINUTE_COLUMNS}
        count = len(minutes)
        if self._series is None:
            self._series = GrowingArrays(**series, **_hours(series, 0, self._offset))
            return
        known = len(self._series)
        first = max(0, known - 2 * _HOUR_BARS)
        tail = {n: np.concatenate((self._series[n][first:], series[n])) for n in _HOUR_SOURCES}
        hours = _hours(tail, len(tail["ts"]) - count, self._offset + self._forgotten + first)
        self._series.append(**series, **hours)

    def forget(self) -> None:
        """Drop what no row can reach that is asked for later: rows from the end on."""
        spare = (0 if self._series is None else len(self._series)) - LOOKBACK_MINUTES
        if self._series is not None and spare > 0:
            self._series.forget(spare)
            self._forgotten += spare

    def rows(self, start: int, stop: int, hours: Bars, days: Bars) -> F32:
        """The columns [stop - start, 20] of minutes [start, stop), their residual that of minutes.

        hours, days: bars of log prices; each row uses those closed by its minute's close.
        """
        table = np.empty((stop - start, len(_NAMES)), np.float32)
        if stop == start or self._series is None:
            return table
        first = max(self._forgotten, start - _WINDOW_MINUTES)
        low, high = first - self._forgotten, stop - self._forgotten
        series = {name: self._series[name][low:high] for name in self._series.names}
        view = _View.of(series, self._offset + first)
        recursive = ("adx", "directional", "autocorrelation", "reference_correlation")
        columns = {
            **_volatility(view, hours),
            **_path(view, hours),
            **_trend(view, days, self._floor),
            **{name: series[name] for name in recursive},
            "reference_residual": series["residual"],
        }
        columns = {name: column[start - first :] for name, column in columns.items()}
        columns |= self._long(start - self._forgotten, high)
        for place, name in enumerate(_NAMES):
            table[:, place] = np.clip(columns[name], -CLIP, CLIP)
        return table

    def _long(self, start: int, stop: int) -> dict[str, F64]:
        """The columns whose windows are weeks of minutes, at rows [start, stop) of the series."""
        assert self._series is not None
        first = max(0, start - LOOKBACK_MINUTES)
        names = ("ts", "hour_variance", "hour_volume", "volume_mean")
        ts, variance, volume, usual = (self._series[name][first:stop] for name in names)
        at = start - first
        return {
            "rv_1h_percentile": _percentile(ts, variance, at)[at:],
            "volume_of_hour": _volume_of_hour(ts, volume, usual, at)[at:],
        }


def _hours(series: dict[str, F64], first: int, offset: int) -> dict[str, F64]:
    """Realised variance and volume of the hour up to each minute from ``first`` on."""
    change = series["change"]
    variance = rolling_sum(change * change, _HOUR_BARS, offset) / _HOUR_BARS
    volume = rolling_sum(series["volume"], _HOUR_BARS, offset)
    return {"hour_variance": variance[first:], "hour_volume": volume[first:]}


def regime_carry(
    minutes: Bars,
    reference_minutes: Bars | None = None,
    carry: RegimeCarry | None = None,
) -> RegimeCarry:
    """The recursions' state after ``minutes`` (log prices), which follow those of ``carry``."""
    state = RegimeCarry.start() if carry is None else carry
    return _recursions(minutes, reference_minutes, state, SIGMA_FLOOR)[1]


def choppiness_index(table: F32) -> F32:
    """How directionless the market is, 0 (trend) to 1 (chop), for rows [n, 20] of the table.

    Half of it is where the choppiness lies between Dreiss's trend and chop thresholds 38.2 and
    61.8 (of 100); the other half is 1 - min(1, efficiency·√60/2), which is ½ on average for a
    random walk. A missing column counts as ½: neither.
    """
    choppiness = table[:, _NAMES.index("choppiness")]
    efficiency = table[:, _NAMES.index("efficiency")]
    chop = np.clip((choppiness - 0.382) / (0.618 - 0.382), 0.0, 1.0)
    waste = 1.0 - np.minimum(1.0, efficiency * (np.sqrt(_HOUR_BARS) / 2.0))
    parts = np.stack([chop, waste])
    return np.asarray(np.where(np.isnan(parts), 0.5, parts).mean(axis=0), np.float32)


def rolling_sum(values: F64, window: int, offset: int = 0) -> F64:
    """Sum of the last ``window`` values at each place [n]; NaN before the first full window.

    Exact in the sense that matters: the result depends on the values in the window and on
    (offset + place) mod window, and on nothing that came long before, where a running sum that
    subtracts what leaves would drift. offset: number of values before the first of these.
    Two partial sums a place: van Herk (1992) and Gil & Werman (1993), for + instead of max.
    """
    out = np.empty(len(values))
    _rolling(np.ascontiguousarray(values), window, offset, 0, out)
    return out


def rolling_max(values: F64, window: int, offset: int = 0) -> F64:
    """Largest of the last ``window`` values; otherwise as ``rolling_sum``."""
    out = np.empty(len(values))
    _rolling(np.ascontiguousarray(values), window, offset, 1, out)
    return out


def rolling_min(values: F64, window: int, offset: int = 0) -> F64:
    """Smallest of the last ``window`` values; otherwise as ``rolling_sum``."""
    return -rolling_max(-values, window, offset)


@dataclass(frozen=True)
class _View:
    """The minutes that the emitted rows can reach.

    ts: open time; open, high, low, close: log prices; change: one-bar log returns; squares: their
    squares; epsilon: ε of a variance per minute; previous: close before each bar; offset: minutes
    of the history before these.
    """

    ts: I64
    open: F64
    high: F64
    low: F64
    close: F64
    change: F64
    squares: F64
    epsilon: F64
    previous: F64
    offset: int

    @classmethod
    def of(cls, series: dict[str, NDArray[Any]], offset: int) -> _View:
        change = series["change"]
        return cls(
            series["ts"], series["open"], series["high"], series["low"], series["close"], change,
            change * change, EPSILON * series["squares"], series["previous"], offset,
        )  # fmt: skip

    def sum(self, values: F64, window: int) -> F64:
        return rolling_sum(values, window, self.offset)

    def variance(self, window: int) -> F64:
        """Realised variance per minute over the last ``window`` minutes."""
        return self.sum(self.squares, window) / window

    def at_close(self, coarse: Bars, values: F64) -> F64:
        """Each minute's newest value of a coarser clock's bars that are closed by its close."""
        last = np.searchsorted(coarse.ts + coarse.step, self.ts + MINUTE, side="right") - 1
        padded = np.append(values, np.nan)
        return np.asarray(padded[last], np.float64)


def _emitted(bars: int, start: int, stop: int | None) -> range:
    end = bars if stop is None else stop
    if not 0 <= start <= end <= bars:
        raise ConfigError("emit_from, emit_to", (start, stop), f"a range within the {bars} bars")
    return range(start, end)


def _recursions(
    minutes: Bars, reference: Bars | None, state: RegimeCarry, floor: float
) -> tuple[dict[str, F64], RegimeCarry]:
    """Every series that depends on the whole history, and the state after the last bar."""
    if len(minutes) == 0:
        names = ("change", "previous", "squares", "volume_mean", "adx", "directional",
                 "autocorrelation", "reference_correlation", "residual")  # fmt: skip
        return {name: np.empty(0) for name in names}, state
    previous = np.concatenate((state.last[:1], minutes.close[:-1]))
    change = minutes.close - previous
    slow = half_life(EPSILON_HALF_LIFE)
    squares, squares_carry = ew_mean(change * change, slow, state.squares)
    volume, volume_carry = ew_mean(minutes.volume, slow, state.volume)
    directions, carries = _directional(minutes, state)
    autocorrelation, lagged = ew_autocorrelation(
        change, half_life(AUTOCORRELATION_HALF_LIFE), state.autocorrelation
    )
    linked, pair, residual, last = _linked(minutes.ts, change, reference, state, floor)
    series = {
        "change": change, "previous": previous, "squares": squares, "volume_mean": volume,
        "autocorrelation": autocorrelation, **directions, **linked,
    }  # fmt: skip
    newest = np.array([minutes.close[-1], minutes.high[-1], minutes.low[-1], last])
    return series, RegimeCarry(
        state.bars + len(minutes), newest, squares_carry, volume_carry, *carries, lagged, pair,
        residual,
    )  # fmt: skip


def _directional(minutes: Bars, state: RegimeCarry) -> tuple[dict[str, F64], tuple[F64, F64, F64]]:
    """Wilder's ADX over 50 less 1, and the signed balance of directional movement.

    Both directional indices share the true range as denominator, so it cancels.
    """
    rise = np.diff(minutes.high, prepend=state.last[1:2])
    fall = -np.diff(minutes.low, prepend=state.last[2:3])
    smoothing = wilder(_ADX_BARS)
    known = np.isfinite(rise)
    up_move = np.where(known, np.where((rise > fall) & (rise > 0), rise, 0.0), np.nan)
    down_move = np.where(known, np.where((fall > rise) & (fall > 0), fall, 0.0), np.nan)
    up, up_carry = ew_mean(up_move, smoothing, state.up)
    down, down_carry = ew_mean(down_move, smoothing, state.down)
    balance = _ratio(up - down, up + down)
    strength, carry = ew_mean(np.abs(balance), smoothing, state.directional)
    return {"directional": balance, "adx": 2.0 * strength - 1.0}, (up_carry, down_carry, carry)


def _linked(
    ts: I64, change: F64, reference: Bars | None, state: RegimeCarry, floor: float
) -> tuple[dict[str, F64], F64, F64, float]:
    """Correlation with the reference, and its return beyond β times the primary's.

    β is the one known a bar earlier, so the residual is a true surprise. A minute that either
    symbol lacks is a missing observation.
    """
    if reference is None:
        nothing = np.full(len(ts), np.nan)
        linked = {"reference_correlation": nothing, "residual": nothing}
        return linked, state.pair, state.residual, np.nan
    closes = _closes_at(reference, ts)
    moves = np.diff(closes, prepend=state.last[3:4])
    decay = half_life(REFERENCE_HALF_LIFE)
    correlation, pair = ew_correlation(change, moves, decay, state.pair)
    beta, _ = ew_beta(change, moves, decay, state.pair)
    before, _ = ew_beta(np.full(1, np.nan), np.full(1, np.nan), decay, state.pair)
    surprise = moves - np.concatenate((before, beta[:-1])) * change
    deviation, residual = ew_std(surprise, decay, state.residual)
    linked = {"reference_correlation": correlation,
              "residual": surprise / np.fmax(deviation, floor)}  # fmt: skip
    linked["residual"][np.isnan(deviation)] = np.nan
    return linked, pair, residual, float(closes[-1])


def _closes_at(bars: Bars, ts: I64) -> F64:
    """Closes of the bars that open at ``ts`` [n]; NaN where there is none."""
    if len(bars) == 0:
        return np.full(len(ts), np.nan)
    place = np.minimum(np.searchsorted(bars.ts, ts), len(bars) - 1)
    return np.where(bars.ts[place] == ts, bars.close[place], np.nan)


def _volatility(view: _View, hours: Bars) -> dict[str, F64]:
    """How large moves are, on which horizon, and of which kind."""
    hour, day = view.variance(_HOUR_BARS), view.variance(_DAY_BARS)
    hourly = np.diff(hours.close, prepend=np.nan)
    month = view.at_close(hours, rolling_sum(hourly * hourly, _MONTH_HOURS)) / (_MONTH_HOURS * 60)
    o, h, low, c = view.open, view.high, view.low, view.close
    rogers_satchell = (h - c) * (h - o) + (low - c) * (low - o)
    before = np.concatenate(([np.nan], view.change[:-1]))
    pairs = _HOUR_BARS - 1
    bipower = view.sum(np.abs(view.change) * np.abs(before), pairs) * (np.pi / 2) / pairs
    cubes = view.sum(view.change * view.squares, _HOUR_BARS)
    total = hour * _HOUR_BARS
    return {
        "rv_5m_1h": _log_ratio(view.variance(5), hour, view.epsilon),
        "rv_1h_1d": _log_ratio(hour, day, view.epsilon),
        "rv_1d_30d": _log_ratio(day, month, view.epsilon),
        "rogers_satchell": 0.5
        * _log_ratio(view.sum(rogers_satchell, _HOUR_BARS) / _HOUR_BARS, hour, view.epsilon),
        "jump_share": np.where(hour == 0.0, 0.0, np.maximum(0.0, 1.0 - _ratio(bipower, hour))),
        "skewness": np.sqrt(_HOUR_BARS) * _ratio(cubes, total * np.sqrt(total)),
    }


def _path(view: _View, hours: Bars) -> dict[str, F64]:
    """How straight the way was."""
    moved = _lagged(view.close, _HOUR_BARS)
    efficiency = _ratio(np.abs(moved), view.sum(np.abs(view.change), _HOUR_BARS))
    hourly = np.abs(np.diff(hours.close, prepend=np.nan))
    straight = _ratio(_lagged(hours.close, 24), rolling_sum(hourly, 24))
    top = rolling_max(view.high, _ADX_BARS, view.offset)
    bottom = rolling_min(view.low, _ADX_BARS, view.offset)
    ranges = view.sum(true_range(view.high, view.low, view.previous), _ADX_BARS)
    travelled = np.where(top > bottom, _ratio(ranges, top - bottom), 1.0)
    travelled[np.isnan(top)] = np.nan
    return {
        "efficiency": np.minimum(1.0, efficiency),
        "signed_efficiency": np.clip(view.at_close(hours, straight), -1.0, 1.0),
        "choppiness": np.log(travelled) / np.log(_ADX_BARS),
        "variance_ratio": _variance_ratio(view),
    }


def _trend(view: _View, days: Bars, floor: float) -> dict[str, F64]:
    """Where the price stands in its line and in its day."""
    slope = np.empty(len(view.close))
    _slope_statistic(view.close, _HOUR_BARS, slope)
    daily, _ = ew_std(np.diff(days.close, prepend=np.nan), half_life(DAY_HALF_LIFE))
    sigma = view.at_close(days, np.maximum(daily, floor))
    top = rolling_max(view.high, _DAY_BARS, view.offset)
    bottom = rolling_min(view.low, _DAY_BARS, view.offset)
    return {
        "slope_t": np.tanh(slope / np.sqrt(_HOUR_BARS)),
        "from_high": (view.close - top) / sigma,
        "from_low": (view.close - bottom) / sigma,
    }


def _volume_of_hour(ts: I64, hour: F64, usual_minute: F64, first: int) -> F64:
    """This hour's volume against the same hour's of the last seven days, from ``first`` on."""
    usual = np.full(len(hour), np.nan)
    _usual_of_hour(ts, hour, first, usual)
    epsilon = EPSILON * _HOUR_BARS * usual_minute
    return _log_ratio(hour, usual, epsilon)


class SecondResidual:
    """The reference's surprise in the last 60 s, from closes of seconds that grow.

    As the minute's residual, of overlapping 60 s returns; β is the one of 60 s ago. It stands in
    for the minute's where the minute's last second lies in trading: in a gap nobody could know
    whether seconds would come at all.
    """

    def __init__(self, floor: float = SIGMA_FLOOR) -> None:
        self._floor, self._start = floor, 0
        self._closes = np.full((2, _RESIDUAL_LAG), np.nan)
        self._beta = np.full(_RESIDUAL_LAG, np.nan)
        self._pair: F64 | None = None
        self._deviation: F64 | None = None
        self._values = GrowingArrays(value=np.empty(0))

    def extend(self, seconds: SecondCloses) -> None:
        """Take seconds that follow those before. DataError when one is missing."""
        if len(seconds.ts) == 0:
            return
        if len(self._values) == 0:
            self._start = int(seconds.ts[0])
        expected = self._start + (len(self._values) + np.arange(len(seconds.ts))) * SECOND
        if (seconds.ts != expected).any():
            row = int(np.argmax(seconds.ts != expected))
            raise DataError(
                "second closes", "a second is missing", "Carry the last price over it.", row=row
            )
        values = self._residuals(np.stack((seconds.primary, seconds.reference)))
        warm_up = max(0, SECOND_WARM_UP - len(self._values))
        values[:warm_up] = np.nan
        if seconds.gap is not None:
            values[seconds.gap] = np.nan
        self._values.append(value=values)

    def put(self, table: F32, ts: I64) -> None:
        """Write it to the regime rows [n, 20] of minutes that open at ``ts`` [n], where known."""
        values = self._values["value"]
        place = (ts + MINUTE - SECOND - self._start) // SECOND
        inside = (place >= 0) & (place < len(values))
        fine = np.full(len(ts), np.nan)
        fine[inside] = values[place[inside]]
        column = _NAMES.index("reference_residual")
        known = ~np.isnan(fine)
        table[known, column] = np.clip(fine[known], -CLIP, CLIP)

    def _residuals(self, closes: F64) -> F64:
        lag, decay = _RESIDUAL_LAG, half_life(SECOND_HALF_LIFE)
        closes = np.concatenate((self._closes, closes), axis=1)
        primary, reference = closes[:, lag:] - closes[:, :-lag]
        beta, self._pair = ew_beta(primary, reference, decay, self._pair)
        betas = np.concatenate((self._beta, beta))
        surprise = reference - betas[:-lag] * primary
        deviation, self._deviation = ew_std(surprise, decay, self._deviation)
        self._closes, self._beta = closes[:, -lag:].copy(), betas[-lag:].copy()
        return np.asarray(surprise / np.maximum(deviation, self._floor), np.float64)


def _variance_ratio(view: _View) -> F64:
    """VR(10) - 1 of 240 one-bar returns, bias-corrected: Lo & MacKinlay (1988), equations 12–14."""
    bars, lag = _VARIANCE_BARS, _VARIANCE_LAG
    pieces = bars - lag + 1
    mean = view.sum(view.change, bars) / bars
    squares = view.sum(view.squares, bars)
    long = _lagged(view.close, lag)
    drift = lag * mean
    spread = view.sum(long * long, pieces) - 2.0 * drift * view.sum(long, pieces)
    spread += pieces * drift * drift
    single = squares - bars * mean * mean
    ratio = (spread / (lag * pieces * (1.0 - lag / bars))) / np.where(
        single > _ROUNDING * squares, single / (bars - 1), np.inf
    )
    return np.where(single > _ROUNDING * squares, ratio - 1.0, np.where(
        np.isnan(single), np.nan, 0.0))  # fmt: skip


def _percentile(ts: I64, hour: F64, first: int) -> F64:
    """Share of the full hours' values within the last 30 days of bars that are below each value,
    from ``first`` on."""
    whole = (ts + MINUTE) % HOUR == 0
    samples = np.flatnonzero(whole & np.isfinite(hour))
    out = np.full(len(hour), np.nan)
    _percentile_kernel(hour, samples, hour[samples], _MONTH_HOURS * 60, LEAST_SAMPLES, first, out)
    return out


def _lagged(values: F64, lag: int) -> F64:
    """values - values ``lag`` places before; NaN where there are none."""
    out = np.full(len(values), np.nan)
    out[lag:] = values[lag:] - values[:-lag]
    return out


def _ratio(numerator: F64, denominator: F64) -> F64:
    """Quotient; 0 where the denominator is 0, NaN where either is missing."""
    zero = denominator == 0.0
    quotient = numerator / np.where(zero, 1.0, denominator)
    return np.where(zero, 0.0, quotient)


def _log_ratio(numerator: F64, denominator: F64, epsilon: F64) -> F64:
    """ln of the quotient, both raised by ε; 0 where nothing ever moved."""
    above, below = numerator + epsilon, denominator + epsilon
    still = (above <= 0.0) | (below <= 0.0)
    return np.asarray(np.log(np.where(still, 1.0, above) / np.where(still, 1.0, below)))


@njit(cache=True, nogil=True)
def _rolling(
    values: F64, window: int, offset: int, take_max: int, out: F64
) -> None:  # pragma: no cover
    """Blocks of ``window`` values: a window is the tail of one and the head of the next."""
    n = len(values)
    tail = np.empty(n)
    for i in range(n - 1, -1, -1):
        last_of_block = (offset + i + 1) % window == 0
        if last_of_block or i == n - 1:
            tail[i] = values[i]
        elif take_max:
            tail[i] = max(values[i], tail[i + 1])
        else:
            tail[i] = values[i] + tail[i + 1]
    head = 0.0
    for i in range(n):
        first_of_block = (offset + i) % window == 0
        if first_of_block or i == 0:
            head = values[i]
        elif take_max:
            head = max(values[i], head)
        else:
            head = head + values[i]
        start = i - window + 1
        if start < 0:
            out[i] = np.nan
        elif (offset + start) % window == 0:
            out[i] = head
        elif take_max:
            out[i] = max(tail[start], head)
        else:
            out[i] = tail[start] + head


@njit(cache=True, nogil=True)
def _slope_statistic(close: F64, window: int, out: F64) -> None:  # pragma: no cover
    """t-statistic of the least-squares slope of the last ``window`` closes; inf for a line."""
    middle = 0.5 * (window - 1)
    spread = window * (window * window - 1.0) / 12.0
    for i in range(len(close)):
        if i < window - 1:
            out[i] = np.nan
            continue
        first = i - window + 1
        sy, syy, sxy = 0.0, 0.0, 0.0
        for j in range(window):
            y = close[first + j] - close[i]
            sy += y
            syy += y * y
            sxy += (j - middle) * y
        explained = sxy * sxy / spread
        total = syy - sy * sy / window
        rest = total - explained
        if total <= _ROUNDING * syy or syy == 0.0:
            out[i] = 0.0
        elif rest <= _ROUNDING * total:
            out[i] = np.inf * np.sign(sxy)
        else:
            out[i] = sxy / np.sqrt(spread * rest / (window - 2))


@njit(cache=True, nogil=True)
def _percentile_kernel(
    values: F64, places: I64, samples: F64, reach: int, least: int, begin: int, out: F64
) -> None:  # pragma: no cover
    """Mid-rank share of the samples among the last ``reach`` rows that lie below each value."""
    first, stop = 0, 0
    for i in range(begin, len(values)):
        while stop < len(places) and places[stop] <= i:
            stop += 1
        while first < stop and places[first] <= i - reach:
            first += 1
        value = values[i]
        if stop - first < least or np.isnan(value):
            continue
        twice = 0
        for j in range(first, stop):
            twice += (samples[j] < value) + (samples[j] <= value)
        out[i] = twice / (2.0 * (stop - first))


@njit(cache=True, nogil=True)
def _usual_of_hour(ts: I64, hour: F64, first: int, out: F64) -> None:  # pragma: no cover
    """Median of the values at the same time of the seven days before, of those that exist."""
    past = np.empty(7)
    places = np.zeros(7, np.int64)
    for i in range(first, len(ts)):
        found = 0
        for day in range(7):
            wanted = ts[i] - (day + 1) * DAY
            while places[day] + 1 < len(ts) and ts[places[day] + 1] <= wanted:
                places[day] += 1
            at = places[day]
            if ts[at] <= wanted and ts[at] > wanted - HOUR and not np.isnan(hour[at]):
                past[found] = hour[at]
                found += 1
        if found >= LEAST_DAYS:
            out[i] = np.median(past[:found])
