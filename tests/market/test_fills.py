"""When and at which price an order fills."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.fills import FillConfig, order_fills
from apex_trader.market.types import Bars, Seconds, Trades
from apex_trader.time import MINUTE, SECOND, parse_time
from tests.real_market import real_columns


def trades(times: list[int], prices: list[float]) -> Trades:
    n = len(times)
    return Trades(
        np.array(times, np.int64), np.array(prices, float), np.ones(n), np.zeros(n, np.int8)
    )


def bars(times: list[int], opens: list[float], volumes: list[float], clock: str = "1m") -> Bars:
    o, v = np.array(opens, float), np.array(volumes, float)
    nan = np.full(len(o), np.nan)
    return Bars(np.array(times, np.int64), o, o, o, o, v, nan, nan, clock)


def decisions(*times: int) -> np.ndarray:
    return np.array(times, np.int64)


def test_an_order_takes_the_first_trade_after_its_latency():
    tape = trades([0, 999_999, 1_000_000, 1_000_000, 3_000_000], [10, 11, 12, 13, 14])
    fill, ts = order_fills(decisions(0), tape)
    assert fill[0] == np.log(12.0)
    assert ts[0] == 1_000_000


def test_an_order_that_finds_no_trade_in_its_wait_is_not_filled():
    tape = trades([0, 4 * SECOND], [10, 11])
    fill, ts = order_fills(decisions(0, 3 * SECOND, 60 * SECOND), tape)
    np.testing.assert_array_equal(np.isnan(fill), [True, False, True])
    np.testing.assert_array_equal(ts, [0, 4 * SECOND, 0])


def test_without_any_trade_nothing_fills():
    fill, ts = order_fills(decisions(0, 5 * SECOND), trades([], []))
    assert np.isnan(fill).all()
    assert not ts.any()


def test_minute_bars_fill_at_the_open_of_the_next_bar():
    fill, ts = order_fills(
        decisions(0, MINUTE), bars([0, MINUTE, 2 * MINUTE], [1, 2, 3], [1, 1, 1])
    )
    np.testing.assert_array_equal(fill, np.log([2.0, 3.0]))
    np.testing.assert_array_equal(ts, [MINUTE, 2 * MINUTE])


def test_a_missing_or_carried_bar_fills_nothing():
    history = bars([0, MINUTE, 3 * MINUTE], [1, 2, 3], [1, 0, 1])
    fill, _ = order_fills(decisions(0, MINUTE, 2 * MINUTE), history)
    np.testing.assert_array_equal(np.isnan(fill), [True, True, False])


def test_this_open_is_the_price_at_the_decision():
    fill, ts = order_fills(
        decisions(0, MINUTE), bars([0, MINUTE], [1, 2], [1, 1]), bar_fill="this_open"
    )
    np.testing.assert_array_equal(fill, np.log([1.0, 2.0]))
    np.testing.assert_array_equal(ts, [0, MINUTE])


def test_without_latency_the_bar_that_starts_now_is_the_next_one():
    fill, ts = order_fills(decisions(MINUTE), bars([0, MINUTE], [1, 2], [1, 1]), latency=0)
    assert fill[0] == np.log(2.0)
    assert ts[0] == MINUTE


def test_second_bars_wait_like_trades_do():
    times = [k * SECOND for k in range(6)]
    history = bars(times, [1, 2, 3, 4, 5, 6], [1, 0, 0, 1, 1, 1], clock="1s")
    fill, ts = order_fills(decisions(0), history)
    assert fill[0] == np.log(4.0)
    assert ts[0] == 3 * SECOND
    late = bars(times, [1, 2, 3, 4, 5, 6], [1, 0, 0, 0, 1, 1], clock="1s")
    assert np.isnan(order_fills(decisions(0), late)[0][0])


def test_decisions_inside_a_bar_are_refused():
    with pytest.raises(ConfigError, match=r"state\.decide_every=5\.0 .*multiple of the 60 s bars"):
        order_fills(decisions(5 * SECOND), bars([0], [1], [1]))


def test_a_price_of_zero_is_refused():
    with pytest.raises(ApexError, match="data verify"):
        order_fills(decisions(0), trades([SECOND], [0.0]))


@given(
    steps=st.lists(st.integers(0, 2_000_000), min_size=1, max_size=60),
    latency=st.integers(0, 2 * SECOND),
    wait=st.integers(1, 3 * SECOND),
)
def test_every_fill_is_the_earliest_trade_of_its_interval(steps, latency, wait):
    times = np.cumsum(steps)
    tape = trades(times.tolist(), (times + 1).tolist())
    at = np.arange(0, int(times[-1]) + 1, 5 * SECOND)
    fill, ts = order_fills(at, tape, latency, wait)
    for t, price, when in zip(at, fill, ts, strict=True):
        inside = times[(times >= t + latency) & (times < t + latency + wait)]
        if len(inside):
            assert when == inside[0]
            assert price == np.log(inside[0] + 1.0)
        else:
            assert np.isnan(price)
            assert when == 0


@given(prices=st.lists(st.floats(1.0, 1e5), min_size=12, max_size=12), known=st.integers(0, 11))
def test_later_trades_never_change_an_earlier_fill(prices, known):
    times = [k * SECOND for k in range(12)]
    at = decisions(0, 5 * SECOND)
    tape = trades(times, prices)
    before = tape.slice(0, known + 1)
    (full, full_ts), (short, short_ts) = order_fills(at, tape), order_fills(at, before)
    filled = ~np.isnan(short)
    np.testing.assert_array_equal(full[filled], short[filled])
    np.testing.assert_array_equal(full_ts[filled], short_ts[filled])


def test_seconds_with_trades_give_the_fills_of_their_trades():
    times = [0, 1_200_000, 1_700_000, 6_100_000]
    tape = trades(times, [10, 11, 12, 13])
    opens = np.array([10.0, 11.0, 13.0])
    others = [np.ones(3)] * 14
    seconds = Seconds(np.array([0, SECOND, 6 * SECOND]), opens, *others)
    at = decisions(0, 5 * SECOND, 10 * SECOND)
    np.testing.assert_array_equal(order_fills(at, tape)[0], order_fills(at, seconds)[0])


def test_the_configuration_names_what_is_wrong():
    with pytest.raises(ConfigError, match=r"fills\.latency"):
        FillConfig(latency=-1)
    with pytest.raises(ConfigError, match=r"fills\.max_fill_wait"):
        FillConfig(max_fill_wait=0)
    with pytest.raises(ConfigError, match=r"fills\.bar_fill"):
        FillConfig(bar_fill="close")
    with pytest.raises(ConfigError, match="at most the decision interval"):
        FillConfig(latency=2 * SECOND, max_fill_wait=4 * SECOND).check(5 * SECOND)
    FillConfig().check(5 * SECOND)
    assert FillConfig(bar_fill="this_open").optimistic


def test_real_minutes_fill_at_the_next_open_except_across_an_outage():
    raw = real_columns("binance_ETHUSDT_1m_2023.parquet")
    ts = raw["ts"].astype(np.int64) * 1_000
    nan = np.full(len(ts), np.nan)
    columns = [raw[c] for c in ("open", "high", "low", "close", "volume")]
    history = Bars(ts, *columns, nan, nan, "1m")
    at = np.arange(ts[0], ts[-1] + 1, MINUTE)
    fill, fill_ts = order_fills(at, history)
    filled = ~np.isnan(fill)
    np.testing.assert_array_equal(fill_ts[filled], at[filled] + MINUTE)
    begin, end = parse_time("2023-03-24T11:27"), parse_time("2023-03-24T13:58")
    # 72 carried bars, 80 absent ones; the very last decision of the year has no next bar.
    np.testing.assert_array_equal(at[~filled], [*range(begin, end + 1, MINUTE), at[-1]])


def test_real_trades_fill_within_the_wait_at_a_price_that_was_traded():
    raw = real_columns("binanceusdm_ETHUSDT_trades_2024-08-08.parquet")
    tape = Trades(raw["ts"], raw["price"], raw["amount"], raw["side"])
    at = np.arange(-(-tape.ts[0] // SECOND) * SECOND, tape.ts[-1] - 5 * SECOND, 5 * SECOND)
    fill, fill_ts = order_fills(at, tape)
    assert not np.isnan(fill).any()
    assert ((fill_ts >= at + SECOND) & (fill_ts < at + 4 * SECOND)).all()
    assert np.isin(np.round(np.exp(fill), 2), np.round(tape.price, 2)).all()
