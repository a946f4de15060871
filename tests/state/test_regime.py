"""Regime columns: their formulas, and how time, chunks and the mirror treat them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError, DataError
from apex_trader.market.types import Bars
from apex_trader.state.regime import (
    LOOKBACK_MINUTES,
    RegimeHistory,
    SecondCloses,
    SecondResidual,
    choppiness_index,
    regime_carry,
    regime_table,
    rolling_max,
    rolling_min,
    rolling_sum,
)
from apex_trader.state.schema import CLIP, REGIME_COLUMNS, Block
from apex_trader.time import CLOCKS, DAY, HOUR, MINUTE, SECOND
from tests.real_market import real_columns

NAMES = [column.name for column in REGIME_COLUMNS]
#: Nine days: every window but the longest is full, the percentile has its least samples.
MINUTES = 9 * 1440


def make_bars(ts: np.ndarray, path: np.ndarray, clock: str, seed: int = 0) -> Bars:
    """Bars over rows of within-bar log prices."""
    volume = np.random.default_rng(seed).lognormal(size=len(ts))
    nothing = np.full(len(ts), np.nan)
    open_ = np.concatenate((path[:1, 0], path[:-1, -1]))
    return Bars(
        ts, open_, np.maximum(path.max(1), open_), np.minimum(path.min(1), open_), path[:, -1],
        volume, nothing, nothing, clock,
    )  # fmt: skip


def walk(bars: int, seed: int, clock: str = "1m", start: int = 0, step: float = 2e-4) -> Bars:
    rng = np.random.default_rng(seed)
    vol = np.exp(0.5 * np.cumsum(rng.normal(size=bars) * 0.02))[:, None]
    path = (rng.normal(size=(bars, 6)) * step * vol).cumsum().reshape(bars, 6)
    ts = start + np.arange(bars, dtype=np.int64) * CLOCKS[clock]
    return make_bars(ts, path, clock, seed)


@dataclass(frozen=True)
class Market:
    """What a table is computed from."""

    minutes: Bars
    hours: Bars
    days: Bars
    reference: Bars
    seconds: SecondCloses | None = None

    def table(self, **options: object) -> np.ndarray:
        return regime_table(
            self.minutes, self.hours, self.days, self.reference, self.seconds, **options
        )  # type: ignore[arg-type]

    def turned(self) -> Market:
        seconds = self.seconds
        if seconds is not None:
            seconds = replace(seconds, primary=-seconds.primary, reference=-seconds.reference)
        return Market(*(turned(b) for b in (self.minutes, self.hours, self.days, self.reference)),
                      seconds)  # fmt: skip


def turned(bars: Bars) -> Bars:
    return replace(bars, open=-bars.open, high=-bars.low, low=-bars.high, close=-bars.close)


def linked_to(minutes: Bars, seed: int, share: float = 0.8) -> Bars:
    """A reference that moves with the primary, and 3% of whose minutes are absent."""
    rng = np.random.default_rng(seed)
    moves = share * np.diff(minutes.close, prepend=0.0) + rng.normal(size=len(minutes)) * 2e-4
    bars = make_bars(minutes.ts, moves.cumsum()[:, None], "1m", seed)
    return bars._rows(rng.random(len(minutes)) > 0.03)  # type: ignore[arg-type]


def market(seed: int = 0, bars: int = MINUTES, with_seconds: bool = False) -> Market:
    minutes = walk(bars, seed, start=100 * DAY)
    reference = linked_to(minutes, seed + 1)
    seconds = None
    if with_seconds:
        rng = np.random.default_rng(seed + 2)
        ts = 102 * DAY + np.arange(4 * 3600, dtype=np.int64) * SECOND
        closes = (rng.normal(size=(len(ts), 2)) * 1e-5).cumsum(0)
        seconds = SecondCloses(ts, closes[:, 0], 0.7 * closes[:, 0] + closes[:, 1])
    return Market(
        minutes,
        walk(24 * 110, seed + 3, "1h", step=2e-3),
        walk(110, seed + 4, "1d", step=1e-2),
        reference,
        seconds,
    )


@pytest.fixture(scope="module")
def case() -> tuple[Market, np.ndarray]:
    here = market(1)
    return here, here.table()


def last(values: np.ndarray, row: int, window: int) -> np.ndarray:
    return values[row - window + 1 : row + 1]


def ew(values: np.ndarray, half_life: float) -> np.ndarray:
    """Weights of the observations of an array, oldest first, normalised."""
    weights = 0.5 ** (np.arange(len(values))[::-1] / half_life)
    return weights / weights.sum()


def ew_std_of(values: np.ndarray, half_life: float) -> float:
    w = ew(values, half_life)
    mean = (w * values).sum()
    return float(np.sqrt((w * (values - mean) ** 2).sum() / (1 - (w * w).sum())))


def expected(case_: Market, row: int) -> dict[str, float]:
    """The column reference, read literally, at the close of one minute."""
    m, close_time = case_.minutes, case_.minutes.ts[row] + MINUTE
    c = m.close
    r = np.diff(c, prepend=np.nan)
    rv = {n: (last(r, row, n) ** 2).sum() / n for n in (5, 60, 1440)}
    known = r[1 : row + 1]
    epsilon = 0.01 * (ew(known, 1440) * known**2).sum()
    hours = case_.hours.between(0, close_time - HOUR + 1)
    days = case_.days.between(0, close_time - DAY + 1)
    hourly = np.diff(hours.close)
    month = (hourly[-720:] ** 2).sum() / 720 / 60
    out = {
        "rv_5m_1h": np.log((rv[5] + epsilon) / (rv[60] + epsilon)),
        "rv_1h_1d": np.log((rv[60] + epsilon) / (rv[1440] + epsilon)),
        "rv_1d_30d": np.log((rv[1440] + epsilon) / (month + epsilon)),
    }
    full = [i for i in range(60, row + 1) if (m.ts[i] + MINUTE) % HOUR == 0]
    samples = np.array([(last(r, i, 60) ** 2).sum() for i in full]) / 60
    same = np.isclose(samples, rv[60], rtol=1e-12, atol=0.0)
    out["rv_1h_percentile"] = float(((samples < rv[60]) & ~same).mean() + same.mean() / 2)
    o60, h60, l60, c60 = (last(x, row, 60) for x in (m.open, m.high, m.low, c))
    rs = ((h60 - c60) * (h60 - o60) + (l60 - c60) * (l60 - o60)).mean()
    out["rogers_satchell"] = 0.5 * np.log((rs + epsilon) / (rv[60] + epsilon))
    r60 = last(r, row, 60)
    bipower = np.pi / 2 * np.abs(r60[1:] * r60[:-1]).sum() * 60 / 59
    out["jump_share"] = max(0.0, 1 - bipower / (rv[60] * 60))
    out["efficiency"] = abs(c[row] - c[row - 60]) / np.abs(r60).sum()
    out["signed_efficiency"] = (hours.close[-1] - hours.close[-25]) / np.abs(hourly[-24:]).sum()
    up, down = np.diff(m.high[: row + 1]), -np.diff(m.low[: row + 1])
    plus, minus = (
        np.where((up > down) & (up > 0), up, 0),
        np.where((down > up) & (down > 0), down, 0),
    )
    p, n, strength, weight = 0.0, 0.0, 0.0, 0.0
    for a, b in zip(plus, minus, strict=True):
        weight = weight * 13 / 14 + 1
        p, n = p + (a - p) / weight, n + (b - n) / weight
        balance = (p - n) / (p + n) if p + n > 0 else 0.0
        strength += (abs(balance) - strength) / weight
    out["adx"], out["directional"] = 100 * strength / 50 - 1, balance
    before = c[row - 14 : row]
    tr = np.maximum(last(m.high, row, 14), before) - np.minimum(last(m.low, row, 14), before)
    reach = last(m.high, row, 14).max() - last(m.low, row, 14).min()
    out["choppiness"] = np.log(tr.sum() / reach) / np.log(14)
    r240, q = last(r, row, 240), 10
    mean = r240.mean()
    long = np.array([r240[i : i + q].sum() for i in range(231)])
    many = ((long - q * mean) ** 2).sum() / (q * 231 * (1 - q / 240))
    out["variance_ratio"] = many / (((r240 - mean) ** 2).sum() / 239) - 1
    x, y = known[:-1], known[1:]
    out["autocorrelation"] = _corr(x, y, 60)
    y60 = last(c, row, 60)
    design = np.column_stack([np.ones(60), np.arange(60.0)])
    coefficients, rest, *_ = np.linalg.lstsq(design, y60 - y60[0], rcond=None)
    error = np.sqrt(rest[0] / 58 / ((np.arange(60) - 29.5) ** 2).sum())
    out["slope_t"] = np.tanh(coefficients[1] / error / np.sqrt(60))
    sigma_day = ew_std_of(np.diff(days.close), 60)
    out["from_high"] = (c[row] - last(m.high, row, 1440).max()) / sigma_day
    out["from_low"] = (c[row] - last(m.low, row, 1440).min()) / sigma_day
    out["skewness"] = np.sqrt(60) * (r60**3).sum() / (r60**2).sum() ** 1.5
    usual = np.median([last(m.volume, row - k * 1440, 60).sum() for k in range(1, 8)])
    slack = 0.01 * 60 * (ew(m.volume[: row + 1], 1440) * m.volume[: row + 1]).sum()
    out["volume_of_hour"] = np.log((last(m.volume, row, 60).sum() + slack) / (usual + slack))
    place = {int(t): i for i, t in enumerate(case_.reference.ts)}
    closes = np.array([
        case_.reference.close[place[int(t)]] if int(t) in place else np.nan
        for t in m.ts[: row + 1]
    ])  # fmt: skip
    moves = np.diff(closes)
    both = np.isfinite(moves)
    out["reference_correlation"] = _corr(known[both], moves[both], 240)
    surprises = []
    for i in np.flatnonzero(both)[-2400:]:
        seen = both[:i]
        surprises.append(moves[i] - _beta(known[:i][seen], moves[:i][seen], 240) * known[i])
    deviation = ew_std_of(np.array(surprises), 240)
    out["reference_residual"] = surprises[-1] / deviation if both[-1] else np.nan
    return {name: float(np.clip(value, -CLIP, CLIP)) for name, value in out.items()}


def _moments(x: np.ndarray, y: np.ndarray, half_life: float) -> tuple[float, float, float]:
    w = ew(x, half_life)
    dx, dy = x - (w * x).sum(), y - (w * y).sum()
    return float((w * dx * dx).sum()), float((w * dy * dy).sum()), float((w * dx * dy).sum())


def _corr(x: np.ndarray, y: np.ndarray, half_life: float) -> float:
    sxx, syy, sxy = _moments(x, y, half_life)
    return float(sxy / np.sqrt(sxx * syy))


def _beta(x: np.ndarray, y: np.ndarray, half_life: float) -> float:
    sxx, _, sxy = _moments(x, y, half_life)
    return float(sxy / sxx)


@pytest.mark.parametrize("row", [MINUTES - 1, MINUTES - 787])
def test_every_column_is_what_the_column_reference_says(
    case: tuple[Market, np.ndarray], row: int
) -> None:
    here, table = case
    wanted = expected(here, row)
    assert set(wanted) == set(NAMES)
    assert np.isfinite(list(wanted.values())).sum() >= 19  # its reference may lack the minute
    for name, value in wanted.items():
        assert table[row, NAMES.index(name)] == pytest.approx(
            value, rel=2e-4, abs=1e-5, nan_ok=True
        ), name


def test_the_columns_vary_and_stay_inside_the_guard(case: tuple[Market, np.ndarray]) -> None:
    _, table = case
    rows = table[-1440:]
    assert (np.nanstd(rows, axis=0) > 1e-3).all()
    assert np.nanmax(np.abs(table)) <= CLIP


def test_windows_that_are_not_full_are_missing(case: tuple[Market, np.ndarray]) -> None:
    _, table = case
    first = {name: int(np.argmax(np.isfinite(table[:, i]))) for i, name in enumerate(NAMES)}
    assert first["rv_5m_1h"] == 60
    assert first["rv_1h_1d"] == 1440
    assert first["choppiness"] == 13 or first["choppiness"] == 14
    assert first["from_high"] == 1439
    assert 168 * 60 <= first["rv_1h_percentile"] <= 170 * 60
    assert first["volume_of_hour"] == 3 * 1440 + 59
    assert np.isfinite(table[-1440:, :18]).all()


@pytest.mark.parametrize("with_seconds", [False, True])
def test_the_future_changes_no_column(with_seconds: bool) -> None:
    here = market(2, with_seconds=with_seconds)
    table, cut = here.table(), 2 * 1440 + 120
    now = int(here.minutes.ts[cut])

    def poisoned(bars: Bars) -> Bars:
        """Garbage in whatever closes after ``now``."""
        late = bars.ts + bars.step > now
        rng = np.random.default_rng(0)
        garbage = {n: np.where(late, rng.normal(size=len(bars)), getattr(bars, n))
                   for n in ("open", "high", "low", "close", "volume")}  # fmt: skip
        return replace(bars, **garbage)

    seconds = here.seconds
    if seconds is not None:
        late = seconds.ts >= now
        assert late.any()
        assert not late.all()
        seconds = replace(seconds, primary=np.where(late, 9.0, seconds.primary))
    other = Market(*map(poisoned, (here.minutes, here.hours, here.days, here.reference)), seconds)
    assert other.table()[:cut].tobytes() == table[:cut].tobytes()

    def ended(bars: Bars) -> Bars:
        return bars.between(0, now - bars.step + 1)

    prefix = Market(*map(ended, (here.minutes, here.hours, here.days, here.reference)), seconds)
    assert len(prefix.minutes) == cut
    assert prefix.table().tobytes() == table[:cut].tobytes()


@pytest.mark.parametrize("with_seconds", [False, True])
def test_the_mirror_of_every_column_is_the_one_it_declares(with_seconds: bool) -> None:
    here = market(3, with_seconds=with_seconds)
    index, sign = Block("regime", "1m", 1, REGIME_COLUMNS).mirror
    mirrored = here.table()[:, index] * sign
    turned_table = here.turned().table()
    for column, name in enumerate(NAMES):
        assert np.array_equal(turned_table[:, column], mirrored[:, column], equal_nan=True), name


@given(start=st.integers(0, MINUTES), rows=st.integers(0, 300))
@settings(max_examples=15, deadline=None)
def test_asking_for_some_rows_gives_those_rows(start: int, rows: int) -> None:
    stop = min(start + rows, MINUTES)
    part = CHUNKED.table(emit_from=start, emit_to=stop)
    assert part.tobytes() == CHUNKED_TABLE[start:stop].tobytes()


CHUNKED = market(4)
CHUNKED_TABLE = CHUNKED.table()


@pytest.mark.parametrize("cut", [1, 777, 5000])
def test_a_history_continued_from_a_carry_gives_the_same_bits(cut: int) -> None:
    bars = cut + LOOKBACK_MINUTES + 500
    here = market(5, bars=bars)
    whole = here.table(emit_from=bars - 500)
    carry = regime_carry(here.minutes.slice(0, cut // 2), here.reference)
    kept = [array.tobytes() for array in carry]
    later = regime_carry(here.minutes.slice(cut // 2, cut), here.reference, carry)
    assert [array.tobytes() for array in carry] == kept
    rest = replace(here, minutes=here.minutes.slice(cut, bars))
    part = rest.table(carry=later, emit_from=bars - cut - 500)
    assert part.tobytes() == whole.tobytes()
    for one, other in zip(
        regime_carry(rest.minutes, here.reference, later),
        regime_carry(here.minutes, here.reference),
        strict=True,
    ):
        assert one.tobytes() == other.tobytes()


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    window=st.integers(1, 12),
    skipped=st.integers(0, 30),
)
@settings(max_examples=100, deadline=None)
def test_a_windows_result_depends_on_the_window_alone(
    values: list[float], window: int, skipped: int
) -> None:
    x = np.array(values)
    total, top, bottom = rolling_sum(x, window), rolling_max(x, window), rolling_min(x, window)
    for i in range(window - 1, len(x)):
        inside = x[i - window + 1 : i + 1]
        assert total[i] == pytest.approx(inside.sum(), rel=1e-9, abs=1e-6)
        assert (top[i], bottom[i]) == (inside.max(), inside.min())
    assert np.isnan(total[: window - 1]).all()
    later = rolling_sum(x[skipped:], window, offset=skipped)
    assert later[window - 1 :].tobytes() == total[skipped + window - 1 :].tobytes()


def test_a_huge_old_value_leaves_no_trace_in_a_sum() -> None:
    x = np.full(500, 1e-8)
    x[0] = 1e12
    assert rolling_sum(x, 60)[100:] == pytest.approx(60e-8, rel=1e-12)


def test_an_hour_counts_from_its_close_and_not_before() -> None:
    here = market(6)
    column = NAMES.index("signed_efficiency")
    table = here.table()
    edge = int(np.flatnonzero((here.minutes.ts + MINUTE) % HOUR == 0)[100])
    assert table[edge - 1, column] == table[edge - 60, column]
    assert table[edge, column] != table[edge - 1, column]


def test_a_market_that_never_moves_is_finite_and_neutral() -> None:
    def still(bars: Bars) -> Bars:
        flat = np.full(len(bars), 3.0)
        return replace(bars, open=flat, high=flat, low=flat, close=flat, volume=0.0 * flat)

    here = market(7)
    quiet = Market(still(here.minutes), still(here.hours), still(here.days), still(here.reference))
    row = dict(zip(NAMES, quiet.table()[-1], strict=True))
    assert row.pop("rv_1h_percentile") == 0.5
    assert row.pop("adx") == -1.0
    assert set(row.values()) == {0.0}


def test_without_a_reference_its_columns_are_missing_and_the_others_stay() -> None:
    here = market(8)
    alone = regime_table(here.minutes, here.hours, here.days)
    assert np.isnan(alone[:, 18:]).all()
    assert alone[:, :18].tobytes() == here.table()[:, :18].tobytes()


def test_a_history_that_grows_has_the_rows_of_one_that_is_there() -> None:
    """Whatever is taken at a time, and though what no later row can reach is forgotten."""
    here, at = market(12), 0
    whole = here.table()
    history, rows = RegimeHistory(), []
    for size in (1, 2, 700, 59, 60, 1, 1440, 5, 10**6):
        stop = min(at + size, len(here.minutes))
        new = here.minutes.slice(at, stop)
        low, high = (int(new.ts[0]), int(new.ts[-1]) + 1) if len(new) else (0, 0)
        history.extend(new, here.reference.between(low, high))
        rows.append(history.rows(at, stop, here.hours, here.days))
        history.forget()
        at = stop
    assert at == len(here.minutes)
    np.testing.assert_array_equal(np.concatenate(rows), whole)


def test_the_residual_of_seconds_that_grow_is_that_of_all_and_in_gaps_that_of_the_minute() -> None:
    here = market(9, with_seconds=True)
    seconds, coarse = here.seconds, market(9).table()
    assert seconds is not None
    gap = np.zeros(len(seconds.ts), np.bool_)
    gap[5000:6000] = True
    seconds = replace(seconds, gap=gap)
    table = replace(here, seconds=seconds).table()
    column = NAMES.index("reference_residual")
    last = (here.minutes.ts + MINUTE - SECOND - seconds.ts[0]) // SECOND
    silent = (last >= 5000) & (last < 6000)
    assert silent.sum() > 10
    np.testing.assert_array_equal(table[silent], coarse[silent])
    grown, parts = SecondResidual(), np.split(np.arange(len(gap)), [1, 30, 61, 700, 5500])
    for part in parts:
        columns = (seconds.ts, seconds.primary, seconds.reference, gap)
        grown.extend(SecondCloses(*(c[part] for c in columns)))
    patched = coarse.copy()
    grown.put(patched, here.minutes.ts)
    np.testing.assert_array_equal(patched[:, column], table[:, column])


def test_the_residual_uses_seconds_where_there_are_seconds() -> None:
    fine, coarse = market(9, with_seconds=True), market(9)
    column = NAMES.index("reference_residual")
    one, other = fine.table()[:, column], coarse.table()[:, column]
    assert fine.seconds is not None
    close = fine.minutes.ts + MINUTE
    inside = (close > fine.seconds.ts[0] + 700 * SECOND) & (close <= fine.seconds.ts[-1] + SECOND)
    outside = (close <= fine.seconds.ts[0]) | (close > fine.seconds.ts[-1] + SECOND)
    assert one[outside].tobytes() == other[outside].tobytes()
    assert (one[inside] != other[inside]).all()
    assert 0.5 < np.std(one[inside]) < 2.0
    # what the primary explains is taken out
    i = int(np.flatnonzero(inside)[150])
    at = int((close[i] - SECOND - fine.seconds.ts[0]) // SECOND)
    moved = {n: getattr(fine.seconds, n) for n in ("primary", "reference")}
    moves = {n: v[60:] - v[:-60] for n, v in moved.items()}
    until = at - 60 - 60 + 1
    beta = _beta(moves["primary"][:until], moves["reference"][:until], 900)
    surprise = moves["reference"][at - 60] - beta * moves["primary"][at - 60]
    assert np.sign(one[i]) == np.sign(surprise)
    assert abs(one[i]) == pytest.approx(abs(surprise) / 7.7e-5, rel=0.5)


def test_windows_go_on_across_a_gap() -> None:
    here = market(10)
    kept = np.ones(MINUTES, bool)
    kept[5000:6000] = False
    gap = replace(here, minutes=here.minutes._rows(kept))  # type: ignore[arg-type]
    table = gap.table()
    assert np.isfinite(table[12_000 - 1000 :, :18]).all()
    assert np.isfinite(table[5000:5100, NAMES.index("rv_1h_1d")]).all()


def test_a_trend_is_less_choppy_than_a_walk_and_a_walk_less_than_noise() -> None:
    rng = np.random.default_rng(11)
    n, ts = 3000, np.arange(3000, dtype=np.int64) * MINUTE
    noise = rng.normal(size=(n, 6)) * 1e-3
    paths = {
        "trend": noise * 0.1 + 1e-3 * np.arange(n)[:, None],
        "walk": noise.cumsum().reshape(n, 6),
        "noise": noise,
    }
    here = market(12)
    index = {}
    for name, path in paths.items():
        table = regime_table(make_bars(ts, path, "1m"), here.hours, here.days)
        index[name] = choppiness_index(table)
        assert index[name].dtype == np.float32
        assert (index[name] >= 0).all()
        assert (index[name] <= 1).all()
    assert index["trend"][100:].mean() < 0.05
    assert 0.3 < index["walk"][100:].mean() < 0.6
    assert index["noise"][100:].mean() > 0.85
    assert choppiness_index(np.full((2, 20), np.nan, np.float32)).tolist() == [0.5, 0.5]


def test_what_cannot_be_used_is_named() -> None:
    here = market(13, bars=100)
    with pytest.raises(ConfigError):
        here.table(emit_from=50, emit_to=101)
    with pytest.raises(ConfigError, match="1h"):
        replace(here, hours=here.days).table()
    holes = SecondCloses(np.array([0, 2 * SECOND]), np.zeros(2), np.zeros(2))
    with pytest.raises(DataError, match="row 1"):
        replace(here, seconds=holes).table()


def test_an_empty_history_gives_no_rows() -> None:
    here = market(14, bars=100)
    empty = replace(here, minutes=here.minutes.slice(0, 0))
    assert empty.table().shape == (0, 20)


def test_on_real_minutes_columns_are_rarely_clipped() -> None:
    def read(symbol: str, kind: str, clock: str) -> Bars:
        columns = real_columns(f"binance_{symbol}_{kind}.parquet")
        prices = [np.log(columns[name]) for name in ("open", "high", "low", "close")]
        nothing = np.full(len(columns["ts"]), np.nan)
        return Bars(columns["ts"] * 1000, *prices, columns["volume"], nothing, nothing, clock)

    here = Market(
        read("ETHUSDT", "1m_2023", "1m").slice(0, 200_000),
        read("ETHUSDT", "1h_2018-2024", "1h"),
        read("ETHUSDT", "1d_2018-2024", "1d"),
        read("BTCUSDT", "1m_2023", "1m"),
    )
    rows = here.table(emit_from=20_000)
    assert np.isfinite(rows).mean() > 0.999
    clipped = (np.abs(rows) >= CLIP).mean(axis=0)
    assert clipped.max() <= 0.01, NAMES[int(clipped.argmax())]
