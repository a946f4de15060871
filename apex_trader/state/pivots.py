"""Market structure: swing highs and lows of five levels, from the bar that confirms them on.

Williams (1999), *Long-Term Secrets to Short-Term Trading*, chapter 1, made causal:

- An inside bar (high <= and low >= those of the bar before) is ignored. Every other bar counts.
- Level 1: a counted bar whose high is above both neighbouring counted bars' highs is a swing high;
  mirrored for lows. Of equal neighbouring extremes the first counts.
- Level k + 1: a level-k high above both neighbouring level-k highs; highs recurse on highs only,
  lows on lows only.
- A pivot is *known* from the close of the bar that confirms it: for level 1 the right neighbour,
  for level k + 1 the bar that confirms the next level-k pivot of the same kind.
- An outside bar can be a swing high and a swing low at once. Its direction decides which extreme
  came first (a bar that closed above its open made its low first), and both are reported in that
  order, mirrored in the mirrored market.

Level 5 takes days of minutes to form, so this is a state machine over the whole history and not a
window function: O(1) a bar, and its state (`PivotCarry`) is a few arrays to be stored anywhere.
Everything is in log prices; gaps between bars change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from apex_trader.errors import ConfigError, DataError
from apex_trader.market.types import Bars
from apex_trader.state.ew import half_life
from apex_trader.state.schema import CLIP, PIVOT_COLUMNS, PIVOT_LEVELS, PIVOT_MEMORY
from apex_trader.time import format_time

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I8 = NDArray[np.int8]

#: Half-life, in swings of the level, of the mean swing R that scales a level's prices.
SWING_HALF_LIFE = 8.0
#: A[k] = ln(1 + typical age of a remembered pivot), in bars: medians of real ETH minutes.
TYPICAL_AGE = np.array([13.0, 55.0, 210.0, 800.0, 3000.0])
#: Half a range is never taken for less than this share of R: a level's last high and low may
#: nearly coincide, and the position between them would mean nothing.
LEAST_HALF_RANGE = 0.6
#: Default floor of R, in log price: no swing is smaller than a tick.
SWING_FLOOR = 1e-6

_WIDTH = len(PIVOT_COLUMNS)
_ANCHORED = sum(column.anchored for column in PIVOT_COLUMNS)
_LEVEL_WIDTH = (_WIDTH - _ANCHORED) // PIVOT_LEVELS
_SLOT_WIDTH = 4
_HIGH, _LOW = 0, 1
_LOG_TABLE = 1 << 16


class PivotCarry(NamedTuple):
    """State of the machine between two bars. Arrays; L = 5 levels, M = 8 remembered pivots.

    counts [4] int64: bars seen, counted bars seen (at most 2 matter), number of the centre bar,
    kind of the last level-1 pivot. centre_ts [1] int64: its open, µs.
    bars [8]: high, low of the last bar; high, low, close of the left counted bar; then of the
    centre one high, low and the direction of its path (+1 low first, -1 high first, 0 unknown).
    recent_* [L, 2, 2]: (highs, lows) × (newest, the one before); recent_count [L, 2].
    memory_* [L, M]: the last confirmed pivots of either kind, newest first; memory_count [L].
    swing_weight, swing_mean [L]: EW mean swing R.
    """

    counts: I64
    centre_ts: I64
    bars: F64
    recent_price: F64
    recent_bar: I64
    recent_ts: I64
    recent_count: I64
    memory_kind: I64
    memory_bar: I64
    memory_known: I64
    memory_price: F64
    memory_swing: F64
    memory_count: I64
    swing_weight: F64
    swing_mean: F64

    @classmethod
    def start(cls) -> PivotCarry:
        """Before the first bar of a history."""
        pair, memory = (PIVOT_LEVELS, 2, 2), (PIVOT_LEVELS, PIVOT_MEMORY)

        def counters(*shape: int) -> I64:
            return np.zeros(shape, np.int64)

        return cls(
            counters(4), counters(1), np.full(8, np.nan),
            np.zeros(pair), counters(*pair), counters(*pair), counters(PIVOT_LEVELS, 2),
            counters(*memory), counters(*memory), counters(*memory),
            np.zeros(memory), np.zeros(memory), counters(PIVOT_LEVELS),
            np.zeros(PIVOT_LEVELS), np.zeros(PIVOT_LEVELS),
        )  # fmt: skip

    def copy(self) -> PivotCarry:
        """An independent copy."""
        return PivotCarry._make(array.copy() for array in self)


@dataclass(frozen=True)
class Pivots:
    """Confirmed pivots in the order in which they become known; m = pivots.

    level [m] 1…5. kind [m] +1 high, -1 low. bar, known [m]: numbers, counted from the history's
    first bar, of the pivot's bar and of the bar whose close confirms it. ts [m] open time of the
    pivot's bar and known_ts [m] close time of the confirming bar, µs. price [m] log price.
    swing [m] signed log distance from the last opposite pivot of that level before it, NaN where
    none was known.
    """

    level: I8
    kind: I8
    bar: I64
    known: I64
    ts: I64
    known_ts: I64
    price: F64
    swing: F64

    def __len__(self) -> int:
        return len(self.level)


@dataclass(frozen=True)
class PivotResult:
    """What ``pivot_table`` gives; n = emitted bars.

    pivots: those confirmed by the bars of this call (of all of them, not the emitted ones alone).
    table [n, 250]: columns of ``schema.PIVOT_COLUMNS`` at each emitted bar's close; the 45 anchored
    ones hold log price - base, the others are final; NaN where missing.
    row_scale [n, 45]: scale of the anchored columns; 0 where they are missing.
    carry: state after the last bar.
    """

    pivots: Pivots
    table: F32
    row_scale: F32
    carry: PivotCarry


def pivot_table(
    bars: Bars,
    base: float,
    carry: PivotCarry | None = None,
    *,
    emit_from: int = 0,
    emit_to: int | None = None,
    floor: float = SWING_FLOOR,
) -> PivotResult:
    """Run the machine over ``bars`` and tabulate the structure at some of their closes.

    bars: LOG prices, following those that ``carry`` has seen. base: log price that anchored
    columns are relative to. Rows are made for bars [emit_from, emit_to) of this call alone (all by
    default), since a row is 1.2 kB. floor: least mean swing, in log price (one tick).
    Any split of a history into calls gives the same bits. Raises DataError for prices that are
    not finite or contradict each other, ConfigError for an impossible range.
    """
    rows = _emitted(len(bars), emit_from, emit_to)
    _check(bars)
    state = PivotCarry.start() if carry is None else carry.copy()
    found = _PivotBuffer.sized(len(bars))
    table = np.full((len(rows), _WIDTH), np.nan, np.float32)
    row_scale = np.zeros((len(rows), _ANCHORED), np.float32)
    count = _run(
        bars.open, bars.high, bars.low, bars.close, bars.ts, state, found, rows.start,
        rows.stop, base, floor, half_life(SWING_HALF_LIFE), np.log1p(TYPICAL_AGE),
        np.log1p(np.arange(_LOG_TABLE)), table, row_scale,
    )  # fmt: skip
    return PivotResult(found.pivots(count, bars.step), table, row_scale, state)


def confirmed_trend(table: F32) -> F32:
    """Mean trend of levels 2 to 4 at each row of a pivot table [n, 250], -1…1; unknown ones are 0.

    Level 1 flips every few bars and level 5 every few days; the reward wants what lies between.
    """
    names = [column.name for column in PIVOT_COLUMNS]
    columns = [names.index(f"l{level}_trend") for level in (2, 3, 4)]
    trends: F32 = np.nan_to_num(table[:, columns])
    return np.asarray(trends.mean(axis=1), np.float32)


class _PivotBuffer(NamedTuple):
    """Room for every pivot that a run can confirm."""

    level: I8
    kind: I8
    bar: I64
    known: I64
    ts: I64
    known_open: I64
    price: F64
    swing: F64

    @classmethod
    def sized(cls, bars: int) -> _PivotBuffer:
        # A bar confirms at most a high and a low of level 1, and no pivot is promoted twice to a
        # level: each level has at most half of the one below, and the carry's waiting ones.
        room = 4 * bars + 4 * PIVOT_LEVELS
        small, large = np.int8, np.int64
        return cls(
            np.empty(room, small), np.empty(room, small), np.empty(room, large),
            np.empty(room, large), np.empty(room, large), np.empty(room, large),
            np.empty(room), np.empty(room),
        )  # fmt: skip

    def pivots(self, count: int, step: int) -> Pivots:
        level, kind, bar, known, ts, known_open, price, swing = self
        return Pivots(
            level[:count].copy(), kind[:count].copy(), bar[:count].copy(), known[:count].copy(),
            ts[:count].copy(), known_open[:count] + step, price[:count].copy(),
            swing[:count].copy(),
        )  # fmt: skip


def _emitted(bars: int, start: int, stop: int | None) -> range:
    end = bars if stop is None else stop
    if not 0 <= start <= end <= bars:
        raise ConfigError("emit_from, emit_to", (start, stop), f"a range within the {bars} bars")
    return range(start, end)


def _check(bars: Bars) -> None:
    good = np.isfinite(bars.high) & (bars.high >= np.maximum(bars.open, bars.close))
    good &= np.isfinite(bars.low) & (bars.low <= np.minimum(bars.open, bars.close))
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"{bars.clock} bars at {format_time(int(bars.ts[row]))}",
            "prices are not finite, or open and close lie outside low…high",
            "Pass log prices of bars that the market store has checked.",
            row=row,
        )


@njit(cache=True, nogil=True)
def _run(
    open_: F64, high: F64, low: F64, close: F64, ts: I64, s: PivotCarry, found: _PivotBuffer,
    emit_from: int, emit_to: int, base: float, floor: float, decay: float, age_scale: F64,
    log_table: F64, table: F32, row_scale: F32,
) -> int:  # fmt: skip  # pragma: no cover
    count = 0
    for i in range(len(ts)):
        count = _advance(open_[i], high[i], low[i], close[i], ts[i], s, found, count, decay)
        if emit_from <= i < emit_to:
            row = i - emit_from
            _write_anchored(s, base, floor, table[row], row_scale[row])
            _write_final(s, close[i], floor, age_scale, log_table, table[row])
    return count


@njit(cache=True, nogil=True)
def _advance(
    open_: float, high: float, low: float, close: float, ts: int, s: PivotCarry,
    found: _PivotBuffer, count: int, decay: float,
) -> int:  # fmt: skip  # pragma: no cover
    """One bar: confirm what it confirms, then let it become the centre bar if it counts."""
    number = s.counts[0]
    s.counts[0] += 1
    b = s.bars
    inside = high <= b[0] and low >= b[1]
    b[0], b[1] = high, low
    if inside:
        return count
    if s.counts[1] >= 2:
        is_high = b[5] > b[2] and b[5] >= high
        is_low = b[6] < b[3] and b[6] <= low
        first = 1
        if is_high and is_low:
            # an unresolved path alternates with the pivot before it
            path = b[7] if b[7] != 0.0 else float(s.counts[3])
            first = -1 if path > 0.0 else 1
        for kind in (first, -first):
            if is_high if kind > 0 else is_low:
                price = b[5] if kind > 0 else b[6]
                count = _confirm(
                    kind, s.counts[2], s.centre_ts[0], price, number, ts, s, found, count, decay
                )
                s.counts[3] = kind
    path = np.sign(close - open_)
    if path == 0.0 and s.counts[1] >= 1:
        path = np.sign(close - b[4])
    b[2], b[3], b[5], b[6], b[7] = b[5], b[6], high, low, path
    b[4] = close
    s.counts[1] = min(2, s.counts[1] + 1)
    s.counts[2], s.centre_ts[0] = number, ts
    return count


@njit(cache=True, nogil=True)
def _confirm(
    kind: int, bar: int, ts: int, price: float, known: int, known_open: int, s: PivotCarry,
    found: _PivotBuffer, count: int, decay: float,
) -> int:  # fmt: skip  # pragma: no cover
    """Report a level-1 pivot and every higher one whose right neighbour it is, upwards."""
    side = _HIGH if kind > 0 else _LOW
    for level in range(PIVOT_LEVELS):
        swing = _remember(level, kind, bar, price, known, s, decay)
        found.level[count], found.kind[count] = level + 1, kind
        found.bar[count], found.known[count] = bar, known
        found.ts[count], found.known_open[count] = ts, known_open
        found.price[count], found.swing[count] = price, swing
        count += 1
        prices, numbers = s.recent_price[level, side], s.recent_bar[level, side]
        times = s.recent_ts[level, side]
        centre, centre_bar, centre_ts = prices[0], numbers[0], times[0]
        promoted = (
            s.recent_count[level, side] >= 2
            and kind * centre > kind * prices[1]
            and kind * centre >= kind * price
        )
        prices[1], numbers[1], times[1] = centre, centre_bar, centre_ts
        prices[0], numbers[0], times[0] = price, bar, ts
        s.recent_count[level, side] = min(2, s.recent_count[level, side] + 1)
        if not promoted:
            break
        bar, ts, price = centre_bar, centre_ts, centre
    return count


@njit(cache=True, nogil=True)
def _remember(
    level: int, kind: int, bar: int, price: float, known: int, s: PivotCarry, decay: float
) -> float:  # pragma: no cover
    """Put a pivot at the head of its level's memory; returns its swing."""
    swing = np.nan
    for j in range(s.memory_count[level]):
        if s.memory_kind[level, j] == -kind and s.memory_bar[level, j] <= bar:
            swing = price - s.memory_price[level, j]
            break
    for j in range(PIVOT_MEMORY - 1, 0, -1):
        s.memory_kind[level, j] = s.memory_kind[level, j - 1]
        s.memory_bar[level, j] = s.memory_bar[level, j - 1]
        s.memory_known[level, j] = s.memory_known[level, j - 1]
        s.memory_price[level, j] = s.memory_price[level, j - 1]
        s.memory_swing[level, j] = s.memory_swing[level, j - 1]
    s.memory_kind[level, 0], s.memory_bar[level, 0] = kind, bar
    s.memory_known[level, 0] = known
    s.memory_price[level, 0], s.memory_swing[level, 0] = price, swing
    s.memory_count[level] = min(PIVOT_MEMORY, s.memory_count[level] + 1)
    if not np.isnan(swing):
        s.swing_weight[level] = decay * s.swing_weight[level] + 1.0
        s.swing_mean[level] += (abs(swing) - s.swing_mean[level]) / s.swing_weight[level]
    return swing


