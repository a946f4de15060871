import math

import numpy as np
import pytest

from apex_trader.market.resample import bars_from_seconds
from apex_trader.market.seconds import seconds_from_bars, seconds_from_trades
from apex_trader.market.types import Bars, Trades
from apex_trader.state.clock_tables import Side, clock_tables
from apex_trader.state.schema import PRIMARY_COLUMNS, REFERENCE_COLUMNS, TICK_COLUMNS
from apex_trader.state.stretch import dense_grid, sparse_grid
from apex_trader.state.tables import (
    ARRIVAL_EPSILON,
    STRETCH_DIVISOR,
    VOLUME_EPSILON,
    ReferenceRows,
    arrival_dispersion,
    bar_table,
    follow,
    log_returns,
    relative_volume,
    taker_imbalance,
    tick_table,
    volatility,
)
from apex_trader.time import HOUR, MINUTE, SECOND
from tests.state.state_markets import START, random_minutes, random_trades

TICK = {column.name: i for i, column in enumerate(TICK_COLUMNS)}
BAR = {column.name: i for i, column in enumerate(PRIMARY_COLUMNS)}
GAP = 60 * SECOND


def trades(*rows: tuple[float, float, float, int]) -> Trades:
    """Trades of (second, price, amount, side)."""
    ts, price, amount, side = (np.array(column) for column in zip(*rows, strict=True))
    micros = START + np.round(ts * SECOND).astype(np.int64)
    return Trades(micros, price, amount, side.astype(np.int8))


def ticks(rows: Trades, end: float):
    seconds = seconds_from_trades(rows)
    grid = dense_grid(seconds.ts, SECOND, GAP, START + int(end * SECOND))
    return tick_table(seconds, grid, 0.01)[0], grid


def weighted_std(values: list[float], half_life: float) -> float:
    """Unbiased EW deviation of the values, the last one newest."""
    x = np.array(values)
    w = 0.5 ** (np.arange(len(x))[::-1] / half_life)
    w /= w.sum()
    return math.sqrt((w * (x - (w * x).sum()) ** 2).sum() / (1 - (w**2).sum()))


def test_tick_columns_follow_their_formulas():
    rows = trades(
        (0.1, 100.0, 1.0, 1), (1.0, 101.0, 2.0, 1), (1.5, 100.0, 1.0, -1), (1.75, 102.0, 1.0, 1),
        (4.25, 99.0, 3.0, -1), (5.2, 100.0, 1.0, 1), (5.3, 98.0, 3.0, 1), (5.4, 99.0, 1.0, 1),
    )  # fmt: skip
    table, grid = ticks(rows, 6)
    assert len(grid) == 6
    assert table.values.shape == (6, len(TICK_COLUMNS))
    sixth = dict(zip(TICK, table.values[5], strict=True))
    vwap = (100 + 98 * 3 + 99) / 5
    assert sixth["close_vwap"] * table.sigma[5] == pytest.approx(math.log(99 / vwap), rel=1e-9)
    assert sixth["range"] * table.sigma[5] == pytest.approx(math.log(100 / 98), rel=1e-9)
    second = dict(zip(TICK, table.values[1], strict=True))
    vwap = (101 * 2 + 100 + 102) / 4
    assert second["price"] == pytest.approx(math.log(vwap))
    assert np.isnan(table.sigma[:2]).all()
    np.testing.assert_allclose(table.sigma[4], weighted_std(
        [math.log(1.02), 0.0, 0.0, math.log(99 / 102)], 300), rtol=1e-12)  # fmt: skip
    last = dict(zip(TICK, table.values[4], strict=True))
    assert last["close_vwap"] == pytest.approx(0.0)
    assert last["range"] == pytest.approx(0.0)
    assert second["count_imbalance"] == pytest.approx(1 / 3)
    assert second["largest"] == pytest.approx(0.5)
    w = 0.5 ** (np.arange(2)[::-1] / 300)
    mean = (w * [1.0, 4.0]).sum() / w.sum()
    ratio = (4 + VOLUME_EPSILON * mean) / (mean + VOLUME_EPSILON * mean)
    assert second["volume"] == pytest.approx(math.log(ratio))
    count_mean = (w * [1.0, 3.0]).sum() / w.sum()
    assert second["count"] == pytest.approx(math.log(4 / (count_mean + 1)))
    flow = 0.5 ** (np.arange(2)[::-1] / 60)
    assert second["toxicity"] == pytest.approx((flow * [1, 2]).sum() / (flow * [1, 4]).sum())


