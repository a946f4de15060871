"""Market structure: what a swing is, when it is known, and what a row of the table says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError, DataError
from apex_trader.market.types import Bars
from apex_trader.state.pivots import (
    LEAST_HALF_RANGE,
    SWING_FLOOR,
    SWING_HALF_LIFE,
    TYPICAL_AGE,
    PivotCarry,
    Pivots,
    confirmed_trend,
    pivot_table,
)
from apex_trader.state.schema import CLIP, PIVOT_COLUMNS, Block
from apex_trader.time import MINUTE
from tests.real_market import real_columns

NAMES = [column.name for column in PIVOT_COLUMNS]
ANCHORED = sum(column.anchored for column in PIVOT_COLUMNS)


def make_bars(open_: object, high: object, low: object, close: object) -> Bars:
    columns = [np.asarray(c, np.float64) for c in (open_, high, low, close)]
    n = len(columns[0])
    nothing = np.full(n, np.nan)
    return Bars(np.arange(n, dtype=np.int64) * MINUTE, *columns, np.ones(n), nothing, nothing)


def random_bars(n: int, seed: int, grid: float | None = None) -> Bars:
    """A random walk seen through bars of eight steps, in log prices."""
    steps = np.random.default_rng(seed).normal(size=(n, 8)) * 3e-4
    path = steps.cumsum().reshape(n, 8)
    if grid is not None:
        path = np.round(path / grid) * grid
    open_ = np.concatenate(([0.0], path[:-1, -1]))
    high, low = np.maximum(path.max(1), open_), np.minimum(path.min(1), open_)
    return make_bars(open_, high, low, path[:, -1])


def turned(bars: Bars) -> Bars:
    """The market upside down."""
    return replace(bars, open=-bars.open, high=-bars.low, low=-bars.high, close=-bars.close)


def run(bars: Bars) -> Pivots:
    return pivot_table(bars, 0.0, emit_to=0).pivots


@dataclass(frozen=True)
class Swing:
    level: int
    kind: int
    bar: int
    known: int
    price: float


def by_definition(bars: Bars) -> list[Swing]:
    """The definition read literally, over whole lists."""
    h, low, o, c = bars.high, bars.low, bars.open, bars.close
    counted = [
        i for i in range(len(bars)) if i == 0 or not (h[i] <= h[i - 1] and low[i] >= low[i - 1])
    ]
    found: list[Swing] = []
    for left, centre, right in zip(counted, counted[1:], counted[2:], strict=False):
        here = []
        if h[centre] > h[left] and h[centre] >= h[right]:
            here.append(Swing(1, 1, centre, right, h[centre]))
        if low[centre] < low[left] and low[centre] <= low[right]:
            here.append(Swing(1, -1, centre, right, low[centre]))
        if c[centre] > o[centre]:
            here.reverse()
        found += here
    for level in range(1, 5):
        above: list[tuple[int, Swing]] = []
        order = [s for s in found if s.level == level]
        for kind in (1, -1):
            line = [(n, s) for n, s in enumerate(order) if s.kind == kind]
            for (_, a), (_, b), (n, z) in zip(line, line[1:], line[2:], strict=False):
                if kind * b.price > kind * a.price and kind * b.price >= kind * z.price:
                    above.append((n, Swing(level + 1, kind, b.bar, z.known, b.price)))
        found += [s for _, s in sorted(above, key=lambda item: item[0])]
    return found


def of_level(pivots: Pivots, level: int) -> list[Swing]:
    rows = np.flatnonzero(pivots.level == level)
    return [
        Swing(level, int(pivots.kind[i]), int(pivots.bar[i]), int(pivots.known[i]),
              float(pivots.price[i]))
        for i in rows
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("grid", [None, 4e-4])
def test_every_level_is_what_the_definition_says(seed: int, grid: float | None) -> None:
    bars = random_bars(2000, seed, grid)
    if grid is not None:  # an unresolved path has a rule of its own, tested below
        ties = bars.close == bars.open
        bars = replace(bars, open=np.where(ties, np.fmax(bars.low, bars.open - grid), bars.open))
        bars = replace(bars, close=np.where(bars.close == bars.open, bars.high, bars.close))
    pivots, expected = run(bars), by_definition(bars)
    for level in range(1, 6):
        assert of_level(pivots, level) == [s for s in expected if s.level == level], level


def test_a_peak_is_a_swing_high_from_its_right_neighbours_close() -> None:
    pivots = run(make_bars([1, 2, 2], [2, 4, 3], [1, 2, 1.5], [2, 3, 2]))
    assert of_level(pivots, 1) == [Swing(1, 1, 1, 2, 4.0)]
    assert pivots.ts.tolist() == [MINUTE]
    assert pivots.known_ts.tolist() == [3 * MINUTE]


def test_an_inside_bar_is_no_neighbour() -> None:
    pivots = run(make_bars([1, 2, 3, 2], [2, 4, 3.5, 3], [1, 2, 2.5, 1.5], [2, 3, 3, 2]))
    assert of_level(pivots, 1) == [Swing(1, 1, 1, 3, 4.0)]


def test_of_equal_peaks_the_first_counts() -> None:
    high, low = [2, 4, 4, 3], [1, 2, 1.5, 1]
    pivots = run(make_bars(low, high, low, low))
    assert of_level(pivots, 1) == [Swing(1, 1, 1, 2, 4.0)]


@pytest.mark.parametrize(("close", "kinds"), [(9.0, [-1, 1]), (1.0, [1, -1])])
def test_an_outside_bars_direction_orders_its_two_swings(close: float, kinds: list[int]) -> None:
    # bar 1 is outside bar 0; bar 2 is inside; bar 3 leaves bar 2 but not bar 1
    bars = make_bars([5, 5, 5, 5], [6, 10, 7, 8], [4, 0, 3, 4], [5, close, 5, 6])
    pivots = run(bars)
    assert pivots.kind.tolist() == kinds
    assert pivots.bar.tolist() == [1, 1]
    assert pivots.known.tolist() == [3, 3]
    assert run(turned(bars)).kind.tolist() == [-k for k in kinds]


def test_a_path_without_direction_is_resolved_by_the_close_before() -> None:
    bars = make_bars([5, 5, 5, 5], [6, 10, 7, 8], [4, 0, 3, 4], [4.5, 5, 5, 6])
    assert run(bars).kind.tolist() == [-1, 1]
    assert run(turned(bars)).kind.tolist() == [1, -1]


def test_a_monotone_market_has_no_swings() -> None:
    line = np.arange(50.0)
    assert len(run(make_bars(line, line + 1, line, line + 1))) == 0


@given(seed=st.integers(0, 50), cut=st.integers(1, 599), junk=st.floats(-1, 1))
@settings(max_examples=40, deadline=None)
def test_what_is_known_never_depends_on_later_bars(seed: int, cut: int, junk: float) -> None:
    bars = random_bars(600, seed)
    late = np.arange(600) >= cut
    poison = replace(
        bars, **{name: np.where(late, junk, getattr(bars, name))
                 for name in ("open", "high", "low", "close")}
    )  # fmt: skip
    whole, poisoned, prefix = (
        pivot_table(b, 0.1, emit_to=cut) for b in (bars, poison, bars.slice(0, cut))
    )
    for other in (poisoned, prefix):
        assert whole.table.tobytes() == other.table.tobytes()
        assert whole.row_scale.tobytes() == other.row_scale.tobytes()
        known = whole.pivots.known < cut
        for name in ("level", "kind", "bar", "known", "ts", "known_ts", "price", "swing"):
            before = getattr(whole.pivots, name)[known]
            assert (
                before.tobytes() == getattr(other.pivots, name)[other.pivots.known < cut].tobytes()
            )


def test_a_pivot_is_never_known_before_its_right_neighbour_closed() -> None:
    pivots = run(random_bars(20_000, 3))
    assert (pivots.known > pivots.bar).all()
    assert (pivots.known_ts >= pivots.ts + 2 * MINUTE).all()
    assert (np.diff(pivots.known) >= 0).all()


@given(seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 800), max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_history_in_chunks_gives_the_same_bits(seed: int, cuts: list[int]) -> None:
    bars = random_bars(800, seed, 2e-4)
    whole = pivot_table(bars, 0.3)
    edges = [0, *sorted(cuts), 800]
    carry: PivotCarry | None = None
    parts = []
    for a, b in pairwise(edges):
        parts.append(pivot_table(bars.slice(a, b), 0.3, carry))
        carry = parts[-1].carry
    assert np.concatenate([p.table for p in parts]).tobytes() == whole.table.tobytes()
    assert np.concatenate([p.row_scale for p in parts]).tobytes() == whole.row_scale.tobytes()
    for name in ("level", "kind", "bar", "known", "ts", "known_ts", "price", "swing"):
        joined = np.concatenate([getattr(p.pivots, name) for p in parts])
        assert joined.tobytes() == getattr(whole.pivots, name).tobytes(), name
    assert carry is not None
    for mine, theirs in zip(carry, whole.carry, strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_a_carry_is_never_changed_by_its_use() -> None:
    bars = random_bars(500, 1)
    carry = pivot_table(bars.slice(0, 300), 0.0).carry
    kept = [array.tobytes() for array in carry]
    pivot_table(bars.slice(300, 500), 0.0, carry)
    assert [array.tobytes() for array in carry] == kept


def test_asking_for_some_rows_gives_those_rows() -> None:
    bars = random_bars(3000, 2)
    whole = pivot_table(bars, 0.2)
    part = pivot_table(bars, 0.2, emit_from=1000, emit_to=1010)
    assert part.table.tobytes() == whole.table[1000:1010].tobytes()
    assert part.row_scale.tobytes() == whole.row_scale[1000:1010].tobytes()
    assert len(part.pivots) == len(whole.pivots)


def gathered(bars: Bars, base: float) -> np.ndarray:
    """The block as a state shows it at each bar's close."""
    result = pivot_table(bars, base)
    table = result.table.astype(np.float64)
    anchor = (bars.close - base)[:, None]
    table[:, :ANCHORED] = (table[:, :ANCHORED] - anchor) * result.row_scale
    return table