@njit(cache=True, nogil=True)
def _write_anchored(
    s: PivotCarry, base: float, floor: float, row: F32, scale: F32
) -> None:  # pragma: no cover
    """Pivot prices over R, then the middle of each level's last range over minus half of it."""
    for level in range(PIVOT_LEVELS):
        if s.swing_weight[level] == 0.0:
            continue
        mean_swing = max(s.swing_mean[level], floor)
        for j in range(s.memory_count[level]):
            column = level * PIVOT_MEMORY + j
            row[column] = s.memory_price[level, j] - base
            scale[column] = 1.0 / mean_swing
        if s.recent_count[level, _HIGH] > 0 and s.recent_count[level, _LOW] > 0:
            top, bottom = s.recent_price[level, _HIGH, 0], s.recent_price[level, _LOW, 0]
            half = max(0.5 * abs(top - bottom), LEAST_HALF_RANGE * mean_swing)
            column = PIVOT_LEVELS * PIVOT_MEMORY + level
            row[column] = 0.5 * (top + bottom) - base
            scale[column] = -1.0 / half


@njit(cache=True, nogil=True)
def _write_final(
    s: PivotCarry, close: float, floor: float, age_scale: F64, log_table: F64, row: F32
) -> None:  # pragma: no cover
    now = s.counts[0] - 1
    for level in range(PIVOT_LEVELS):
        start = _ANCHORED + level * _LEVEL_WIDTH
        mean_swing = max(s.swing_mean[level], floor)
        per_age = 1.0 / age_scale[level]
        for j in range(s.memory_count[level]):
            at = start + j * _SLOT_WIDTH
            bar = s.memory_bar[level, j]
            row[at] = s.memory_kind[level, j]
            row[at + 1] = _log_count(now - bar, log_table) * per_age
            row[at + 2] = _log_count(s.memory_known[level, j] - bar, log_table) * per_age
            row[at + 3] = _clip(s.memory_swing[level, j] / mean_swing)
        flags = start + PIVOT_MEMORY * _SLOT_WIDTH
        _write_structure(s, level, close, mean_swing, row[flags : flags + 7])
        for side in range(2):
            if s.recent_count[level, side] > 0:
                since = now - s.recent_bar[level, side, 0]
                row[flags + 7 + side] = _log_count(since, log_table) * per_age


