"""Answers as market data: the aggressor's side, exact decimals, units of time, bad answers."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.errors import DataError
from apex_trader.market.exchange.convert import (
    no_trades,
    raw_bars,
    raw_funding,
    raw_trades,
    unified_bars,
    unified_funding,
    unified_trades,
)
from apex_trader.market.kinds import concatenate

MS = 1_704_067_200_123


def trade(**changes: Any) -> dict[str, Any]:
    return {"a": 7, "p": "2000.10", "q": "0.5", "f": 1, "l": 2, "T": MS, "m": True, **changes}


def test_the_buyer_was_the_maker_so_the_aggressor_sold() -> None:
    trades = raw_trades([trade(), trade(a=8, m=False)])
    assert trades.side.tolist() == [-1, 1]
    assert trades.id is not None
    assert trades.id.tolist() == [7, 8]
    assert trades.ts.tolist() == [MS * 1000, MS * 1000]


def test_milliseconds_and_microseconds() -> None:
    trades = raw_trades([trade(T=MS), trade(a=8, T=MS * 1000 + 456)])
    assert trades.ts.tolist() == [MS * 1000, MS * 1000 + 456]


@given(st.lists(st.decimals(min_value="0.00000001", max_value=10**9, places=8), min_size=1))
def test_decimal_text_becomes_the_nearest_float(prices: list[Decimal]) -> None:
    trades = raw_trades([trade(p=format(price, "f")) for price in prices])
    assert trades.price.tolist() == [float(price) for price in prices]


def test_unified_trades_agree_with_raw_ones() -> None:
    raw = raw_trades([trade(), trade(a=8, m=False)])
    said = [
        {"timestamp": MS, "price": 2000.1, "amount": 0.5, "side": side, "id": number}
        for side, number in (("sell", "7"), ("buy", "8"))
    ]
    other = unified_trades(said)
    for name in ("ts", "price", "amount", "side", "id"):
        np.testing.assert_array_equal(getattr(raw, name), getattr(other, name))


def test_an_exchange_without_numbers_or_sides() -> None:
    said = {"timestamp": MS, "price": 1.0, "amount": 1.0, "side": None, "id": "T4YX-1"}
    trades = unified_trades([said])
    assert trades.id is None
    assert trades.side.tolist() == [0]


def test_bars_with_and_without_taker_volume() -> None:
    row = [MS // 60_000 * 60_000, "1", "3", "0.5", "2", "10.5", 0, "0", 42, "4.25", "0", "0"]
    bars = raw_bars([row], "1m")
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0]) == (1, 3, 0.5, 2)
    assert (bars.volume[0], bars.count[0], bars.taker_buy_volume[0]) == (10.5, 42, 4.25)
    plain = unified_bars([[row[0], 1.0, 3.0, 0.5, 2.0, 10.5]], "1m")
    assert plain.close.tolist() == bars.close.tolist()
    assert np.isnan(plain.count).all()


def test_funding_in_both_forms() -> None:
    raw = raw_funding([{"symbol": "ETHUSDT", "fundingTime": MS, "fundingRate": "-0.00010000"}])
    unified = unified_funding([{"timestamp": MS, "fundingRate": -0.0001}])
    assert raw.ts.tolist() == unified.ts.tolist() == [MS * 1000]
    assert raw.rate.tolist() == unified.rate.tolist() == [-0.0001]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"p": "dear"}, "p"), ({"T": None}, "T"), ({"a": "x"}, "a"), ({"m": "maybe"}, "m")],
)
def test_a_row_that_cannot_be_read_is_named(changes: dict[str, Any], field: str) -> None:
    row = 1 if field != "m" else None
    with pytest.raises(DataError, match=f"field '{field}'") as caught:
        raw_trades([trade(), trade(**changes)], "page")
    assert caught.value.row in (row, None)
    assert caught.value.file == "page"


def test_a_short_kline_is_named() -> None:
    with pytest.raises(DataError, match="row 0"):
        raw_bars([[MS, "1", "2"]], "1m")


def test_ids_survive_an_empty_beginning() -> None:
    joined = concatenate("trades", [no_trades(), raw_trades([trade()])])
    assert joined.id is not None  # type: ignore[union-attr]
    assert len(raw_trades([])) == 0