def test_a_second_without_trades_carries_the_price_and_has_no_flow():
    table, grid = ticks(trades((0.5, 100.0, 1.0, 1), (0.7, 101.0, 1.0, 1), (3.5, 99.0, 1.0, -1)), 4)
    carried = table.values[grid.carried]
    assert len(carried) == 2
    np.testing.assert_allclose(carried[:, TICK["price"]], math.log(101.0))
    for name in ("count_imbalance", "largest"):
        assert (carried[:, TICK[name]] == 0).all()
    assert carried[1, TICK["range"]] == carried[1, TICK["close_vwap"]] == 0
    assert (carried[:, TICK["volume"]] < 0).all()


def test_price_impact_is_positive_where_buying_moves_the_price_up():
    rng = np.random.default_rng(1)
    side = rng.choice([-1, 1], 900)
    price = 100 * np.exp(np.cumsum(side) * 1e-4)
    rows = trades(*[(i + 0.5, price[i], 1.0, side[i]) for i in range(900)])
    table, _ = ticks(rows, 900)
    assert (table.values[50:, TICK["impact"]] > 0.99).all()


def test_arrival_dispersion_is_zero_for_random_and_low_for_regular_arrivals():
    rng = np.random.default_rng(2)
    gaps = rng.exponential(0.05, (2000, 20))
    poisson = arrival_dispersion(np.full(2000, 20.0), gaps.sum(1), (gaps**2).sum(1))
    assert abs(np.mean(poisson)) < 0.05
    regular = arrival_dispersion(np.full(20, 4.0), np.full(20, 1.0), np.full(20, 0.25))
    np.testing.assert_allclose(regular, math.log(ARRIVAL_EPSILON), rtol=1e-6)
    few = arrival_dispersion(np.array([1.0]), np.array([0.5]), np.array([0.25]))
    assert np.isnan(few).all()
    at_once = arrival_dispersion(np.array([5.0]), np.array([0.0]), np.array([0.0]))
    assert at_once.tolist() == [0.0]


def test_unknown_sides_are_missing_in_what_needs_them_alone():
    rng = np.random.default_rng(3)
    known = random_trades(rng, START, START + HOUR, 2000.0)
    unknown = Trades(known.ts, known.price, known.amount, np.zeros(len(known), np.int8))
    with_sides, _ = ticks(known, 3600)
    without, _ = ticks(unknown, 3600)
    for column in TICK_COLUMNS:
        here = without.values[:, TICK[column.name]]
        if column.needs == "sides":
            assert np.isnan(here).all()
        else:
            np.testing.assert_array_equal(here, with_sides.values[:, TICK[column.name]])


def test_imported_second_bars_lack_what_only_trades_tell():
    rng = np.random.default_rng(4)
    bars = bars_from_seconds(seconds_from_trades(random_trades(rng, START, START + HOUR, 2000.0)))
    plain = Bars(
        bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume,
        np.full(len(bars), np.nan), np.full(len(bars), np.nan), "1s",
    )  # fmt: skip
    seconds = seconds_from_bars(plain)
    grid = dense_grid(seconds.ts, SECOND, GAP, START + HOUR)
    values = tick_table(seconds, grid, 0.01)[0].values
    for column in TICK_COLUMNS:
        present = np.isfinite(values[:, TICK[column.name]]).any()
        assert present == (column.needs is None), column.name