@njit(cache=True, nogil=True)
def _write_structure(
    s: PivotCarry, level: int, close: float, mean_swing: float, out: F32
) -> None:  # pragma: no cover
    """Higher high, higher low, lower high, lower low, trend, trend strength, break."""
    highs, lows = s.recent_price[level, _HIGH], s.recent_price[level, _LOW]
    known_highs, known_lows = s.recent_count[level, _HIGH], s.recent_count[level, _LOW]
    if known_highs >= 2:
        out[0] = 1.0 if highs[0] > highs[1] else 0.0
        out[2] = 1.0 if highs[0] < highs[1] else 0.0
    if known_lows >= 2:
        out[1] = 1.0 if lows[0] > lows[1] else 0.0
        out[3] = 1.0 if lows[0] < lows[1] else 0.0
    if known_highs >= 2 and known_lows >= 2:
        out[4] = 0.5 * ((out[0] - out[2]) + (out[1] - out[3]))
    if known_highs >= 2 and known_lows >= 2 and s.swing_weight[level] > 0.0:
        progress = (highs[0] - highs[1]) + (lows[0] - lows[1])
        out[5] = _clip(0.5 * abs(progress) / mean_swing)
    if known_highs >= 1 and known_lows >= 1:
        above = 1.0 if close > highs[0] else 0.0
        below = 1.0 if close < lows[0] else 0.0
        out[6] = above - below


@njit(cache=True, nogil=True)
def _log_count(bars: int, log_table: F64) -> float:  # pragma: no cover
    """ln(1 + bars)."""
    return float(log_table[bars] if bars < len(log_table) else np.log1p(bars))


@njit(cache=True, nogil=True)
def _clip(value: float) -> float:  # pragma: no cover
    if np.isnan(value):
        return value
    return min(CLIP, max(-CLIP, value))
