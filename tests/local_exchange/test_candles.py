"""Klines of what a listing has, as they stand at any time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apex_trader.market.kinds import concatenate
from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Bars
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.local_exchange import Listing
from tests.local_exchange.candles import Candles, intervals_of
from tests.local_exchange.samples import exact_bars, exact_trades
from tests.market.samples import MONDAY

INFO = MarketInfo("binance:ETHUSDT")


def test_futures_offer_no_seconds() -> None:
    assert intervals_of("spot") == ["1s", "1m", "1h", "1d"]
    assert intervals_of("futures") == ["1m", "1h", "1d"]


def test_hours_are_made_of_the_given_minutes_the_last_of_what_there_is() -> None:
    minutes = exact_bars(1, 90, "1m")
    hours = Candles(Listing(INFO, bars={"1m": minutes})).whole("1h")
    assert hours.ts.tolist() == [MONDAY, MONDAY + HOUR]
    assert hours.close.tolist() == [minutes.close[59], minutes.close[-1]]
    assert hours.count.tolist() == [minutes.count[:60].sum(), minutes.count[60:].sum()]


def test_the_forming_hour_knows_the_closed_minutes_alone() -> None:
    minutes = exact_bars(1, 90, "1m")
    candles = Candles(Listing(INFO, bars={"1m": minutes}))
    forming = candles.forming("1h", MONDAY + 10 * MINUTE + 59 * SECOND)
    assert forming is not None
    assert forming.high[0] == minutes.high[:10].max()
    assert forming.count[0] == minutes.count[:10].sum()


def test_a_bar_that_just_opened_stands_at_one_price() -> None:
    minutes = exact_bars(1, 90, "1m")
    forming = Candles(Listing(INFO, bars={"1m": minutes})).forming("1m", MONDAY + 5 * MINUTE)
    assert forming is not None
    values = [forming.open[0], forming.high[0], forming.low[0], forming.close[0]]
    assert values == [minutes.open[5]] * 4
    assert (forming.volume[0], forming.count[0]) == (0, 0)


def test_outside_the_listing_nothing_forms() -> None:
    candles = Candles(Listing(INFO, exact_trades(1, 100)))
    assert candles.forming("1m", MONDAY - 1) is None
    assert candles.forming("1m", MONDAY + 3 * HOUR) is None
    assert len(Candles(Listing(INFO)).between("1m", 0, MONDAY, MONDAY)) == 0


def test_bars_never_show_a_later_trade() -> None:
    trades = exact_trades(2, 3000)
    candles = Candles(Listing(INFO, trades))
    rng = np.random.default_rng(0)
    for now in rng.integers(MONDAY + MINUTE, MONDAY + 2 * HOUR, 20).tolist():
        seen = trades.between(0, now + 1)
        for clock in ("1s", "1m", "1h"):
            bars = candles.between(clock, 0, now + 1, now)
            assert bars.ts[-1] <= now
            assert bars.close[-1] == seen.price[-1]
            np.testing.assert_allclose(bars.volume.sum(), seen.amount.sum())
            assert bars.count.sum() == len(seen)


def test_bars_that_the_listing_lacks_are_made_of_its_trades() -> None:
    trades = exact_trades(1, 600)
    made = Candles(Listing(INFO, trades)).whole("1m")
    # Bars of the day before, and of a part of the trades' time; one of them is the listing's own.
    before = exact_bars(2, 30, "1m")
    before = replace(before, ts=before.ts - DAY)
    some = made.slice(10, 20)
    some = replace(some, count=some.count + 1)
    own = concatenate("1m", [before, some])
    assert isinstance(own, Bars)
    minutes = Candles(Listing(INFO, trades, bars={"1m": own})).whole("1m")
    assert (np.diff(minutes.ts) > 0).all()
    np.testing.assert_array_equal(minutes.between(0, MONDAY).close, before.close)
    inside = minutes.between(int(some.ts[0]), int(some.ts[-1]) + MINUTE)
    np.testing.assert_array_equal(inside.count, some.count)
    traded = made.ts[made.volume > 0]
    assert np.isin(traded, minutes.ts).all()
    hours = Candles(Listing(INFO, trades, bars={"1m": own})).whole("1h")
    assert hours.count.sum() == minutes.count.sum()


def test_a_bar_made_of_trades_does_not_show_its_first_price_before_it() -> None:
    trades = exact_trades(1, 600)
    own = Candles(Listing(INFO, trades)).whole("1m").slice(0, 10)
    candles = Candles(Listing(INFO, trades, bars={"1m": own}))
    minutes = candles.whole("1m")
    at = 12
    forming = candles.forming("1m", int(minutes.ts[at]))
    first = trades.between(int(minutes.ts[at]), int(minutes.ts[at]) + 1)
    assert forming is not None
    assert len(first) == 0
    assert forming.open[0] == minutes.close[at - 1]
