"""The feed in a thread: batches to wait for, failures to see, an end to ask for."""

import threading
from dataclasses import replace

import pytest

from apex_trader.errors import ApexError
from apex_trader.market.seconds import concatenate_seconds, seconds_from_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.blocking import BlockingFeed
from apex_trader.time import SECOND
from tests.local_exchange import Clock, LocalExchange
from tests.local_exchange.faults import On, Status
from tests.market.samples import MONDAY
from tests.market.stream.simulated import ETH, PATIENT, feed_of, listed
from tests.market.stream.tapes import tape
from tests.market.stream.test_second_rows import identical


def test_closed_seconds_can_be_waited_for_and_the_store_is_whole_at_the_end(
    store: MarketStore,
) -> None:
    trades = tape(1, 400, rate=2.0)
    clock = Clock(MONDAY + 10 * SECOND, speed=40)
    with LocalExchange(listed({ETH: trades}), clock=clock) as exchange:
        feed = feed_of(exchange, [ETH], store=store, stream=replace(PATIENT, ping=5.0))
        parts = []
        with BlockingFeed(feed) as waiting:
            start = waiting.start
            for closed in waiting:
                assert list(closed.seconds) == [ETH]
                parts.append(closed.seconds[ETH])
                if closed.until >= start + 40 * SECOND:
                    break
            assert waiting.metrics()["stream/seconds"] >= 40
        until = closed.until
    assert identical(concatenate_seconds(parts), seconds_from_trades(trades.between(start, until)))
    store.reload()
    ((begin, end),) = store.coverage(ETH, "trades").tolist()
    assert begin == start
    assert end >= until


def test_when_there_is_nothing_an_empty_batch_comes_and_closing_ends_the_iteration() -> None:
    with LocalExchange(
        listed({ETH: tape(1, 100)}), clock=Clock(MONDAY + 10 * SECOND, speed=0)
    ) as exchange:
        feed = BlockingFeed(feed_of(exchange, [ETH]), heartbeat=0.05).open()
        batches = []
        for closed in feed:
            batches.append(closed)
            if len(batches) == 3:
                threading.Thread(target=feed.close).start()
        assert all(batch.start == batch.until == feed.start for batch in batches)
        feed.close()
        assert list(feed) == []


def test_a_feed_that_cannot_begin_or_go_on_says_so_where_it_is_iterated() -> None:
    trades = tape(1, 400, rate=2.0)
    clock = Clock(MONDAY + 10 * SECOND, speed=40)
    with LocalExchange(listed({ETH: trades}), clock=clock) as exchange:
        with pytest.raises(ApexError, match="lists no symbol"):
            BlockingFeed(feed_of(exchange, ["binance:DOGEUSDT"])).open()
        with BlockingFeed(feed_of(exchange, [ETH])) as feed:
            exchange.follow([On(Status(403), where="aggTrades")])
            exchange.disconnect()
            with pytest.raises(ApexError, match="403"):
                for _ in feed:
                    pass
