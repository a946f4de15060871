"""Second rows against a plain loop over their definition, and what a bar cannot tell."""

import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.resample import bars_from_seconds
from apex_trader.market.seconds import merge_seconds, seconds_from_bars, seconds_from_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Trades
from apex_trader.time import SECOND
from tests.market.samples import MONDAY, random_bars, random_trades


def by_definition(trades: Trades, previous: int | None) -> dict[int, dict[str, float]]:
    """Every column of every second, straight from the definitions."""
    times = trades.ts.tolist()
    before = [previous, *times[:-1]]
    out = {}
    for second in sorted({t // SECOND for t in times}):
        rows = [i for i, t in enumerate(times) if t // SECOND == second]
        price, amount = trades.price[rows], trades.amount[rows]
        buy, sell = trades.side[rows] > 0, trades.side[rows] < 0
        known = bool((buy | sell).all())
        gaps = [(times[i] - b) / 1e6 for i in rows if (b := before[i]) is not None]
        out[second * SECOND] = {
            "open": price[0], "high": price.max(), "low": price.min(), "close": price[-1],
            "volume": amount.sum(), "vwap": (price * amount).sum() / amount.sum(),
            "count": len(rows), "largest": amount.max(),
            "count_buy": buy.sum() if known else math.nan,
            "count_sell": sell.sum() if known else math.nan,
            "volume_buy": amount[buy].sum() if known else math.nan,
            "volume_sell": amount[sell].sum() if known else math.nan,
            "gap_count": len(gaps), "gap_sum": sum(gaps), "gap_sumsq": sum(g * g for g in gaps),
        }  # fmt: skip
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.booleans(), st.floats(0, 1))
def test_every_column_is_its_definition(
    seed: int, count: int, first_is_known: bool, unknown: float
) -> None:
    trades = random_trades(seed, count, span=20 * SECOND)
    trades.side[np.random.default_rng(seed).random(count) < unknown * 0.2] = 0
    previous = MONDAY - 3 * SECOND if first_is_known else None
    rows = seconds_from_trades(trades, previous)
    expected = by_definition(trades, previous)
    assert rows.ts.tolist() == list(expected)
    for name in next(iter(expected.values())):
        wanted = [row[name] for row in expected.values()]
        np.testing.assert_allclose(getattr(rows, name), wanted, rtol=1e-12, err_msg=name)


def test_the_first_trade_has_no_gap() -> None:
    rows = seconds_from_trades(random_trades(1, 1))
    assert rows.gap_count.tolist() == [0.0]
    assert rows.gap_sum.tolist() == [0.0]


def test_no_trades_give_no_rows() -> None:
    assert len(seconds_from_trades(random_trades(1, 0))) == 0


def test_the_vwap_lies_between_low_and_high() -> None:
    trades = random_trades(3, 5000)
    rows = seconds_from_trades(trades)
    assert np.all((rows.low <= rows.vwap) & (rows.vwap <= rows.high))


def test_zero_volume_seconds_are_carried_prices_not_rows() -> None:
    bars = random_bars(5, 200, "1s", zero=0.4)
    rows = seconds_from_bars(bars)
    assert rows.ts.tolist() == bars.ts[bars.volume > 0].tolist()
    for name in ("vwap", "count_buy", "count_sell", "largest", "gap_count", "gap_sum", "gap_sumsq"):
        assert np.isnan(getattr(rows, name)).all(), name
    np.testing.assert_allclose(rows.volume_buy + rows.volume_sell, rows.volume, rtol=1e-12)


def test_only_seconds_make_seconds() -> None:
    with pytest.raises(ValueError, match="1m"):
        seconds_from_bars(random_bars(5, 3, "1m"))


def test_where_both_have_a_second_the_first_wins() -> None:
    ticks = seconds_from_trades(random_trades(7, 30, span=30 * SECOND))
    bars = seconds_from_bars(random_bars(7, 60, "1s", zero=0.0))
    both = merge_seconds(ticks, bars)
    assert both.ts.tolist() == sorted({*ticks.ts.tolist(), *bars.ts.tolist()})
    from_ticks = np.isin(both.ts, ticks.ts)
    assert both.vwap[from_ticks].tolist() == ticks.vwap.tolist()
    assert np.isnan(both.vwap[~from_ticks]).all()


def test_a_million_trades_take_less_than_a_second() -> None:
    trades = random_trades(11, 1_000_000)
    seconds_from_trades(trades.slice(0, 10))  # compiled before the clock runs
    began = time.process_time()
    bars_from_seconds(seconds_from_trades(trades))
    assert time.process_time() - began < 1.0


def test_thinned_ticks_have_unknown_flow_everywhere(real_store: MarketStore) -> None:
    day = 1_642_204_800_000_000  # 2022-01-15
    rows = real_store.read_seconds("binance:BTCUSDT", day, day + 86_400 * SECOND)
    assert len(rows) > 50_000
    assert np.isnan(rows.volume_buy).all()
    assert np.isnan(rows.count_sell).all()
    assert np.isfinite(rows.vwap).all()
    # The hole of 314.676 s is the longest wait; its second holds a few short ones too.
    assert 314.676 <= rows.gap_sum.max() < 315.676


def test_real_seconds_of_ticks_know_every_side(real_store: MarketStore, real_files: Path) -> None:
    rows = real_store.read_seconds("binance:ETHUSDT", 1_723_161_255_000_000)
    trades = real_store.read_trades("binance:ETHUSDT")
    assert rows.count.sum() == len(trades) == 14_515
    np.testing.assert_allclose(rows.volume_buy + rows.volume_sell, rows.volume, rtol=1e-9)
    assert (rows.count_buy + rows.count_sell).tolist() == rows.count.tolist()
