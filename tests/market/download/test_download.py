"""Downloading from the local exchange: what arrives, from where, and what a second run does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.exchange.retry import UnreachableError
from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.time import DAY, HOUR, MINUTE
from tests.local_exchange import Clock, Feed, Listing
from tests.local_exchange.faults import CorruptZip, Garbage, On, Status, TruncatedZip, WrongChecksum
from tests.market.download.helpers import SPOT, content, fetch, opened, request
from tests.market.exchange.local import feed, listing, numbered_trades
from tests.market.samples import MONDAY, random_bars

ETH, PERPETUAL = "binance:ETHUSDT", "binanceusdm:ETHUSDT"


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "store")


def other(store: MarketStore, name: str) -> MarketStore:
    return MarketStore(Path(store.url).parent / name)


@pytest.mark.parametrize("source", ["archive", "rest", "auto"])
def test_a_day_of_every_kind(store: MarketStore, source: str) -> None:
    given = feed()
    with opened(given) as exchange:
        result = fetch(store, request(exchange, source=source))
    assert result.complete
    assert store.kinds(ETH) == list(SPOT)
    wanted = given.find("spot", "ETHUSDT").trades  # type: ignore[union-attr]
    trades = store.read_trades(ETH)
    for column in ("ts", "price", "amount", "side", "id"):
        np.testing.assert_array_equal(getattr(trades, column), getattr(wanted, column))
    assert store.read_bars(ETH, "1m").count.sum() == len(wanted)
    assert len(store.read_bars(ETH, "1d")) == 1
    for kind in SPOT:
        assert store.coverage(ETH, kind).tolist() == [[MONDAY, MONDAY + DAY]]
    assert all(r.new_rows == r.rows > 0 and r.size > 0 for r in result.wants)


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
def test_archive_and_rest_give_the_same_bytes(store: MarketStore, name: str) -> None:
    with opened(feed(count=1500)) as exchange:
        fetch(store, request(exchange, name, source="archive", kinds=("trades", "1m", "1d")))
        fetch(rest := other(store, "rest"),
              request(exchange, name, source="rest", kinds=("trades", "1m", "1d")))  # fmt: skip
    assert content(store) == content(rest)


def test_a_second_run_downloads_nothing(store: MarketStore) -> None:
    with opened(feed(count=500)) as exchange:
        fetch(store, request(exchange))
        before, asked = content(store), exchange.counts.copy()
        result = fetch(store, request(exchange))
        new = exchange.counts - asked
    assert content(store) == before
    assert [(r.missing, r.rows, r.size) for r in result.wants] == [(0, 0, 0)] * 5
    assert not any("aggTrades" in name or "klines" in name or ".zip" in name for name in new)


def test_a_month_comes_in_one_file_and_odd_days_one_by_one(store: MarketStore) -> None:
    start = MONDAY - 4 * DAY  # 2024-02-29, so that March lies inside
    asked: list[str] = []
    given = Feed([listing(ETH, numbered_trades(1, 3000, start, 34 * DAY))])
    with opened(given) as exchange:
        exchange.follow(lambda r: asked.append(r.path) if r.part == "archive" else None)
        result = fetch(store, request(exchange, start=start, end=start + 33 * DAY, kinds=("1h",)))
    files = [path.rpartition("/")[2] for path in asked if path.endswith(".zip")]
    assert sorted(files) == ["ETHUSDT-1h-2024-02-29.zip", "ETHUSDT-1h-2024-03.zip",
                             "ETHUSDT-1h-2024-04-01.zip"]  # fmt: skip
    assert result.complete
    assert len(store.read_bars(ETH, "1h")) == 33 * 24


def test_a_month_that_is_not_published_comes_by_the_day(store: MarketStore) -> None:
    start = MONDAY - 3 * DAY  # 2024-03-01
    given = Feed([listing(ETH, numbered_trades(1, 3000, start, 31 * DAY))])
    with opened(given) as exchange:
        exchange.follow([On(Status(404), "monthly")])
        result = fetch(store, request(exchange, start=start, end=start + 31 * DAY, kinds=("1d",),
                                      source="archive"))  # fmt: skip
    assert result.complete
    assert len(store.read_bars(ETH, "1d")) == 31


def test_what_the_archive_lacks_comes_by_rest(store: MarketStore) -> None:
    with opened(feed(days=3)) as exchange:
        exchange.follow([On(Status(404), "2024-03-05.zip")])
        wanted = request(exchange, end=MONDAY + 3 * DAY, kinds=("trades", "1m"))
        only = fetch(other(store, "files"), replace(wanted, source="archive"))
        both = fetch(store, wanted)
    tuesday = [[MONDAY + DAY, MONDAY + 2 * DAY]]
    assert [r.lacking.tolist() for r in only.wants] == [tuesday, tuesday]
    assert not only.complete
    assert not only.failures
    assert both.complete
    assert len(store.read_trades(ETH)) == 4000


def test_today_comes_by_rest_up_to_the_last_whole_bar(store: MarketStore) -> None:
    given = feed()
    noon = MONDAY + 12 * HOUR + 30 * MINUTE
    with opened(given, clock=Clock(noon, speed=0)) as exchange:
        wanted = request(exchange, kinds=("trades", "1m", "1h"), end=None)
        result = fetch(store, wanted)
        assert result.complete
        assert store.read_bars(ETH, "1h").ts[-1] == MONDAY + 11 * HOUR
        assert store.read_bars(ETH, "1m").ts[-1] == MONDAY + 12 * HOUR + 28 * MINUTE
        trades = store.read_trades(ETH)
        assert noon - 20 * MINUTE < trades.ts[-1] < noon
        # Later the rest of the day follows, without a file that would bring the morning again.
        exchange.clock.advance_to(MONDAY + 2 * DAY)
        asked: list[str] = []
        exchange.follow(lambda r: asked.append(r.path) if r.path.endswith(".zip") else None)
        assert fetch(store, replace(wanted, end=MONDAY + DAY)).complete
        assert asked == []
    with opened(given) as exchange:
        at_once = other(store, "at once")
        fetch(at_once, replace(request(exchange), kinds=wanted.kinds))
    assert content(store) == content(at_once)


def test_perpetuals_and_their_funding(store: MarketStore) -> None:
    with opened(feed(count=500)) as exchange:
        result = fetch(store, request(exchange, "binanceusdm", kinds=("1s", "1m", "funding")))
    assert result.complete
    assert result.remarks == ["binanceusdm 1s: left out, Binance has no 1 s bars of futures; "
                              "trades give them"]  # fmt: skip
    assert store.info(PERPETUAL).instrument == "perpetual"
    assert len(store.read_funding(PERPETUAL)) == 3


def test_a_months_funding_comes_in_a_file(store: MarketStore) -> None:
    start = MONDAY - 3 * DAY
    given = Feed([listing(PERPETUAL, numbered_trades(1, 300, start, 32 * DAY))])
    with opened(given) as exchange:
        span = {"start": start, "end": start + 31 * DAY, "kinds": ("funding",)}
        fetch(store, request(exchange, "binanceusdm", source="archive", **span))
        fetch(rest := other(store, "rest"), request(exchange, "binanceusdm", source="rest", **span))
    assert len(store.read_funding(PERPETUAL)) == 93
    assert content(store) == content(rest)


def test_what_the_exchange_says_of_a_market_is_kept(store: MarketStore) -> None:
    with opened(feed(count=300)) as exchange:
        fetch(store, request(exchange, kinds=("1d",)))
    info = store.info(ETH)
    assert (info.tick_size, info.lot_size, info.min_notional) == (0.01, 0.0001, 5.0)


@pytest.mark.parametrize("fault", [WrongChecksum(), TruncatedZip(), CorruptZip()])
def test_a_bad_file_is_fetched_once_more(store: MarketStore, fault: object) -> None:
    with opened(feed(count=200)) as exchange:
        exchange.follow([On(fault, "1m", times=1)])  # type: ignore[arg-type]
        assert fetch(store, request(exchange, kinds=("1m",))).complete
    assert content(store)


def test_a_file_that_stays_bad_fails_alone(store: MarketStore) -> None:
    with opened(feed(count=200, days=2)) as exchange:
        exchange.follow([On(WrongChecksum(), "2024-03-04")])
        result = fetch(store, request(exchange, kinds=("1m",), end=MONDAY + 2 * DAY))
    assert len(result.failures) == 1
    assert "ETHUSDT-1m-2024-03-04.zip" in result.failures[0]
    assert "--source rest" in result.failures[0]
    assert store.coverage(ETH, "1m").tolist() == [[MONDAY + DAY, MONDAY + 2 * DAY]]
    # Nothing of the bad file is left behind.
    assert not any(".zip" in name for name in content(store))


@pytest.mark.parametrize("source", ["archive", "rest"])
def test_a_bad_row_is_not_the_users_to_correct(store: MarketStore, source: str) -> None:
    bars = random_bars(1, 60, "1m")
    low = bars.low.copy()
    low[17] = bars.high[17] + 1
    bad = Listing(MarketInfo(ETH), bars={"1m": replace(bars, low=low)})
    with opened(Feed([bad])) as exchange:
        result = fetch(store, request(exchange, source=source, kinds=("1m",)))
    assert len(result.failures) == 1
    assert "row 17" in result.failures[0]
    assert "ry again later" in result.failures[0]
    assert "import" not in result.failures[0]
    assert store.markets() == []


def test_files_are_kept_where_the_user_wants_them(store: MarketStore, tmp_path: Path) -> None:
    with opened(feed(count=200)) as exchange:
        fetch(store, request(exchange, kinds=("1d",), keep=tmp_path / "kept"))
    kept = tmp_path / "kept/data/spot/daily/klines/ETHUSDT/1d/ETHUSDT-1d-2024-03-04.zip"
    assert kept.is_file()
    assert not any(".downloads" in name for name in content(store))


def test_a_place_that_cannot_be_written_ends_the_download(
    store: MarketStore, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("no folder")
    with (
        opened(feed(count=50)) as exchange,
        pytest.raises(ApexError, match=r"a file.* cannot be written: Not a directory"),
    ):
        fetch(store, request(exchange, kinds=("1d",), keep=tmp_path / "a file" / "kept"))


def test_replacing_mends_rows_that_went_wrong(store: MarketStore) -> None:
    with opened(feed(count=200)) as exchange:
        fetch(store, request(exchange, kinds=("1m",)))
        right = content(store)
        bars = store.read_bars(ETH, "1m")
        store.write_bars(ETH, replace(bars, volume=bars.volume * 2), replace=True,
                         covered=(MONDAY, MONDAY + DAY))  # fmt: skip
        assert content(store) != right
        assert fetch(store, request(exchange, kinds=("1m",))).complete
        assert content(store) != right
        fetch(store, request(exchange, kinds=("1m",), replace=True))
    assert content(store) == right


def test_a_last_trade_of_an_impossible_time_is_not_the_end_of_the_history(
    store: MarketStore,
) -> None:
    given = feed(count=50)
    trades = given.find("spot", "ETHUSDT").trades  # type: ignore[union-attr]
    assert trades.id is not None
    wrong = trades.ts.copy()
    wrong[-1] = MONDAY + 1000 * DAY
    rows = [
        {"a": number, "p": f"{price:.8f}", "q": f"{amount:.8f}", "T": ts // 1000, "m": side < 0}
        for number, price, amount, ts, side in zip(
            trades.id.tolist(), trades.price, trades.amount, wrong.tolist(), trades.side.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    answer = Garbage(json.dumps(rows))
    with opened(given) as exchange:
        wanted = request(exchange, source="rest", kinds=("trades",))
        exchange.follow(lambda r: answer if "fromId" in r.query else None)
        result = fetch(store, wanted)
        assert not result.complete
        assert "row 49, field 'ts'" in result.failures[0]
        assert store.markets() == []
        exchange.follow()
        assert fetch(store, wanted).complete
    assert len(store.read_trades(ETH)) == 50


def test_the_time_before_a_listing_is_known_to_be_empty(store: MarketStore) -> None:
    with opened(feed(count=500)) as exchange:
        result = fetch(store, request(exchange, start=MONDAY - 60 * DAY, end=MONDAY + DAY,
                                      kinds=("trades", "1h"), source="rest"))  # fmt: skip
        asked = exchange.counts.total()
    assert result.complete
    assert len(store.read_trades(ETH)) == 500
    assert asked < 40, "sixty empty days are not looked through hour by hour"


@pytest.mark.parametrize("source", ["archive", "auto", "rest"])
def test_a_mistyped_symbol_names_the_one_that_was_meant(store: MarketStore, source: str) -> None:
    with (
        opened(feed(count=10)) as exchange,
        pytest.raises(ApexError, match="did you mean ETHUSDT"),
    ):
        fetch(store, request(exchange, symbols=("ETHUSD",), source=source))
    assert store.markets() == []


def test_a_symbol_that_is_named_twice_is_downloaded_once(store: MarketStore) -> None:
    with opened(feed()) as exchange:
        result = fetch(store, request(exchange, symbols=("ETHUSDT", "ETH/USDT"), kinds=("1h",)))
    assert [str(r.want) for r in result.wants] == ["binance:ETHUSDT 1h"]


def test_impossible_requests_are_named(store: MarketStore) -> None:
    with opened(feed(count=10)) as exchange:
        with pytest.raises(ConfigError, match="kind="):
            fetch(store, request(exchange, kinds=("5m",)))
        with pytest.raises(ConfigError, match="before --to"):
            fetch(store, request(exchange, start=MONDAY + DAY, end=MONDAY))
        with pytest.raises(ConfigError, match="in the past"):
            fetch(store, request(exchange, start=MONDAY + 900 * DAY, end=MONDAY + 901 * DAY))
        with pytest.raises(ApexError, match="spot markets pay no funding"):
            fetch(store, request(exchange, kinds=("funding",)))
        for field, value in (("source", "ftp"), ("concurrency", 0), ("checksums", "maybe")):
            with pytest.raises(ConfigError):
                request(exchange, **{field: value})
        with pytest.raises(ApexError, match="--source rest"):
            request(exchange, "kraken", source="archive")


def test_nobody_there_names_the_address(store: MarketStore) -> None:
    with opened(feed(count=10)) as exchange:
        wanted = request(exchange, source="rest", settings={"retries": 1})
        address = exchange.rest_url
    for source in ("rest", "auto", "archive"):
        with pytest.raises(UnreachableError, match=address):
            fetch(store, replace(wanted, source=source))  # type: ignore[arg-type]
    assert store.markets() == []


def test_an_exchange_that_is_silent_does_not_keep_from_its_archive(store: MarketStore) -> None:
    with opened(feed(count=100)) as exchange:
        exchange.follow([On(Status(503), "/api/")])
        result = fetch(store, request(exchange, kinds=("1m",), settings={"retries": 1}))
        assert result.complete
        with pytest.raises(UnreachableError, match="503"):
            fetch(store, request(exchange, kinds=("1m",), end=MONDAY + 2 * DAY,
                                 settings={"retries": 1}))  # fmt: skip
