"""What came too late is on record for good."""

from dataclasses import replace

import numpy as np

from apex_trader.market.leftovers import leftovers, remove_leftovers
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.lane import Revisions
from apex_trader.market.stream.revisions import read_revisions, write_revisions
from apex_trader.market.verify import verify
from apex_trader.time import DAY, SECOND
from tests.market.samples import MONDAY
from tests.market.stream.tapes import tape

ETH = "binance:ETHUSDT"


def test_revisions_are_read_back_in_the_order_in_which_they_came(store: MarketStore) -> None:
    trades = tape(1, 30)
    parts = [
        Revisions(ETH, trades.slice(0, 3), MONDAY + 5 * SECOND),
        Revisions(ETH, trades.slice(7, 8), MONDAY + 90 * SECOND),
    ]
    for part in reversed(parts):
        write_revisions(store.files, [part])
    table = read_revisions(store.files, ETH)
    assert table is not None
    assert trades.id is not None
    assert table["id"].to_pylist() == trades.id[[0, 1, 2, 7]].tolist()
    assert table["price"].to_pylist() == trades.price[[0, 1, 2, 7]].tolist()
    assert table["closed"].to_pylist() == [MONDAY + 5 * SECOND] * 3 + [MONDAY + 90 * SECOND]


def test_revisions_of_one_day_and_of_trades_without_ids(store: MarketStore) -> None:
    trades = tape(2, 4)
    tomorrow = replace(trades, ts=trades.ts + DAY, id=None)
    write_revisions(store.files, [Revisions(ETH, trades, MONDAY), Revisions(ETH, tomorrow, MONDAY)])
    today = read_revisions(store.files, ETH, "2024-03-04")
    both = read_revisions(store.files, ETH)
    assert today is not None
    assert both is not None
    assert (len(today), len(both)) == (4, 8)
    assert np.isnan(both["id"].to_pandas()).sum() == 4
    assert read_revisions(store.files, ETH, "2024-03-06") is None


def test_a_record_written_twice_is_there_once_and_nothing_else_takes_it_for_rubbish(
    store: MarketStore,
) -> None:
    trades = tape(3, 50)
    store.write_trades(ETH, trades)
    revisions = Revisions(ETH, trades.slice(0, 3), MONDAY + 5 * SECOND)
    assert write_revisions(store.files, [revisions]) == write_revisions(store.files, [revisions])
    assert leftovers(store) == []
    assert remove_leftovers(store) == 0
    table = read_revisions(store.files, ETH)
    assert table is not None
    assert len(table) == 3
    assert all(isinstance(line, str) for line in verify(store))
