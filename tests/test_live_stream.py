"""Invariant 3 as a whole: over a connection that fails, the stream's tables are the offline ones.

The real websocket client, the real feed, the real store; only the exchange is on this machine.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch

from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.history import StoreSource
from apex_trader.market.seconds import concatenate_seconds, seconds_from_trades
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.config import StreamConfig
from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.live_feed import open_live_feed
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.live import LiveTables
from apex_trader.state.schema import eth_full
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.local_exchange import Clock, LocalExchange
from tests.local_exchange.faults import Random
from tests.local_exchange.frame_faults import Disconnect, Duplicate, GarbageFrame, Goodbye, Reorder
from tests.market.samples import MONDAY
from tests.market.stream.simulated import BTC, ETH, Heard, feed_of, hear, listed
from tests.market.stream.tapes import tape
from tests.state.state_markets import random_minutes

torch.set_num_threads(1)
BEGIN = MONDAY - 30 * MINUTE
SCHEMA = eth_full(16).without("cnn_hidden", "cnn_predictions")
FAULTS = {
    Disconnect(): 1 / 250, Goodbye(): 1 / 2000, Duplicate(): 1 / 30, Reorder(2): 1 / 30,
    GarbageFrame(): 1 / 400,
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MarketStore:
    """Eighteen days of minutes, up to where the stream begins."""
    store = MarketStore(str(tmp_path_factory.mktemp("live")))
    past, rng = BEGIN - 18 * DAY, np.random.default_rng(1)
    with store.transaction() as transaction:
        for market in (ETH, BTC):
            transaction.set_info(MarketInfo(market))
            minutes = random_minutes(rng, past, BEGIN, 2000.0)
            transaction.write(market, minutes, covered=(past, BEGIN))
    return store


@pytest.fixture(scope="module")
def heard(store: MarketStore) -> tuple[Heard, int]:
    """What the feed made of an hour over midnight: batches, and where they begin."""
    trades = {m: tape(k, 4000, rate=0.5, start=BEGIN) for k, m in enumerate((ETH, BTC))}
    end = min(int(t.ts[-1]) for t in trades.values()) // SECOND * SECOND
    faults = Random(np.random.default_rng(3), FAULTS)

    async def hour() -> tuple[Heard, int]:
        clock = Clock(BEGIN + 20 * SECOND, speed=0)
        async with LocalExchange(listed(trades), clock=clock, frame_faults=faults) as exchange:
            return await hear(exchange, feed_of(exchange, [ETH, BTC], store=store), end, 0.5)

    return asyncio.run(hour())


@pytest.mark.slow
def test_tables_over_a_faulty_hour_are_those_of_the_store_bit_for_bit(store, heard):
    told, start = heard
    assert told.batches[-1].until - start >= 3600 * SECOND
    assert told.count("disconnects") >= 20
    assert told.count("duplicates") >= 100
    assert told.count("reordered") >= 50
    assert told.count("revisions") == told.count("incomplete") == 0
    live = LiveTables(SCHEMA, *(StoreSource(store, m, start) for m in (ETH, BTC)))
    for batch in told.batches:
        live.extend(batch)
    store.reload()
    builder = SegmentBuilder(SCHEMA, *(StoreSource(store, m, live.end) for m in (ETH, BTC)))
    offline = builder.build(MONDAY)
    assert live.day == MONDAY
    rows = torch.arange(live.newest + 1)
    now = gather(live.tables, rows)
    assert torch.equal(now, gather(MarketTables.from_segments([offline], SCHEMA), rows))
    assert np.isfinite(offline.decisions.mark).all()
    yesterday, sealed = builder.build(MONDAY - DAY), live.seal(MONDAY)
    assert sealed.key == yesterday.key
    for name, table in yesterday.tables.items():
        np.testing.assert_array_equal(sealed.tables[name], table, err_msg=name)


@pytest.mark.slow
def test_nothing_that_traded_is_lost(store, heard):
    told, start = heard
    until = told.batches[-1].until
    for market in (ETH, BTC):
        trades = store.read_trades(market, start, until)
        assert (np.diff(trades.id) == 1).all()
        seconds = concatenate_seconds([batch.seconds[market] for batch in told.batches])
        np.testing.assert_array_equal(seconds.ts, seconds_from_trades(trades).ts)
        assert seconds.count.sum() == len(trades)


def test_a_run_s_settings_open_its_feed(tmp_path: Path):
    """In real time, for some seconds: the configuration names the exchange and how it is heard."""
    begin = MONDAY + HOUR
    trades = {m: tape(k, 400, rate=20.0, start=begin) for k, m in enumerate((ETH, BTC))}
    with LocalExchange(listed(trades), clock=Clock(begin + SECOND)) as exchange:
        config = compose_config([
            "rollout.source=stream", "runtime=serial", f"exchange.url={exchange.rest_url}",
            f"exchange.ws_url={exchange.ws_url}", f"market.primary={ETH}",
            f"market.reference={BTC}",
        ])  # fmt: skip
        assert config.exchange == ExchangeConfig(url=exchange.rest_url, ws_url=exchange.ws_url)
        assert config.stream == StreamConfig()
        feed = open_live_feed(config, MarketStore(str(tmp_path)))
        try:
            begun = next(batch for batch in feed if batch.until > batch.start)
            assert set(begun.seconds) == {ETH, BTC}
            assert begin < feed.start == begun.start < begin + 5 * SECOND
        finally:
            feed.close()
