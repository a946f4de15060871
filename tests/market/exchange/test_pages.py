"""A market's past page by page, from the local exchange through the real client."""

import json
from dataclasses import replace

import numpy as np
import pytest

from apex_trader.errors import ApexError, DataError
from apex_trader.market.exchange.listings import Listing, listing_named, load_listings
from apex_trader.market.exchange.retry import UnreachableError
from apex_trader.market.types import Trades
from apex_trader.time import DAY, HOUR, MINUTE, parse_time
from tests.local_exchange import Feed, LocalExchange
from tests.local_exchange.faults import Close, Garbage, On, Status, TruncatedBody
from tests.market.exchange.local import asking, feed, listing, numbered_trades, with_exchange
from tests.market.samples import MONDAY


def eth(exchange: str) -> Listing:
    unified, kind = ("ETH/USDT", "spot") if exchange == "binance" else ("ETH/USDT:USDT", "swap")
    instrument = "spot" if kind == "spot" else "perpetual"
    return Listing("ETHUSDT", unified, instrument, 0.01, 0.0001, 5.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
def test_listings_know_names_and_steps(name: str) -> None:
    async def work(exchange: LocalExchange) -> None:
        async with asking(exchange, name) as (requests, _):
            listings = await load_listings(requests)
        found = listing_named(listings, name, "ETHUSDT")
        assert found == listing_named(listings, name, "ETH/USDT")
        assert (found.tick_size, found.lot_size) == (0.01, 0.0001)
        assert found.instrument == ("spot" if name == "binance" else "perpetual")
        with pytest.raises(ApexError, match="did you mean ETHUSDT"):
            listing_named(listings, name, "ETHUSD")

    with_exchange(work, feed(count=10))


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
def test_trades_by_number_and_by_time_are_those_of_the_exchange(name: str) -> None:
    given = feed()
    wanted = next(x for x in given.of("spot" if name == "binance" else "futures")
                  if x.symbol == "ETHUSDT").trades  # fmt: skip

    async def work(exchange: LocalExchange) -> None:
        async with asking(exchange, name) as (_, ask):
            page = await ask.trades(eth(name), MONDAY, MONDAY + 10 * MINUTE)
            expected = wanted.between(MONDAY, MONDAY + 10 * MINUTE)
            assert len(page) == len(expected) > 5
            page = await ask.trades_from(eth(name), 5700)
            expected = wanted.slice(700, 1700)
            for column in ("ts", "price", "amount", "side", "id"):
                np.testing.assert_array_equal(getattr(page, column), getattr(expected, column))
            # Longer than the exchange looks at once: the first hour.
            assert len(await ask.trades(eth(name), MONDAY, MONDAY + DAY)) <= 1000

    with_exchange(work, given)


def test_spot_trades_keep_their_microseconds_where_the_archive_has_them() -> None:
    old, new = parse_time("2024-12-31"), parse_time("2025-01-01")
    for start, exact in ((old, False), (new, True)):
        trades = numbered_trades(3, 50, start, HOUR)
        trades = replace(trades, ts=trades.ts + 321)

        async def work(
            exchange: LocalExchange, start: int = start, exact: bool = exact,
            wanted: np.ndarray = trades.ts,  # type: ignore[type-arg]
        ) -> None:  # fmt: skip
            async with asking(exchange) as (_, ask):
                page = await ask.trades(eth("binance"), start, start + HOUR)
            assert page.ts.tolist() == (wanted if exact else wanted // 1000 * 1000).tolist()

        with_exchange(work, Feed([listing("binance:ETHUSDT", trades)]))


def test_bars_have_taker_volume_and_counts() -> None:
    async def work(exchange: LocalExchange) -> None:
        async with asking(exchange) as (_, ask):
            bars = await ask.bars(eth("binance"), "1h", MONDAY, MONDAY + DAY)
        assert len(bars) == 24
        assert bars.count.sum() == 4000
        assert (bars.taker_buy_volume > 0).all()
        assert (bars.taker_buy_volume < bars.volume).all()

    with_exchange(work, feed())


def test_the_exchanges_clock_and_funding() -> None:
    async def work(exchange: LocalExchange) -> None:
        async with asking(exchange) as (_, ask):
            assert abs(await ask.time() - exchange.clock.now()) < 1000
        async with asking(exchange, "binanceusdm") as (_, ask):
            assert abs(await ask.time() - exchange.clock.now()) < 1000
            paid = await ask.funding(eth("binanceusdm"), MONDAY, MONDAY + DAY)
        assert paid.ts.tolist() == [MONDAY, MONDAY + 8 * HOUR, MONDAY + 16 * HOUR]

    with_exchange(work, feed())


@pytest.mark.parametrize(
    "fault", [Status(503), Status(429, retry_after=0), Status(500), Close(), Garbage(),
              TruncatedBody()],
)  # fmt: skip
def test_a_passing_fault_is_survived(fault: object) -> None:
    async def work(exchange: LocalExchange) -> None:
        exchange.follow([On(fault, "aggTrades", times=3)])  # type: ignore[arg-type]
        async with asking(exchange) as (requests, ask):
            page = await ask.trades_from(eth("binance"), 5000)
            assert len(page) == 1000
            # The HTTP library itself repeats a request whose idle connection was closed.
            assert 1 <= requests.retry.repeated <= 3

    with_exchange(work, feed())


def test_a_fault_that_lasts_names_the_address() -> None:
    async def work(exchange: LocalExchange) -> None:
        exchange.follow([On(Status(502), "aggTrades")])
        async with asking(exchange, retries=2) as (_, ask):
            with pytest.raises(UnreachableError, match=exchange.rest_url):
                await ask.trades_from(eth("binance"), 5000)

    with_exchange(work, feed(count=10))


@pytest.mark.parametrize("text", ["null", '{"code":0}', "3", '"none"'])
def test_another_kind_of_answer_is_asked_for_again_a_few_times_only(text: str) -> None:
    async def work(exchange: LocalExchange) -> None:
        exchange.follow([On(Garbage(text))])
        async with asking(exchange, retries=8) as (requests, ask):
            for question in (
                ask.trades_from(eth("binance"), 5000),
                ask.bars(eth("binance"), "1h", MONDAY, MONDAY + DAY),
                ask.time(),
                load_listings(requests),
            ):
                before = requests.retry.repeated
                with pytest.raises(UnreachableError, match=r"can be used .*asked 4 times"):
                    await question
                assert requests.retry.repeated - before == 3

    with_exchange(work, feed(count=10))


def test_rows_that_are_none_are_named() -> None:
    async def work(exchange: LocalExchange) -> None:
        exchange.follow([On(Garbage("[null]"))])
        async with asking(exchange) as (_, ask):
            with pytest.raises(DataError, match="None is no trade"):
                await ask.trades_from(eth("binance"), 5000)

    with_exchange(work, feed(count=10))


def trade_rows(ts: list[int]) -> str:
    """An answer with trades of these times (µs), numbered from 5000."""
    return json.dumps([
        {"a": 5000 + k, "p": "2000.00", "q": "1.0", "T": time // 1000, "m": False}
        for k, time in enumerate(ts)
    ])  # fmt: skip


@pytest.mark.parametrize("unified", [False, True])
def test_a_trade_of_the_future_is_refused_by_the_exchanges_own_clock(unified: bool) -> None:
    async def work(exchange: LocalExchange) -> None:
        now = exchange.clock.now()
        async with asking(exchange, unified=unified, strict=True) as (_, ask):

            async def asked(last: int) -> Trades:
                exchange.follow([On(Garbage(trade_rows([MONDAY, last])), "aggTrades")])
                if unified:
                    return await ask.trades(eth("binance"), MONDAY, MONDAY + DAY)
                return await ask.trades_from(eth("binance"), 5000)

            assert len(await asked(MONDAY + HOUR)) == 2
            for late in (now + MINUTE, now + 10_000 * DAY, 9_000_000_000_000_000_000):
                with pytest.raises(DataError, match=r"row 1, field 'ts'.*cannot be"):
                    await asked(late)

    with_exchange(work, feed(count=10))


@pytest.mark.parametrize("late", [MONDAY + DAY + MINUTE, MONDAY - MINUTE])
def test_rows_of_a_time_that_was_not_asked_for_are_refused(late: int) -> None:
    async def work(exchange: LocalExchange) -> None:
        times = [MONDAY + HOUR, late]
        bar = ["1.0", "1.0", "1.0", "1.0", "1.0", 0, "1.0", 1, "1.0", "1.0", "0"]
        klines = json.dumps([[time // 1000, *bar] for time in times])
        paid = [{"fundingTime": time // 1000, "fundingRate": "0.0001"} for time in times]
        exchange.follow([
            On(Garbage(klines), "klines"), On(Garbage(json.dumps(paid)), "fundingRate"),
            On(Garbage(trade_rows(times)), "aggTrades"),
        ])  # fmt: skip
        async with asking(exchange, "binanceusdm", strict=True) as (_, ask):
            for question in (
                ask.bars(eth("binanceusdm"), "1m", MONDAY, MONDAY + DAY),
                ask.funding(eth("binanceusdm"), MONDAY, MONDAY + DAY),
                ask.trades(eth("binanceusdm"), MONDAY, MONDAY + DAY),
            ):
                with pytest.raises(DataError, match=r"row 1, field 'ts'.*cannot be"):
                    await question

    with_exchange(work, feed(count=10))


def test_a_place_that_is_not_served_is_said_at_once() -> None:
    async def work(exchange: LocalExchange) -> None:
        exchange.follow([On(Status(451), "aggTrades")])
        async with asking(exchange) as (requests, ask):
            with pytest.raises(ApexError, match=r"451.*--source archive"):
                await ask.trades_from(eth("binance"), 5000)
            assert requests.retry.repeated == 0

    with_exchange(work, feed(count=10))


def test_a_refused_request_is_not_repeated() -> None:
    async def work(exchange: LocalExchange) -> None:
        async with asking(exchange) as (requests, ask):
            other = replace(eth("binance"), symbol="NOSUCH")
            with pytest.raises(ApexError, match=r"refuses the request.*Invalid symbol"):
                await ask.trades_from(other, 5000)
            assert requests.retry.repeated == 0

    with_exchange(work, feed(count=10))


def test_any_other_exchange_is_asked_through_ccxts_unified_methods() -> None:
    given = feed()
    wanted = given.find("spot", "ETHUSDT").trades  # type: ignore[union-attr]

    async def work(exchange: LocalExchange) -> None:
        async with asking(exchange, unified=True) as (_, ask):
            assert abs(await ask.time() - exchange.clock.now()) < 1000
            page = await ask.trades(eth("binance"), MONDAY, MONDAY + 10 * MINUTE)
            expected = wanted.between(MONDAY, MONDAY + 10 * MINUTE)
            for column in ("ts", "price", "amount", "side", "id"):
                np.testing.assert_array_equal(getattr(page, column), getattr(expected, column))
            bars = await ask.bars(eth("binance"), "1h", MONDAY, MONDAY + DAY)
            assert len(bars) == 24
            assert np.isnan(bars.count).all()
            with pytest.raises(ApexError, match="no 7m bars: it has"):
                await ask.bars(eth("binance"), "7m", MONDAY, MONDAY + DAY)
            with pytest.raises(ApexError, match="no trades by number"):
                await ask.trades_from(eth("binance"), 1)
        async with asking(exchange, "binanceusdm", unified=True) as (_, ask):
            paid = await ask.funding(eth("binanceusdm"), MONDAY, MONDAY + DAY)
        assert paid.ts.tolist() == [MONDAY, MONDAY + 8 * HOUR, MONDAY + 16 * HOUR]

    with_exchange(work, given)
