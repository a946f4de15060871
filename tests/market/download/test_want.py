"""What is wanted, what is missing of it, and what an exchange does not have."""

from pathlib import Path

import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.download.download import market_name, untouched_days
from apex_trader.market.download.want import (
    Want,
    check_span,
    has_archive,
    missing,
    offered,
    total,
    want,
)
from apex_trader.market.exchange.listings import Listing
from apex_trader.market.store import MarketStore
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.market.samples import MONDAY, random_bars

ETH = "binance:ETHUSDT"
LISTING = Listing("ETHUSDT", "ETH/USDT", "spot", 0.01, 0.0001, 5.0)


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "store")


def made(kind: str, start: int, end: int, now: int = MONDAY + 99 * DAY) -> Want:
    return want(LISTING, ETH, kind, start, end, now)


def test_bars_are_wanted_whole_and_only_when_they_are_over() -> None:
    half = 30 * MINUTE
    hours = made("1h", MONDAY + half, MONDAY + 5 * HOUR + half)
    assert (hours.start, hours.end) == (MONDAY + HOUR, MONDAY + 5 * HOUR)
    now = made("1h", MONDAY, MONDAY + DAY, now=MONDAY + 3 * HOUR + SECOND)
    # The bar that closed a second ago may still be corrected.
    assert now.end == MONDAY + 2 * HOUR
    events = made("trades", MONDAY + 500_000, MONDAY + 2_700_000)
    assert (events.start, events.end) == (MONDAY + SECOND, MONDAY + 2 * SECOND)


def test_missing_is_what_no_import_speaks_for(store: MarketStore) -> None:
    wanted = made("1m", MONDAY, MONDAY + 3 * HOUR)
    assert missing(store, wanted).tolist() == [[MONDAY, MONDAY + 3 * HOUR]]
    store.write_bars(ETH, random_bars(0, 60, "1m", MONDAY + HOUR))
    assert missing(store, wanted).tolist() == [
        [MONDAY, MONDAY + HOUR], [MONDAY + 2 * HOUR, MONDAY + 3 * HOUR],
    ]  # fmt: skip
    assert total(missing(store, wanted)) == 2 * HOUR


def test_days_that_are_there_in_part_are_left_to_rest(store: MarketStore) -> None:
    wanted = made("1m", MONDAY - DAY, MONDAY + 2 * DAY)
    parts = missing(store, wanted)
    assert untouched_days(store, wanted, parts).tolist() == parts.tolist()
    store.write_bars(ETH, random_bars(0, 60, "1m", MONDAY + HOUR))
    parts = missing(store, wanted)
    assert untouched_days(store, wanted, parts).tolist() == [
        [MONDAY - DAY, MONDAY], [MONDAY + DAY, MONDAY + 2 * DAY],
    ]  # fmt: skip


def test_kinds_that_an_exchange_has_not_are_left_out_with_a_word() -> None:
    kinds, remarks = offered("binance", ["funding", "1m", "trades", "1m"])
    assert kinds == ["trades", "1m"]
    assert remarks == ["binance funding: left out, spot markets pay no funding"]
    with pytest.raises(ApexError, match="trades give them"):
        offered("binanceusdm", ["1s"])
    with pytest.raises(ConfigError, match="one of trades, 1s"):
        offered("binance", ["1min"])
    with pytest.raises(ApexError, match="--kinds is empty"):
        offered("binance", [])


def test_impossible_times_are_refused() -> None:
    with pytest.raises(ConfigError, match="before --to"):
        check_span(MONDAY, MONDAY, MONDAY + DAY)
    with pytest.raises(ConfigError, match="in the past"):
        check_span(MONDAY + 2 * DAY, MONDAY + 3 * DAY, MONDAY + DAY)
    check_span(MONDAY, MONDAY + 9 * DAY, MONDAY + DAY)


def test_a_market_is_named_by_its_id_where_that_can_be_a_name() -> None:
    assert market_name("binance", LISTING) == ETH
    odd = Listing("tETH:USDT", "ETH/USDT:USDT", "perpetual", None, None, None)
    assert market_name("bitfinex", odd) == "bitfinex:ETHUSDT"
    assert has_archive("binanceusdm")
    assert not has_archive("kraken")
