"""The real ccxt client gets exactly what the exchange was fed with."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import ccxt.async_support as ccxt_async
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Bars, Trades
from apex_trader.time import HOUR, MINUTE
from tests.local_exchange import Clock, Feed, LimitConfig, Listing, LocalExchange
from tests.local_exchange.answers import Query, aggregate_trades
from tests.local_exchange.samples import FIRST_ID, options
from tests.market.samples import MONDAY
from tests.real_market import real_columns

START = MONDAY // 1000


def ask(
    feed: Feed, work: Callable[[Any], Awaitable[Any]], client: str = "binance", **given: Any
) -> Any:
    """What a real ccxt client answers to ``work``."""

    async def run() -> Any:
        async with LocalExchange(feed, **given) as exchange:
            speaker = getattr(ccxt_async, client)(options(exchange))
            try:
                return await work(speaker)
            finally:
                await speaker.close()

    return asyncio.run(run())


def assert_same_trades(got: list[dict[str, Any]], trades: Trades, ids: Any) -> None:
    assert [int(trade["id"]) for trade in got] == list(ids)
    np.testing.assert_array_equal([t["timestamp"] * 1000 for t in got], trades.ts)
    np.testing.assert_array_equal([float(t["info"]["p"]) for t in got], trades.price)
    np.testing.assert_array_equal([float(t["info"]["q"]) for t in got], trades.amount)
    assert [{"buy": 1, "sell": -1}[t["side"]] for t in got] == trades.side.tolist()


def assert_same_bars(got: list[list[Any]], bars: Bars) -> None:
    np.testing.assert_array_equal([int(row[0]) * 1000 for row in got], bars.ts)
    names = {1: "open", 2: "high", 3: "low", 4: "close", 5: "volume", 8: "count",
             9: "taker_buy_volume"}  # fmt: skip
    for place, name in names.items():
        values = [float(row[place]) for row in got]
        np.testing.assert_array_equal(values, getattr(bars, name), err_msg=name)


@pytest.mark.parametrize(
    ("client", "symbol", "market"),
    [
        ("binance", "ETH/USDT", "eth"),
        ("binance", "BTC/USDT", "btc"),
        ("binance", "ETH/USDT:USDT", "perpetual"),
        ("binanceusdm", "ETH/USDT:USDT", "perpetual"),
    ],
)
def test_paging_by_id_gives_every_trade_once(
    feed: Feed, client: str, symbol: str, market: str, request: pytest.FixtureRequest
) -> None:
    listing: Listing = request.getfixturevalue(market)

    async def pages(speaker: Any) -> list[dict[str, Any]]:
        trades: list[dict[str, Any]] = []
        following = int(listing.ids[0])
        while page := await speaker.fetch_trades(symbol, limit=1000, params={"fromId": following}):
            trades += page
            following = int(page[-1]["id"]) + 1
        return trades

    assert_same_trades(ask(feed, pages, client), listing.trades, listing.ids)


def test_a_window_gives_the_trades_of_its_milliseconds(feed: Feed, eth: Listing) -> None:
    first, last = START + 600_000, START + 660_000

    async def window(speaker: Any) -> Any:
        return await speaker.fetch_trades("ETH/USDT", first, 1000, {"until": last})

    inside = (eth.trades.ts >= first * 1000) & (eth.trades.ts // 1000 <= last)
    assert inside.any()
    assert_same_trades(ask(feed, window), eth.trades.take(inside), eth.ids[inside])


def test_a_window_above_an_hour_is_refused(feed: Feed) -> None:
    async def window(speaker: Any) -> Any:
        until = START + HOUR // 1000 + 1
        return await speaker.fetch_trades("ETH/USDT", START, 1000, {"until": until})

    with pytest.raises(ccxt.BadRequest, match="-1127"):
        ask(feed, window)


def test_without_bounds_the_latest_trades_come(feed: Feed, eth: Listing) -> None:
    async def latest(speaker: Any) -> Any:
        return await speaker.fetch_trades("ETH/USDT", limit=10)

    count = len(eth.trades)
    assert_same_trades(ask(feed, latest), eth.trades.slice(count - 10, count), eth.ids[-10:])


def test_id_and_time_together_are_refused(feed: Feed) -> None:
    async def both(speaker: Any) -> Any:
        return await speaker.fetch_trades("ETH/USDT", START, params={"fromId": FIRST_ID})

    with pytest.raises(ccxt.ExchangeError, match="-1128"):
        ask(feed, both)


def test_nothing_is_known_before_its_time(feed: Feed, eth: Listing) -> None:
    now = MONDAY + 20 * MINUTE + 30_500_000

    async def everything(speaker: Any) -> Any:
        trades = await speaker.fetch_trades("ETH/USDT", limit=1000)
        bars = await speaker.fetch_ohlcv("ETH/USDT", "1m", START, 1000)
        return await speaker.fetch_time(), trades, bars

    time, trades, bars = ask(feed, everything, clock=Clock(now, speed=0))
    assert time == now // 1000
    assert trades[-1]["timestamp"] * 1000 == eth.trades.ts[eth.trades.ts <= now][-1]
    # Twenty closed minutes, and the one that forms: it shows the trades since its open alone.
    assert len(bars) == 21
    seen = eth.trades.between(MONDAY + 20 * MINUTE, now + 1)
    assert bars[-1][1:5] == [seen.price[0], seen.price.max(), seen.price.min(), seen.price[-1]]
    assert bars[-1][5] == pytest.approx(seen.amount.sum())


def test_a_trade_published_late_is_unknown_until_then(feed: Feed, eth: Listing) -> None:
    published = eth.trades.ts.copy()
    published[100] += 5_000_000
    late = Feed([Listing(eth.info, eth.trades, published=published)])
    clock = Clock(int(published[100]) - 1, speed=0)

    async def twice(speaker: Any) -> Any:
        params = {"fromId": FIRST_ID + 100}
        before = await speaker.fetch_trades("ETH/USDT", limit=1, params=params)
        clock.advance(1)
        return before, await speaker.fetch_trades("ETH/USDT", limit=1, params=params)

    before, after = ask(late, twice, clock=clock)
    assert [trade["id"] for trade in before] == [str(FIRST_ID + 101)]
    assert [trade["id"] for trade in after] == [str(FIRST_ID + 100)]


@pytest.mark.parametrize(
    ("method", "market", "limit"),
    [("publicGetKlines", "eth", 1000), ("fapiPublicGetKlines", "perpetual", 99)],
)
def test_paging_minutes_gives_every_bar_once(
    feed: Feed, method: str, market: str, limit: int, request: pytest.FixtureRequest
) -> None:
    listing: Listing = request.getfixturevalue(market)

    async def pages(speaker: Any) -> list[Any]:
        bars: list[Any] = []
        start = START
        while page := await getattr(speaker, method)(
            {"symbol": "ETHUSDT", "interval": "1m", "startTime": start, "limit": limit}
        ):
            bars += page
            start = int(page[-1][0]) + 1
        return bars

    assert_same_bars(ask(feed, pages), listing.bars["1m"])


def test_bars_that_nobody_gave_are_made_of_the_trades(feed: Feed, btc: Listing) -> None:
    async def hours(speaker: Any) -> Any:
        return [await speaker.fetch_ohlcv("BTC/USDT", clock, START, 1000) for clock in ("1h", "1s")]

    hour, seconds = ask(feed, hours)
    first = btc.trades.between(MONDAY, MONDAY + HOUR)
    assert hour[0][1:5] == [
        first.price[0], first.price.max(), first.price.min(), first.price[-1]
    ]  # fmt: skip
    assert hour[0][5] == pytest.approx(first.amount.sum(), rel=1e-12)
    # The exchange leaves no second out: in a quiet one the price stands.
    assert np.diff([row[0] for row in seconds]).tolist() == [1000] * 999
    quiet = [row for row in seconds if row[5] == 0]
    assert quiet
    assert all(len(set(row[1:5])) == 1 for row in quiet)


def test_funding_payments_come_in_pages(feed: Feed, perpetual: Listing) -> None:
    async def pages(speaker: Any) -> list[Any]:
        first = await speaker.fetch_funding_rate_history("ETH/USDT:USDT", START, 5)
        after = first[-1]["timestamp"] + 1
        second = await speaker.fetch_funding_rate_history("ETH/USDT:USDT", after, 5)
        return [*first, *second]

    paid = ask(feed, pages, "binanceusdm")
    assert [row["timestamp"] * 1000 for row in paid] == perpetual.funding.ts.tolist()
    assert [float(row["info"]["fundingRate"]) for row in paid] == perpetual.funding.rate.tolist()


def test_trading_rules_are_those_of_the_listing(feed: Feed) -> None:
    async def markets(speaker: Any) -> Any:
        return await speaker.load_markets()

    listed = ask(feed, markets)
    assert sorted(listed) == ["BTC/USDT", "ETH/USDT", "ETH/USDT:USDT"]
    swap = listed["ETH/USDT:USDT"]
    assert (swap["precision"]["price"], swap["precision"]["amount"]) == (0.01, 0.001)
    assert swap["limits"]["cost"]["min"] == 20
    assert (swap["swap"], swap["linear"], listed["ETH/USDT"]["spot"]) == (True, True, True)
    assert listed["ETH/USDT"]["precision"]["amount"] == 0.0001


def test_a_client_with_keys_loads_its_currencies(feed: Feed) -> None:
    async def run() -> Any:
        async with LocalExchange(feed) as exchange:
            keys = {"apiKey": "key", "secret": "secret"}
            speaker = ccxt_async.binance(options(exchange, **keys))
            try:
                await speaker.load_markets()
                return sorted(speaker.currencies)
            finally:
                await speaker.close()

    assert {"BTC", "ETH", "USDT"} <= set(asyncio.run(run()))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"symbol": "NOPE"}, "-1121"),
        ({}, "-1102"),
        ({"symbol": "ETHUSDT", "limit": "x"}, "-1100"),
        ({"symbol": "ETHUSDT", "limit": 0}, "-1130"),
    ],
)
def test_a_wrong_question_gets_the_exchanges_own_error(
    feed: Feed, asked: dict[str, Any], code: str
) -> None:
    async def wrong(speaker: Any) -> Any:
        return await speaker.publicGetAggTrades(asked)

    with pytest.raises(ccxt.ExchangeError, match=code):
        ask(feed, wrong)


def test_futures_have_no_second_bars_and_no_large_pages(feed: Feed) -> None:
    async def seconds(speaker: Any) -> Any:
        return await speaker.fapiPublicGetKlines({"symbol": "ETHUSDT", "interval": "1s"})

    async def pages(speaker: Any) -> Any:
        return await speaker.fapiPublicGetAggTrades({"symbol": "ETHUSDT", "limit": 1001})

    with pytest.raises(ccxt.ExchangeError, match="-1120"):
        ask(feed, seconds)
    with pytest.raises(ccxt.ExchangeError, match="-1130"):
        ask(feed, pages)


def test_microseconds_are_answered_when_asked_for(feed: Feed, btc: Listing) -> None:
    fine = btc.trades.ts + np.arange(len(btc.trades)) % 1000
    listing = Listing(btc.info, Trades(fine, btc.trades.price, btc.trades.amount, btc.trades.side))

    async def micros(speaker: Any) -> Any:
        speaker.headers = {"X-MBX-TIME-UNIT": "MICROSECOND"}
        return await speaker.publicGetAggTrades({"symbol": "BTCUSDT", "fromId": 1, "limit": 1000})

    assert [int(t["T"]) for t in ask(Feed([listing]), micros)] == fine[:1000].tolist()


def test_weights_count_and_too_many_are_refused_until_the_window_is_over(feed: Feed) -> None:
    limits = LimitConfig(weight={"spot": 10, "futures": 40, "wallet": 10}, window=3600, patience=2)

    async def many(speaker: Any) -> Any:
        question = {"symbol": "ETHUSDT", "limit": 1}
        used = []
        for _ in range(2):
            await speaker.publicGetAggTrades(question)
            used.append(speaker.last_response_headers["x-mbx-used-weight-1m"])
        refused = []
        for _ in range(4):
            try:
                await speaker.publicGetAggTrades(question)
            except ccxt.DDoSProtection as error:
                refused.append(str(error)[8:11])
                assert int(speaker.last_response_headers["Retry-After"]) > 0
        await speaker.fapiPublicGetTime()
        return used, refused

    # The venues are counted apart; a client that goes on asking is banned.
    assert ask(feed, many, limits=limits) == (["4", "8"], ["429", "429", "429", "418"])


@pytest.mark.parametrize("symbol", ["ETHUSDT", "BTCUSDT"])
def test_real_trades_come_back_to_the_bit(symbol: str) -> None:
    columns = real_columns(f"binance_{symbol}_trades_2024-08-08.parquet")
    # Ids of one length: ccxt puts trades of one millisecond in the order of their ids as text.
    first = 3_000_000_000
    ids = np.arange(len(columns["ts"])) + first
    trades = Trades(columns["ts"], columns["price"], columns["amount"], columns["side"], ids)
    feed = Feed([Listing(MarketInfo(f"binance:{symbol}"), trades)])
    unified = f"{symbol[:3]}/USDT"

    async def pages(speaker: Any) -> list[Any]:
        got: list[Any] = []
        while page := await speaker.fetch_trades(unified, None, 1000, {"fromId": first + len(got)}):
            got += page
        return got

    assert_same_trades(ask(feed, pages), trades, ids)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 7_200), st.lists(st.integers(100, 1000), min_size=1, max_size=5), st.booleans()
)  # fmt: skip
def test_pages_of_any_size_at_any_time_hold_every_known_trade_once(
    eth: Listing, seconds: int, sizes: list[int], by_time: bool
) -> None:
    now = MONDAY + seconds * 1_000_000
    got: list[dict[str, Any]] = []
    for limit in itertools.cycle(sizes):
        after = {"fromId": got[-1]["a"] + 1 if got else 1}
        if by_time and not got:
            after = {"startTime": START}
        query = Query({key: str(value) for key, value in {**after, "limit": limit}.items()})
        page = aggregate_trades(eth, query, now, capped=True)
        if not page:
            break
        assert len(page) <= limit
        got += page
    assert [trade["a"] for trade in got] == eth.ids[eth.trades.ts <= now].tolist()
