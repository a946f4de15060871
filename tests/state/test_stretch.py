import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.market.types import Bars
from apex_trader.state.stretch import carry_bars, dense_grid, sparse_grid, traded_bars
from apex_trader.time import MINUTE, SECOND

GAP = 60 * SECOND
pauses = st.lists(st.sampled_from([1, 2, 5, 30, 59, 60, 61, 62, 63, 500]), min_size=1, max_size=30)


def seconds_after(pauses: list[int]) -> np.ndarray:
    return np.cumsum(np.array(pauses, np.int64)) * SECOND


@given(pauses)
def test_every_second_up_to_the_longest_pause_after_a_trade_has_a_row(pauses):
    ts = seconds_after(pauses)
    end = int(ts[-1]) + 200 * SECOND
    grid = dense_grid(ts, SECOND, GAP, end)
    wanted = [t for t in range(int(ts[0]), end, SECOND) if 0 <= t - ts[ts <= t][-1] <= GAP]
    assert grid.ts.tolist() == wanted
    np.testing.assert_array_equal(grid.carried, ~np.isin(grid.ts, ts))
    np.testing.assert_array_equal(ts[grid.source] <= grid.ts, True)
    np.testing.assert_array_equal(ts[grid.source[~grid.carried]], ts)


@given(pauses)
def test_a_stretch_ends_exactly_where_a_pause_is_longer_than_the_longest(pauses):
    ts = seconds_after(pauses)
    grid = dense_grid(ts, SECOND, GAP, int(ts[-1]) + SECOND)
    breaks = np.flatnonzero(grid.begins)[1:]
    resumed = ts[1:][np.diff(ts) > GAP + SECOND]
    np.testing.assert_array_equal(grid.ts[breaks], resumed)


@given(pauses, st.integers(0, 2000))
def test_rows_at_a_time_are_the_same_whether_trading_resumes_later_or_not(pauses, after):
    ts = seconds_after(pauses)
    end = int(ts[0]) + after * SECOND
    whole = dense_grid(ts, SECOND, GAP, int(ts[-1]) + 500 * SECOND)
    then = dense_grid(ts[ts + SECOND <= end], SECOND, GAP, end)
    closed = whole.ts + SECOND <= end
    for name in ("ts", "source", "carried", "first"):
        np.testing.assert_array_equal(getattr(then, name), getattr(whole, name)[closed])


def test_the_last_closed_row_ends_at_or_before_the_time():
    grid = sparse_grid(np.array([0, 60, 180]) * SECOND, MINUTE)
    times = np.array([0, 59, 60, 61, 120, 239, 240]) * SECOND
    assert grid.last_closed(times).tolist() == [-1, -1, 0, 0, 1, 1, 2]


def test_carried_bars_are_flat_and_without_volume():
    columns = [np.array([10.0, 20.0]) + i for i in range(4)]
    bars = Bars(
        np.array([0, 3]) * MINUTE, columns[0], columns[3], columns[1], columns[2],
        np.array([5.0, 6.0]), np.array([1.0, np.nan]), np.array([np.nan, 2.0]),
    )  # fmt: skip
    carried = carry_bars(bars, dense_grid(bars.ts, MINUTE, 10 * MINUTE, 5 * MINUTE))
    assert carried.ts.tolist() == [0, MINUTE, 2 * MINUTE, 3 * MINUTE, 4 * MINUTE]
    for name in ("open", "high", "low", "close"):
        column = getattr(carried, name)
        assert column[[1, 2]].tolist() == [bars.close[0]] * 2
        assert column[4] == bars.close[1]
        assert column[[0, 3]].tolist() == getattr(bars, name).tolist()
    assert carried.volume.tolist() == [5, 0, 0, 6, 0]
    np.testing.assert_array_equal(carried.taker_buy_volume, [1, 0, 0, np.nan, np.nan])
    np.testing.assert_array_equal(carried.count, [np.nan, np.nan, np.nan, 2, 0])


def test_a_bar_without_volume_is_no_trade():
    prices = np.full(4, 10.0)
    volume = np.array([1.0, 0.0, 0.0, 2.0])
    bars = Bars(np.arange(4) * MINUTE, prices, prices, prices, prices, volume, volume, volume)
    assert traded_bars(bars).ts.tolist() == [0, 3 * MINUTE]


@given(pauses, st.lists(st.integers(0, 3000), max_size=6))
def test_rows_that_follow_others_are_those_of_the_whole(pauses, cuts):
    ts = seconds_after(pauses)
    end = int(ts[-1]) + 300 * SECOND
    whole = dense_grid(ts, SECOND, GAP, end)
    earlier, before, parts = None, 0, []
    for cut in [*sorted(cut * SECOND for cut in cuts if cut * SECOND < end), end]:
        known = int(np.searchsorted(ts, before - SECOND, side="right"))
        first = known if earlier is None else known - 1
        closed = int(np.searchsorted(ts, cut - SECOND, side="right"))
        part = dense_grid(ts[max(0, first) : closed], SECOND, GAP, cut, earlier)
        earlier, before = part.carry(earlier), cut
        parts.append(part)
    for name in ("ts", "opened", "carried", "first", "begins"):
        found = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(found, getattr(whole, name), err_msg=name)
    assert earlier.rows == len(whole)
