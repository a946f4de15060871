"""What killed writes left is removed, and nothing else that lies in the folder."""

from pathlib import Path

from apex_trader.market.leftovers import DOWNLOADS, leftovers, remove_leftovers, unfinished
from apex_trader.market.store import MarketStore
from tests.market.samples import random_bars

PLACE = "exchange=binance/symbol=ETHUSDT/kind=1m/date=2024-03"


def put(store: MarketStore, *names: str) -> None:
    for name in names:
        path = Path(store.files.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_only_files_of_a_stores_own_making_are_removed(store: MarketStore) -> None:
    store.write_bars("binance:ETHUSDT", random_bars(0, 100, "1m"))
    before = set(store.files.listing(deep=True))
    put(store, f"{PLACE}/part-0123456789abcdef.parquet", "store.json.tmp-77",
        f"{PLACE}/minutes-0123456789abcdef.parquet.tmp-123")  # fmt: skip
    put(store, mine := "my notes.txt", table := f"{PLACE}/mine.parquet")
    assert remove_leftovers(store) == 3
    assert set(store.files.listing(deep=True)) == before | {mine, table}
    assert leftovers(store) == sorted([mine, table])
    assert len(store.read_bars("binance:ETHUSDT", "1m")) == 100


def test_downloads_under_way_are_no_leftovers(store: MarketStore) -> None:
    store.write_bars("binance:ETHUSDT", random_bars(0, 100, "1m"))
    put(store, part := f"{DOWNLOADS}/binance/ETHUSDT-1m-2024-03.zip.part")
    assert leftovers(store) == []
    assert remove_leftovers(store) == 0
    assert unfinished(store) == [part]
