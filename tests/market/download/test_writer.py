"""Deliveries into the store: what is recorded of a market, and waiting for other writers."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from apex_trader.market.download.writer import adopt, patiently
from apex_trader.market.exchange.listings import Listing
from apex_trader.market.files import StoreBusyError
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from tests.market.samples import random_bars

ETH = "binance:ETHUSDT"


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    store = MarketStore(tmp_path / "store")
    store.write_bars(ETH, random_bars(0, 10, "1m"))
    return store


def adopted(store: MarketStore, listing: Listing) -> MarketInfo:
    with store.transaction() as transaction:
        adopt(transaction, ETH, listing)
    return store.info(ETH)


def test_the_finer_step_counts(store: MarketStore) -> None:
    store.set_info(replace(store.info(ETH), tick_size=0.01, lot_size=0.001))
    info = adopted(store, Listing("ETHUSDT", "ETH/USDT", "spot", 0.1, 0.0001, 10.0))
    assert (info.tick_size, info.lot_size, info.min_notional) == (0.01, 0.0001, 10.0)


def test_what_a_user_has_said_stays(store: MarketStore) -> None:
    given = replace(store.info(ETH), tick_size=0.5, instrument="perpetual")
    store.set_info(given, given=["tick_size", "instrument"])
    info = adopted(store, Listing("ETHUSDT", "ETH/USDT", "spot", 0.01, None, None))
    assert (info.tick_size, info.instrument) == (0.5, "perpetual")


def test_another_writer_is_waited_for(store: MarketStore) -> None:
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with store.files.lock():
            held.set()
            leave.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)

    def write() -> int:
        return (
            MarketStore(store.url).write_bars("binance:BTCUSDT", random_bars(0, 20, "1m")).new_rows
        )

    began = time.monotonic()
    with pytest.raises(StoreBusyError, match="another command is writing"):
        patiently(write, patience=0.2)
    assert time.monotonic() - began >= 0.2
    threading.Timer(0.1, leave.set).start()
    assert patiently(write, patience=10.0) == 20
    other.join()
