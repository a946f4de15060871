"""The live feed against the local exchange: nothing lost, nothing twice, the same bits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.feed import TradeFeed
from apex_trader.market.stream.revisions import read_revisions
from apex_trader.market.types import Funding, Trades
from apex_trader.time import HOUR, SECOND
from tests.local_exchange import Clock, Listing, LocalExchange
from tests.local_exchange import Feed as FeedOfMarkets
from tests.local_exchange.faults import On, Random, Status
from tests.local_exchange.frame_faults import (
    Disconnect,
    Duplicate,
    Frame,
    GarbageFrame,
    Goodbye,
    Missing,
    Reorder,
)
from tests.market.samples import MONDAY
from tests.market.stream.simulated import (
    BTC,
    ETH,
    PATIENT,
    Heard,
    SimulatedClock,
    configured,
    feed_of,
    hear,
    listed,
    listen,
    moving,
)
from tests.market.stream.tapes import same, tape
from tests.market.stream.test_overlap import rows
from tests.market.stream.test_second_rows import identical
from tests.real_market import real_columns

T = TypeVar("T")
PERPETUAL = "binanceusdm:ETHUSDT"


def at(seconds: float) -> int:
    return MONDAY + round(seconds * SECOND)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def tapes(count: int = 400, rate: float = 1.0, *markets: str) -> dict[str, Trades]:
    """About ``count`` / 2·rate seconds of trades of some markets."""
    return {m: tape(k + 1, count, rate=rate) for k, m in enumerate(markets or (ETH, BTC))}


def end_of(trades: dict[str, Trades]) -> int:
    """By this whole second every market has traded once more."""
    return min(int(t.ts[-1]) for t in trades.values()) // SECOND * SECOND


def exchange_of(trades: dict[str, Trades], start: float = 20, **given: Any) -> LocalExchange:
    return LocalExchange(listed(trades), clock=Clock(at(start), speed=0), **given)


def assert_whole(heard: Heard, trades: dict[str, Trades], start: int) -> None:
    """Everything from ``start`` on was handed on: the same trades, the same bits."""
    until = heard.batches[-1].until
    assert heard.batches[0].start == start
    for market, all_trades in trades.items():
        expected = all_trades.between(start, until)
        assert same(heard.trades(market), expected)
        assert identical(heard.seconds(market), seconds_from_trades(expected))


def assert_stored(store: MarketStore, trades: dict[str, Trades], start: int) -> None:
    """The store holds these trades from ``start`` up to where its recording ends."""
    store.reload()
    for market, all_trades in trades.items():
        ((begin, end),) = store.coverage(market, "trades").tolist()
        assert begin == start
        assert same(store.read_trades(market), all_trades.between(start, end))


@pytest.mark.slow
def test_an_hour_with_disconnects_doubles_and_reorders_has_the_bits_of_the_offline_seconds(
    store: MarketStore,
) -> None:
    trades = tapes(4000, 0.5)
    faults = Random(
        np.random.default_rng(3),
        {Disconnect(): 1 / 150, Goodbye(): 1 / 1000, Duplicate(): 1 / 30, Reorder(2): 1 / 30,
         GarbageFrame(): 1 / 400},
    )  # fmt: skip

    async def hour() -> tuple[Heard, int]:
        async with exchange_of(trades, frame_faults=faults) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store)
            return await hear(exchange, feed, end_of(trades), 0.5)

    heard, start = run(hour())
    assert heard.batches[-1].until - start >= 3600 * SECOND
    assert heard.count("disconnects") >= 20
    assert heard.count("duplicates") >= 100
    assert heard.count("reordered") >= 50
    assert heard.count("garbage") >= 5
    assert heard.count("revisions") == heard.count("incomplete") == 0
    assert all(batch.complete for batch in heard.batches)
    assert_whole(heard, trades, start)
    assert_stored(store, trades, start)
    for market in trades:
        until = heard.batches[-1].until
        assert identical(heard.seconds(market), store.read_seconds(market, start, until))


@pytest.mark.slow
def test_real_trades_across_midnight_have_the_bits_of_the_offline_seconds(
    store: MarketStore,
) -> None:
    midnight = 1_723_161_600 * SECOND
    trades = {}
    for market, name in ((ETH, "ETHUSDT"), (BTC, "BTCUSDT")):
        columns = real_columns(f"binance_{name}_trades_2024-08-08.parquet")
        real = Trades(*(columns[n] for n in ("ts", "price", "amount", "side")))
        near = real.between(midnight - 75 * SECOND, midnight + 60 * SECOND)
        trades[market] = replace(near, id=np.arange(len(near)) + 7_000_000)
    faults = Random(np.random.default_rng(8), {Disconnect(): 1 / 300, Duplicate(): 1 / 50})

    async def night() -> tuple[Heard, int]:
        clock = Clock(midnight - 60 * SECOND, speed=0)
        async with LocalExchange(listed(trades), clock=clock, frame_faults=faults) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store)
            return await hear(exchange, feed, end_of(trades), 0.05)

    heard, start = run(night())
    assert heard.count("disconnects") >= 2
    assert heard.count("revisions") == 0
    assert_whole(heard, trades, start)
    assert_stored(store, trades, start)
    assert len(store.days(ETH, "trades")) == 2


def test_primary_and_reference_may_trade_on_two_exchanges() -> None:
    trades = tapes(300, 1.0, PERPETUAL, BTC)

    async def both() -> tuple[Heard, int]:
        faults = Random(np.random.default_rng(1), {Disconnect(): 1 / 60})
        async with exchange_of(trades, frame_faults=faults) as exchange:
            feed = feed_of(exchange, [PERPETUAL, BTC])
            return await hear(exchange, feed, end_of(trades))

    heard, start = run(both())
    assert heard.count("disconnects") >= 2
    assert_whole(heard, trades, start)


def test_trades_that_the_socket_leaves_out_are_fetched_and_the_store_is_whole(
    store: MarketStore,
) -> None:
    trades = tapes(600, 2.0)

    async def gaps() -> tuple[Heard, int]:
        faults = Random(np.random.default_rng(4), {Missing(): 1 / 20})
        async with exchange_of(trades, frame_faults=faults) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store)
            return await hear(exchange, feed, end_of(trades), 0.1)

    heard, start = run(gaps())
    assert heard.count("backfilled") >= 20
    assert_stored(store, trades, start)
    late = {m: read_revisions(store.files, m) for m in trades}
    revised = {m: set() if t is None else set(t["id"].to_pylist()) for m, t in late.items()}
    assert sum(map(len, revised.values())) == heard.count("revisions")
    for market, all_trades in trades.items():
        assert all_trades.id is not None
        expected = all_trades.between(start, heard.batches[-1].until)
        kept = ~np.isin(expected.id, list(revised[market]))
        assert same(heard.trades(market), expected.take(kept))


def test_a_trade_that_comes_after_its_second_is_a_recorded_revision_and_changes_nothing(
    store: MarketStore,
) -> None:
    trades = tapes(400, 1.0)
    eth = trades[ETH]
    late = int(np.searchsorted(eth.ts, at(60)))
    # Told with everything after it five seconds late: ids stay in order.
    published = eth.ts.copy()
    behind = (eth.ts >= eth.ts[late]) & (eth.ts < eth.ts[late] + 2 * SECOND)
    published[behind] = eth.ts[late] + 5 * SECOND
    published = np.maximum.accumulate(published)

    async def hour() -> tuple[Heard, int]:
        told = listed(trades, {ETH: published})
        async with LocalExchange(told, clock=Clock(at(20), speed=0)) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store)
            return await hear(exchange, feed, end_of(trades))

    heard, start = run(hour())
    revisions = read_revisions(store.files, ETH)
    assert revisions is not None
    ids = revisions["id"].to_numpy()
    assert len(ids) == heard.count("revisions") > 0
    assert (revisions["ts"].to_numpy() < revisions["closed"].to_numpy()).all()
    assert read_revisions(store.files, BTC) is None
    closed = heard.trades(ETH)
    expected = eth.between(start, heard.batches[-1].until)
    assert expected.id is not None
    assert same(closed, expected.take(~np.isin(expected.id, ids)))
    # Seconds after the revised ones are those of the whole tape, first gap included.
    after = int(revisions["ts"].to_numpy().max()) // SECOND * SECOND + SECOND
    whole = seconds_from_trades(expected)
    rows = heard.seconds(ETH)
    assert identical(rows.between(after, 2**62), whole.between(after, 2**62))
    assert_stored(store, trades, start)


def test_a_socket_that_is_half_closed_is_found_out_and_replaced() -> None:
    trades = tapes(400, 1.0)
    config = replace(PATIENT, stall=10.0, ping=2.0)

    async def silent() -> tuple[Heard, int, int]:
        async with exchange_of(trades) as exchange:
            feed = feed_of(exchange, [ETH, BTC], stream=config)
            events = {at(60): exchange.half_close}
            heard, start = await hear(exchange, feed, end_of(trades), events=events)
            return heard, start, exchange.counts["connections"]

    heard, start, connections = run(silent())
    assert heard.count("stalled") >= 1
    assert connections >= 2
    assert heard.count("revisions") == 0
    assert_whole(heard, trades, start)


def test_a_market_that_falls_silent_alone_is_found_out_by_asking_rest(store: MarketStore) -> None:
    trades = tapes(500, 1.5)
    config = replace(PATIENT, stall=10.0)

    def silence(frame: Frame) -> Missing | None:
        quiet = frame.connection == 0 and at(50) < frame.time
        return Missing() if quiet and frame.stream.startswith("btc") else None

    async def one() -> tuple[Heard, int]:
        async with exchange_of(trades, frame_faults=silence) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store, stream=config)
            return await hear(exchange, feed, end_of(trades))

    heard, start = run(one())
    assert heard.count("stalled") >= 1
    assert heard.count("disconnects") >= 1
    assert_stored(store, trades, start)
    last = heard.batches[-1].until
    assert same(heard.trades(ETH), trades[ETH].between(start, last))
    found = heard.trades(BTC)
    lost = trades[BTC].between(start, last)
    assert found.id is not None
    assert lost.id is not None
    assert len(lost) - len(found) == heard.count("revisions")
    assert found.id[-1] == lost.id[-1]


def test_nothing_closes_while_the_exchange_is_gone_and_then_everything_does() -> None:
    trades = tapes(400, 1.0)
    # Sockets are refused by cutting them at once; REST answers nothing.
    outage = (at(60), at(90))

    def cut(frame: Frame) -> Disconnect | None:
        return Disconnect() if outage[0] <= frame.time < outage[1] else None

    async def gone() -> tuple[Heard, int, list[tuple[int, int]]]:
        closings: list[tuple[int, int]] = []
        down = On(Status(503), where="spot", start=outage[0], end=outage[1])
        async with (
            exchange_of(trades, faults=[down], frame_faults=cut) as exchange,
            feed_of(exchange, [ETH, BTC]) as feed,
            moving(exchange),
        ):
            heard = Heard()
            async for batch in feed:
                closings.append((exchange.clock.now(), batch.until))
                heard.batches.append(batch)
                if batch.until >= end_of(trades):
                    break
            heard.metrics = feed.metrics()
            return heard, feed.start, closings

    heard, start, closings = run(gone())
    during = [until for now, until in closings if outage[0] + 5 * SECOND < now < outage[1]]
    assert max(during, default=0) <= outage[0] + 5 * SECOND
    assert heard.count("incomplete") == heard.count("revisions") == 0
    assert_whole(heard, trades, start)


def test_when_rest_stays_away_seconds_close_incomplete_and_the_store_is_mended_later(
    store: MarketStore,
) -> None:
    trades = tapes(700, 2.0)
    config = replace(PATIENT, patience=10.0)
    down = On(Status(503), where="aggTrades", start=at(40), end=at(100))

    def lose(frame: Frame) -> Missing | None:
        hole = at(50) <= frame.time < at(52) and frame.stream.startswith("eth")
        return Missing() if hole else None

    async def away() -> tuple[Heard, int]:
        async with exchange_of(trades, faults=[down], frame_faults=lose) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store, stream=config)
            return await hear(exchange, feed, end_of(trades), 0.1)

    heard, start = run(away())
    assert heard.count("rest_failures") >= 1
    incomplete = np.concatenate(
        [b.incomplete.get(ETH, np.empty(0, np.int64)) for b in heard.batches]
    )
    assert heard.count("incomplete") == len(incomplete) > 0
    assert {at(50), at(51)} <= set(incomplete.tolist()) <= set(range(at(49), at(54), SECOND))
    assert not any(BTC in batch.incomplete for batch in heard.batches)
    lost = trades[ETH].between(at(50), at(52))
    assert heard.count("revisions") == len(lost) > 0
    expected = trades[ETH].between(start, heard.batches[-1].until)
    assert lost.id is not None
    assert same(heard.trades(ETH), expected.take(~np.isin(expected.id, lost.id)))
    assert_stored(store, trades, start)


def test_a_restart_goes_on_where_the_store_ends_and_no_second_is_missing(
    store: MarketStore,
) -> None:
    trades = tapes(900, 1.5)
    config = replace(PATIENT, save=15.0)

    async def three_feeds() -> list[tuple[int, Heard]]:
        out = []
        async with exchange_of(trades) as exchange:
            for until, killed in ((at(80), True), (at(150), False), (end_of(trades), False)):
                feed = feed_of(exchange, [ETH, BTC], store=store, stream=config)
                await feed.__aenter__()
                async with moving(exchange):
                    out.append((feed.start, await listen(feed, until)))
                if killed:
                    # No last save: what was not written is lost, as in a crash.
                    feed._keeper = None
                await feed.close()
                exchange.clock.advance(12 * SECOND)
                store.reload()
        return out

    feeds = run(three_feeds())
    (first, _), (second, _), (third, _) = feeds
    assert second < at(80)
    assert second >= at(80) - 40 * SECOND
    assert third >= at(150)
    for start, heard in feeds:
        assert heard.batches[0].start == start
        until = heard.batches[-1].until
        for market, tape_ in trades.items():
            # The gap to the trade before the start is known from the store.
            whole = seconds_from_trades(tape_.between(first, until))
            assert identical(heard.seconds(market), whole.between(start, until))
    assert_stored(store, trades, first)


def test_a_feed_from_the_past_gets_it_by_rest_before_it_listens(store: MarketStore) -> None:
    trades = tapes(3000, 5.0)

    async def past() -> tuple[Heard, int]:
        async with exchange_of(trades, 200) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store, since=at(10.5))
            async with feed, moving(exchange):
                return await listen(feed, at(250)), feed.start

    heard, start = run(past())
    assert start == at(11)
    assert heard.count("backfilled") >= 1500
    assert_whole(heard, trades, start)
    assert_stored(store, trades, start)


def test_too_far_back_and_a_store_of_another_kind_are_refused_with_a_remedy(
    store: MarketStore, tmp_path: Path
) -> None:
    trades = tapes(600, 1.0)
    other = MarketStore(tmp_path / "other")
    fills = trades[ETH].between(at(0), at(15))
    assert fills.id is not None
    other.write_trades(ETH, replace(fills, id=fills.id + 7))

    async def refused(store: MarketStore, since: int | None, **stream: float) -> str:
        async with exchange_of(trades, 100) as exchange:
            feed = feed_of(exchange, [ETH], store=store, since=since,
                           stream=replace(PATIENT, **stream))  # fmt: skip
            with pytest.raises(ApexError) as caught:
                async with feed:
                    pass
            return str(caught.value)

    assert "data download" in run(refused(store, at(10), reach=60.0))
    assert "single fills" in run(refused(other, None))


def test_rest_that_is_overloaded_is_waited_for() -> None:
    trades = tapes(300, 1.0)

    async def overloaded() -> tuple[Heard, int]:
        rates = {Status(503): 0.3, Status(429, 1): 0.05}
        # Of sockets ccxt itself waits for real time, which is long here.
        rest = Random(np.random.default_rng(9), rates, lambda item: "aggTrades" in item.path)
        async with exchange_of(trades) as exchange, feed_of(exchange, [ETH, BTC]) as feed:
            exchange.follow(rest)
            cuts = dict.fromkeys((at(40), at(70), at(100)), exchange.disconnect)
            async with moving(exchange, events=cuts):
                return await listen(feed, end_of(trades)), feed.start

    heard, start = run(overloaded())
    assert heard.count("disconnects") >= 2
    assert_whole(heard, trades, start)


@pytest.mark.parametrize("off", [-2.5, 3.25])
def test_a_local_clock_that_is_wrong_is_measured_and_changes_nothing(off: float) -> None:
    trades = tapes(300, 1.0)

    class WrongClock(SimulatedClock):
        def now(self) -> int:
            return super().now() + round(off * SECOND)

    async def wrong() -> tuple[Heard, int]:
        async with exchange_of(trades) as exchange:
            feed = TradeFeed(
                configured(exchange), [ETH, BTC], stream=replace(PATIENT, ping=5.0),
                clock=WrongClock(exchange.clock), generator=np.random.default_rng(0),
            )  # fmt: skip
            async with feed, moving(exchange):
                return await listen(feed, end_of(trades)), feed.start

    heard, start = run(wrong())
    assert heard.metrics["stream/skew"] == pytest.approx(-off, abs=0.3)
    assert heard.count("revisions") == 0
    assert 0 <= heard.metrics["stream/lag_p50"] < 2
    assert_whole(heard, trades, start)


def test_quiet_seconds_close_by_pongs_alone() -> None:
    trades = {m: t.between(0, at(60)) for m, t in tapes(300, 1.0).items()}

    async def quiet() -> Heard:
        async with exchange_of(trades) as exchange:
            feed = feed_of(exchange, [ETH, BTC], stream=replace(PATIENT, ping=1.0))
            async with feed, moving(exchange):
                return await listen(feed, at(90))

    heard = run(quiet())
    assert heard.count("revisions") == 0
    assert heard.batches[-1].until >= at(90)


def test_a_store_that_is_busy_gets_the_trades_later(store: MarketStore) -> None:
    trades = tapes(400, 1.0)

    async def busy() -> tuple[Heard, int]:
        async with exchange_of(trades) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store, stream=replace(PATIENT, save=5.0))
            async with feed, moving(exchange):
                with store.files.lock():
                    await listen(feed, at(70))
                return await listen(feed, end_of(trades)), feed.start

    heard, start = run(busy())
    assert heard.count("save_failures") >= 1
    assert_stored(store, trades, start)


def test_markets_must_be_named_once_and_belong_to_a_given_exchange() -> None:
    config = ExchangeConfig("binance")
    for markets in ([], [ETH, ETH], ["kraken:ETHUSD"]):
        with pytest.raises(ConfigError):
            TradeFeed(config, markets)
    with pytest.raises(ApexError, match="not open"):
        _ = TradeFeed(config, [ETH]).start


def test_a_funding_payment_comes_with_its_second_and_is_stored(store: MarketStore) -> None:
    trades = tapes(300, 1.0, PERPETUAL, BTC)
    times = at(60) + np.arange(-3, 2) * 8 * HOUR + 2000
    paid = Funding(times, np.array([1e-4, -2e-5, 3e-5, 1e-4, 2e-4]))
    listings = [
        Listing(MarketInfo(PERPETUAL, "perpetual"), trades=trades[PERPETUAL], funding=paid),
        Listing(MarketInfo(BTC), trades=trades[BTC]),
    ]

    async def funded() -> tuple[Heard, int]:
        async with LocalExchange(FeedOfMarkets(listings), clock=Clock(at(20), speed=0)) as exchange:
            feed = feed_of(exchange, [PERPETUAL, BTC], store=store)
            return await hear(exchange, feed, end_of(trades))

    heard, start = run(funded())
    with_payment = [b for b in heard.batches if len(b.funding[PERPETUAL])]
    assert len(with_payment) == 1
    assert with_payment[0].start <= at(60) < with_payment[0].until
    assert with_payment[0].funding[PERPETUAL].rate.tolist() == [1e-4]
    assert BTC not in with_payment[0].funding
    assert heard.count("late_funding") == heard.count("missed_funding") == 0
    assert_whole(heard, trades, start)
    store.reload()
    assert store.info(PERPETUAL).instrument == "perpetual"
    # What is stored speaks for the time up to which the exchange has surely told of payments.
    assert store.read_funding(PERPETUAL).ts.tolist() == times[:3].tolist()


def test_a_payment_that_never_comes_delays_its_second_by_patience_and_no_more() -> None:
    trades = tapes(400, 1.5, PERPETUAL)
    times = at(60) + np.arange(-3, 0) * 8 * HOUR
    listing = Listing(
        MarketInfo(PERPETUAL, "perpetual"), trades=trades[PERPETUAL],
        funding=Funding(times, np.full(3, 1e-4)),
    )  # fmt: skip

    async def unpaid() -> tuple[Heard, int]:
        async with LocalExchange(
            FeedOfMarkets([listing]), clock=Clock(at(20), speed=0)
        ) as exchange:
            feed = feed_of(exchange, [PERPETUAL], stream=replace(PATIENT, patience=30.0))
            return await hear(exchange, feed, end_of(trades))

    heard, start = run(unpaid())
    assert heard.count("missed_funding") == 1
    (waited,) = (b for b in heard.batches if b.start <= at(60) < b.until)
    assert waited.closed_at >= at(90)
    assert_whole(heard, trades, start)


def test_without_consecutive_ids_each_trade_still_comes_once(
    store: MarketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same exchange asked as ccxt asks any other: by time, without using the ids."""
    monkeypatch.setattr("apex_trader.market.exchange.pages.is_binance", lambda config: False)
    # Identical fills in one millisecond are among them.
    trades = {m: _with_twins(t) for m, t in tapes(500, 1.0).items()}
    rng = np.random.default_rng(11)

    async def unnumbered() -> tuple[Heard, int]:
        faults = Random(rng, {Disconnect(): 1 / 60, Reorder(1, SECOND // 2): 1 / 60})
        async with exchange_of(trades, frame_faults=faults) as exchange:
            feed = feed_of(exchange, [ETH, BTC], store=store)
            return await hear(exchange, feed, end_of(trades))

    heard, start = run(unnumbered())
    assert heard.count("disconnects") >= 3
    assert heard.count("revisions") == 0
    until = heard.batches[-1].until
    store.reload()
    for market, all_trades in trades.items():
        told = heard.trades(market)
        assert told.id is None
        assert rows(told) == rows(all_trades.between(start, until))
        ((begin, end),) = store.coverage(market, "trades").tolist()
        assert begin == start
        assert rows(store.read_trades(market)) == rows(all_trades.between(start, end))


def _with_twins(trades: Trades) -> Trades:
    """Every fifth trade happens twice, alike in everything but its id."""
    index = np.sort(np.r_[np.arange(len(trades)), np.arange(0, len(trades), 5)])
    return replace(trades.take(index), id=1000 + np.arange(len(index)))