@pytest.mark.parametrize("grid", [None, 2e-4])
def test_the_mirror_of_every_column_is_the_one_it_declares(grid: float | None) -> None:
    bars = random_bars(6000, 5, grid)
    index, sign = Block("pivots", "1m", 1, PIVOT_COLUMNS).mirror
    here, there = pivot_table(bars, 0.4), pivot_table(turned(bars), -0.4)
    expected = here.table[:, index] * sign
    for column, name in enumerate(NAMES):
        assert np.array_equal(there.table[:, column], expected[:, column], equal_nan=True), name
    assert np.array_equal(here.row_scale, there.row_scale)


def test_the_base_only_moves_what_the_anchor_takes_away() -> None:
    bars = random_bars(3000, 6)
    one, other = gathered(bars, 0.0), gathered(bars, 0.05)
    np.testing.assert_allclose(one, other, rtol=0, atol=2e-3)


def reference_row(bars: Bars, pivots: Pivots, now: int, level: int) -> dict[str, float]:
    """What the column reference says of one level at the close of bar ``now``."""
    seen = [i for i in np.flatnonzero(pivots.level == level) if pivots.known[i] <= now]
    swings = [abs(pivots.swing[i]) for i in seen if np.isfinite(pivots.swing[i])]
    weights = 0.5 ** (np.arange(len(swings))[::-1] / SWING_HALF_LIFE)
    mean_swing = max((weights * swings).sum() / weights.sum(), SWING_FLOOR)
    typical, close = np.log1p(TYPICAL_AGE[level - 1]), bars.close[now]
    row: dict[str, float] = {}
    for slot, i in enumerate(seen[::-1][:8], start=1):
        key = f"l{level}_p{slot}"
        row[f"{key}_price"] = (pivots.price[i] - close) / mean_swing
        row[f"{key}_type"] = pivots.kind[i]
        row[f"{key}_age"] = np.log1p(now - pivots.bar[i]) / typical
        row[f"{key}_delay"] = np.log1p(pivots.known[i] - pivots.bar[i]) / typical
        row[f"{key}_swing"] = np.clip(pivots.swing[i] / mean_swing, -CLIP, CLIP)
    highs = [i for i in seen if pivots.kind[i] > 0]
    lows = [i for i in seen if pivots.kind[i] < 0]
    top, bottom = pivots.price[highs[-1]], pivots.price[lows[-1]]
    high_change = top - pivots.price[highs[-2]]
    low_change = bottom - pivots.price[lows[-2]]
    half = max(abs(top - bottom) / 2, LEAST_HALF_RANGE * mean_swing)
    row[f"l{level}_range_position"] = (close - (top + bottom) / 2) / half
    row[f"l{level}_higher_high"] = float(high_change > 0)
    row[f"l{level}_lower_high"] = float(high_change < 0)
    row[f"l{level}_higher_low"] = float(low_change > 0)
    row[f"l{level}_lower_low"] = float(low_change < 0)
    row[f"l{level}_trend"] = (np.sign(high_change) + np.sign(low_change)) / 2
    row[f"l{level}_trend_strength"] = min(CLIP, abs(high_change + low_change) / 2 / mean_swing)
    row[f"l{level}_break"] = float(close > top) - float(close < bottom)
    row[f"l{level}_since_high"] = np.log1p(now - pivots.bar[highs[-1]]) / typical
    row[f"l{level}_since_low"] = np.log1p(now - pivots.bar[lows[-1]]) / typical
    return row


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_a_row_says_what_the_column_reference_says(level: int) -> None:
    bars = random_bars(8000, 8)
    pivots, table = run(bars), gathered(bars, 0.0)
    for now in (6500, 7377, 7999):
        row = reference_row(bars, pivots, now, level)
        assert len(row) == 50
        for name, value in row.items():
            assert table[now, NAMES.index(name)] == pytest.approx(value, abs=2e-4), (name, now)


