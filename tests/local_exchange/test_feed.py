"""What may be listed, and from where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.market.kinds import columns
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.time import HOUR
from tests.local_exchange import Feed, Listing
from tests.local_exchange.samples import exact_bars, exact_trades
from tests.market.samples import MONDAY

INFO = MarketInfo("binance:ETHUSDT")


def test_a_store_is_listed_as_it_is(tmp_path: Path) -> None:
    store = MarketStore(tmp_path / "store")
    trades = replace(exact_trades(1, 300), id=np.arange(300) + 50)
    store.write_trades("lab:ETH", trades)
    store.write_bars("lab:ETH", exact_bars(2, 60, "1m"))
    feed = Feed.from_store(store, ["binance:ETHUSDT=lab:ETH"], end=MONDAY + HOUR)
    listing = feed.find("spot", "ETHUSDT")
    assert listing is not None
    for name, values in columns(trades.between(MONDAY, MONDAY + HOUR)).items():
        np.testing.assert_array_equal(columns(listing.trades)[name], values)
    assert list(listing.bars) == ["1m"]
    assert (listing.assets, listing.venue) == (("ETH", "USDT"), "spot")


def test_the_feeds_end_lies_behind_everything() -> None:
    trades = exact_trades(1, 10)
    feed = Feed([Listing(INFO, trades, {"1m": exact_bars(2, 60, "1m")})])
    assert feed.begin == MONDAY
    assert feed.end == max(MONDAY + HOUR, trades.ts[-1] + 1)


def test_ids_are_counted_where_there_are_none() -> None:
    assert Listing(INFO, exact_trades(1, 3)).ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Listing(MarketInfo("kraken:ETHUSD")), "binance:SYMBOL"),
        (lambda: Listing(INFO, replace(exact_trades(1, 2), id=np.array([5, 5]))), "ascend, row 1"),
        (lambda: Listing(INFO, bars={"1h": exact_bars(1, 3, "1m")}), "bars belong"),
        (
            lambda: Listing(INFO, exact_trades(1, 2), published=np.array([0, 0])),
            "before it happened",
        ),
        (lambda: Feed([Listing(INFO), Listing(INFO)]), "listed twice"),
        (lambda: Feed([Listing(INFO)]).begin, "no events"),
        (lambda: Listing(MarketInfo("binance:XYZ")).assets, "quote assets"),
    ],
)
def test_what_cannot_be_listed_is_refused(make: object, reason: str) -> None:
    assert callable(make)
    with pytest.raises(ApexError, match=reason):
        make()
