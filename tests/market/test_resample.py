"""Coarser bars: only whole ones, carried prices are no trades, and real files agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.market import intervals
from apex_trader.market.resample import merge_bars, resample
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Bars
from apex_trader.time import DAY, HOUR, MINUTE, SECOND, parse_time
from tests.market.samples import MONDAY, random_bars

NAMES = ("ts", "open", "high", "low", "close", "volume", "taker_buy_volume", "count")


def keep(bars: Bars, rows: np.ndarray) -> Bars:
    return Bars(**{n: getattr(bars, n)[rows] for n in NAMES}, clock=bars.clock)


def by_definition(bars: Bars, step: int, low: int, high: int) -> dict[int, tuple[float, ...]]:
    out = {}
    for open_time in range(low // step * step, high, step):
        if open_time < low or open_time + step > high:
            continue
        inside = keep(bars, (bars.ts >= open_time) & (bars.ts < open_time + step))
        if len(inside) == 0:
            continue
        real = keep(inside, inside.volume > 0)
        rows = real if len(real) else inside
        out[open_time] = (
            rows.open[0], rows.high.max(), rows.low.min(), rows.close[-1],
            rows.volume.sum(), rows.taker_buy_volume.sum(), rows.count.sum(),
        )  # fmt: skip
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(2, 400), st.integers(0, 3600), st.floats(0, 0.95),
    st.floats(0, 0.5),
)  # fmt: skip
def test_every_bar_is_its_definition(
    seed: int, count: int, offset: int, zero: float, missing: float
) -> None:
    bars = random_bars(seed, count, "1s", MONDAY + offset * SECOND, zero)
    present = np.random.default_rng(seed).random(count) >= missing
    present[[0, -1]] = True
    bars = keep(bars, present)
    made = resample(bars, "1m")
    expected = by_definition(bars, MINUTE, int(bars.ts[0]), int(bars.ts[-1]) + SECOND)
    assert made.ts.tolist() == list(expected)
    table = np.stack([getattr(made, n) for n in NAMES[1:]], axis=1)
    np.testing.assert_allclose(table, np.array(list(expected.values())).reshape(-1, 7), rtol=1e-12)


def test_a_bar_over_the_edge_of_its_source_is_not_made() -> None:
    bars = random_bars(1, 130, "1m", MONDAY + 30 * MINUTE)  # 00:30 to 02:40
    assert resample(bars, "1h").ts.tolist() == [MONDAY + HOUR]


def test_an_outage_inside_the_source_leaves_the_bar_whole() -> None:
    bars = random_bars(2, 180, "1m")
    out = (bars.ts >= MONDAY + 70 * MINUTE) & (bars.ts < MONDAY + 100 * MINUTE)
    assert resample(keep(bars, ~out), "1h").ts.tolist() == [
        MONDAY,
        MONDAY + HOUR,
        MONDAY + 2 * HOUR,
    ]


def test_an_hour_without_any_row_is_absent() -> None:
    bars = random_bars(2, 180, "1m")
    out = (bars.ts >= MONDAY + HOUR) & (bars.ts < MONDAY + 2 * HOUR)
    assert resample(keep(bars, ~out), "1h").ts.tolist() == [MONDAY, MONDAY + 2 * HOUR]


def test_coverage_decides_what_is_whole() -> None:
    bars = random_bars(3, 180, "1m")
    covered = intervals.one(MONDAY + 1, MONDAY + 3 * HOUR)
    assert resample(bars, "1h", covered).ts.tolist() == [MONDAY + HOUR, MONDAY + 2 * HOUR]


def test_carried_prices_alone_carry_on_with_volume_zero() -> None:
    bars = random_bars(4, 60, "1m", zero=0.0)
    flat = np.full(60, 2000.0)
    bars = Bars(bars.ts, flat, flat, flat, flat, np.zeros(60), np.zeros(60), np.zeros(60))
    made = resample(bars, "1h")
    assert (made.open[0], made.high[0], made.close[0], made.volume[0]) == (2000, 2000, 2000, 0)


def test_a_carried_price_does_not_move_the_open() -> None:
    bars = random_bars(5, 60, "1m", zero=0.0)
    bars.volume[0], bars.open[0] = 0.0, 1.0
    assert resample(bars, "1h").open[0] == bars.open[1]


def test_unknown_taker_volume_of_one_bar_makes_the_sum_unknown() -> None:
    bars = random_bars(6, 120, "1m", zero=0.0)
    bars.taker_buy_volume[5] = np.nan
    made = resample(bars, "1h")
    assert np.isnan(made.taker_buy_volume).tolist() == [True, False]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_a_bar_depends_on_its_own_rows_alone(seed: int, cut: int) -> None:
    bars = random_bars(seed, 300, "1m")
    whole = resample(bars, "1h")
    first = resample(bars.slice(0, cut), "1h")
    for name in NAMES:
        np.testing.assert_array_equal(getattr(first, name), getattr(whole, name)[: len(first)])


def test_finer_bars_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="1s"):
        resample(random_bars(1, 10, "1m"), "1s")


def test_where_both_have_a_bar_the_first_wins() -> None:
    a, b = random_bars(1, 20, "1m"), random_bars(2, 40, "1m", MONDAY - 10 * MINUTE)
    both = merge_bars(a, b)
    assert both.ts.tolist() == b.ts.tolist()
    mine = np.isin(both.ts, a.ts)
    assert both.close[mine].tolist() == a.close.tolist()


def test_real_seconds_give_the_real_minutes(real_store: MarketStore) -> None:
    market, start = "binance:ETHUSDT", parse_time("2024-07-20T08:00")
    made = resample(real_store.read_bars(market, "1s"), "1m")
    file = real_store.read_bars(market, "1m", start, start + HOUR)
    assert len(made) == len(file) == 60
    for name in NAMES[:5]:
        np.testing.assert_array_equal(getattr(made, name), getattr(file, name), err_msg=name)
    np.testing.assert_allclose(made.volume, file.volume, rtol=1e-12)


@pytest.mark.parametrize(("finer", "coarser"), [("1m", "1h"), ("1h", "1d")])
@pytest.mark.parametrize("symbol", ["ETHUSDT", "BTCUSDT"])
def test_real_minutes_give_the_real_hours_and_days(
    real_store: MarketStore, symbol: str, finer: str, coarser: str
) -> None:
    made = resample(real_store.read_bars(f"binance:{symbol}", finer), coarser)
    file = real_store.read_bars(f"binance:{symbol}", coarser, int(made.ts[0]), int(made.ts[-1]) + 1)
    assert len(made) > 1000
    for name in NAMES[:5]:
        np.testing.assert_array_equal(getattr(made, name), getattr(file, name), err_msg=name)
    np.testing.assert_allclose(made.volume, file.volume, rtol=1e-9)
    assert made.ts[-1] + made.step <= parse_time("2025-01-01")
    assert made.step in (HOUR, DAY)