def test_a_swing_is_measured_from_the_last_opposite_pivot_before_it() -> None:
    pivots = run(random_bars(4000, 9))
    for level in (1, 3):
        rows = np.flatnonzero(pivots.level == level)
        for place, i in enumerate(rows):
            if place < 8:
                continue
            before = [
                j for j in rows[place - 8 : place]
                if pivots.kind[j] != pivots.kind[i] and pivots.bar[j] <= pivots.bar[i]
            ]  # fmt: skip
            expected = pivots.price[i] - pivots.price[before[-1]] if before else np.nan
            assert pivots.swing[i] == pytest.approx(expected, nan_ok=True)


def test_what_is_not_known_yet_is_missing_and_weighs_nothing() -> None:
    result = pivot_table(random_bars(2, 1), 0.0)
    assert np.isnan(result.table).all()
    assert (result.row_scale == 0).all()
    assert (confirmed_trend(result.table) == 0).all()


def test_the_confirmed_trend_follows_a_rising_and_a_falling_market() -> None:
    walk = random_bars(8000, 10)
    slope = np.where(np.arange(8000) < 4000, 1.5e-4, -1.5e-4).cumsum()
    shifted = {n: getattr(walk, n) + slope for n in ("open", "high", "low", "close")}
    bars = replace(walk, **shifted)
    trend = confirmed_trend(pivot_table(bars, 0.0).table)
    assert trend[1000:4000].mean() > 0.3
    assert trend[5000:].mean() < -0.3
    assert np.abs(trend).max() <= 1.0