def test_bar_columns_follow_their_formulas():
    bars = random_minutes(np.random.default_rng(5), START, START + 6 * HOUR, 2000.0)
    grid = sparse_grid(bars.ts, MINUTE)
    table, _ = bar_table(bars, grid, 0.01)
    columns = dict(zip(BAR, table.values.T, strict=True))
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(columns[name], np.log(getattr(bars, name)))
    i = 40
    returns = np.diff(np.log(bars.close[: i + 1]))
    sigma = weighted_std(list(returns), 60)
    assert table.sigma[i] == pytest.approx(sigma, rel=1e-9)
    assert columns["return"][i] == pytest.approx(returns[-1] / sigma, rel=1e-9)
    w = 0.5 ** (np.arange(i + 1)[::-1] / 20)
    mean = (w * bars.volume[: i + 1]).sum() / w.sum()
    wanted = math.log((bars.volume[i] + 0.05 * mean) / (1.05 * mean))
    assert columns["volume"][i] == pytest.approx(wanted, rel=1e-9)
    share = 2 * bars.taker_buy_volume[i] / bars.volume[i] - 1
    assert columns["taker_imbalance"][i] == pytest.approx(share, rel=1e-9)
    w = (1 - 2 / 21) ** np.arange(i + 1)[::-1]
    close = np.log(bars.close[: i + 1])
    average = (w * close).sum() / w.sum()
    w = (1 - 1 / 14) ** np.arange(i + 1)[::-1]
    before = np.concatenate(([np.nan], close[:-1]))
    high, low = np.log(bars.high[: i + 1]), np.log(bars.low[: i + 1])
    true_range = (w * (np.fmax(high, before) - np.fmin(low, before))).sum() / w.sum()
    assert columns["stretch"][i] == pytest.approx(
        (close[-1] - average) / (STRETCH_DIVISOR["1m"] * true_range), rel=1e-9
    )


def test_sigma_is_never_below_one_tick():
    close = np.full(50, math.log(2000.0))
    returns = log_returns(close, np.arange(50) == 0)
    sigma = volatility(returns, close, "1s", 0.01)
    np.testing.assert_allclose(sigma[2:], 0.01 / 2000)


def test_no_return_leads_into_a_stretch():
    close = np.log(np.array([100.0, 101.0, 50.0, 51.0]))
    returns = log_returns(close, np.array([True, False, True, False]))
    np.testing.assert_allclose(returns, [np.nan, math.log(1.01), np.nan, math.log(1.02)])


def test_volume_of_a_dead_market_is_not_unusual():
    assert relative_volume(np.zeros(5), 0.9)[0].tolist() == [0.0] * 5


def test_taker_imbalance_is_bounded_and_missing_where_unknown():
    bought = np.array([0.0, 3.0, 1.5, 0.0, np.nan])
    volume = np.array([3.0, 3.0, 3.0, 0.0, 2.0])
    np.testing.assert_array_equal(taker_imbalance(bought, volume), [-1, 1, 0, 0, np.nan])


def test_the_reference_stands_on_the_primarys_rows_or_is_missing():
    primary = sparse_grid(np.array([0, 1, 2, 5]) * MINUTE, MINUTE)
    close, sigma = np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3])
    reference = ReferenceRows(np.array([1, 2, 3]) * MINUTE, MINUTE, close, sigma)
    follower = follow(primary, reference)
    np.testing.assert_array_equal(follower.close, [np.nan, 1, 2, np.nan])
    np.testing.assert_array_equal(follower.last_close, [np.nan, 1, 2, 3])
    np.testing.assert_array_equal(follower.last_sigma, [np.nan, 0.1, 0.2, 0.3])


def test_a_reference_that_moves_alike_correlates_fully():
    bars = random_minutes(np.random.default_rng(6), START, START + 12 * HOUR, 2000.0)
    side = Side(bars, 0.01, START + 12 * HOUR)
    tables, _ = clock_tables("1m", side, side, None)
    assert tables.reference.shape == (len(bars), len(REFERENCE_COLUMNS))
    np.testing.assert_allclose(tables.reference[3:, 1], 1.0, atol=1e-9)
    alone, _ = clock_tables("1m", side, None, None)
    assert np.isnan(alone.reference).all()
    np.testing.assert_array_equal(alone.primary.values, tables.primary.values)