def test_each_level_has_about_a_quarter_of_the_one_below() -> None:
    pivots = run(random_bars(400_000, 11))
    counts = np.array([(pivots.level == k).sum() for k in range(1, 6)])
    np.testing.assert_allclose(counts[1:] / counts[:-1], 0.25, atol=0.04)
    delays = [(pivots.known - pivots.bar)[pivots.level == k].mean() for k in range(1, 6)]
    np.testing.assert_allclose(delays, [1.3, 7, 31, 130, 532], rtol=0.15)


@pytest.fixture(scope="module")
def real() -> Bars:
    columns = real_columns("binance_ETHUSDT_1m_2023.parquet")
    prices = [np.log(columns[name]) for name in ("open", "high", "low", "close")]
    return make_bars(*prices).slice(0, 120_000)


def test_on_real_minutes_columns_are_rarely_clipped(real: Bars) -> None:
    rows = gathered(real, 7.4)[40_000:]
    assert np.isfinite(rows).all()
    clipped = (np.abs(rows) >= CLIP).mean(axis=0)
    assert clipped.max() <= 0.01, NAMES[int(clipped.argmax())]


def test_on_real_minutes_what_is_known_never_depends_on_later_bars(real: Bars) -> None:
    cut = 61_234
    late = np.arange(len(real)) >= cut
    poison = replace(
        real, **{name: np.where(late, 7.0, getattr(real, name))
                 for name in ("open", "high", "low", "close")}
    )  # fmt: skip
    rows = {"emit_from": cut - 500, "emit_to": cut}
    whole = pivot_table(real, 7.4, **rows)  # type: ignore[arg-type]
    for other in (poison, real.slice(0, cut)):
        result = pivot_table(other, 7.4, **rows)  # type: ignore[arg-type]
        assert result.table.tobytes() == whole.table.tobytes()
        known = whole.pivots.known < cut
        assert result.pivots.price[result.pivots.known < cut].tobytes() == (
            whole.pivots.price[known].tobytes()
        )


def test_on_real_minutes_every_level_is_what_the_definition_says(real: Bars) -> None:
    bars = real.slice(30_000, 50_000)
    # bars that close at their open are resolved by a rule of their own, tested above
    bars = replace(bars, open=np.where(bars.open == bars.close, bars.low, bars.open))
    bars = replace(bars, close=np.where(bars.open == bars.close, bars.high, bars.close))
    pivots, expected = run(bars), by_definition(bars)
    for level in range(1, 6):
        assert of_level(pivots, level) == [s for s in expected if s.level == level], level


def test_a_dull_market_is_not_scaled_up_beyond_a_tick() -> None:
    bars = random_bars(3000, 12)
    tiny = {name: getattr(bars, name) * 1e-6 for name in ("open", "high", "low", "close")}
    scale = pivot_table(replace(bars, **tiny), 0.0, floor=1e-4).row_scale
    assert scale[-1, 0] == pytest.approx(1e4)
    assert np.abs(scale).max() <= 1e4 / LEAST_HALF_RANGE * 1.0001


def test_bad_prices_and_ranges_are_named() -> None:
    bars = random_bars(10, 1)
    with pytest.raises(DataError, match="row 4"):
        pivot_table(replace(bars, high=np.where(np.arange(10) == 4, -9.0, bars.high)), 0.0)
    with pytest.raises(DataError, match="not finite"):
        pivot_table(replace(bars, low=np.where(np.arange(10) == 4, np.nan, bars.low)), 0.0)
    with pytest.raises(ConfigError):
        pivot_table(bars, 0.0, emit_from=5, emit_to=11)
