"""Which files of the archive hold a stretch of time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.market import intervals
from apex_trader.market.download.layout import days_of, files_for
from apex_trader.market.download.want import Want
from apex_trader.market.exchange.listings import Listing
from apex_trader.time import DAY, HOUR, parse_time

LISTING = Listing("ETHUSDT", "ETH/USDT", "spot", 0.01, 0.0001, 5.0)
BEGIN, LATER = parse_time("2024-01-01"), parse_time("2030-01-01")


def wanted(kind: str, exchange: str = "binance") -> Want:
    return Want(LISTING, f"{exchange}:ETHUSDT", kind, 0, LATER)


def names(
    kind: str, start: str, end: str, now: int = LATER, exchange: str = "binance"
) -> list[str]:
    parts = intervals.one(parse_time(start), parse_time(end))
    return [file.path for file in files_for(wanted(kind, exchange), parts, now)]


def test_paths_of_spot_and_futures() -> None:
    spot, futures = "data/spot/monthly", "data/futures/um/monthly"
    span = ("2024-02-01", "2024-03-01")
    assert names("trades", *span) == [f"{spot}/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-02.zip"]
    assert names("1s", *span) == [f"{spot}/klines/ETHUSDT/1s/ETHUSDT-1s-2024-02.zip"]
    assert names("1m", *span, exchange="binanceusdm") == [
        f"{futures}/klines/ETHUSDT/1m/ETHUSDT-1m-2024-02.zip"
    ]
    assert names("funding", *span, exchange="binanceusdm") == [
        f"{futures}/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-02.zip"
    ]


def test_a_month_that_is_not_over_comes_by_the_day() -> None:
    now = parse_time("2024-02-03T12:00")
    found = [n.rpartition("/")[2] for n in names("1d", "2024-01-01", "2024-03-01", now)]
    assert found == ["ETHUSDT-1d-2024-01.zip", "ETHUSDT-1d-2024-02-01.zip",
                     "ETHUSDT-1d-2024-02-02.zip"]  # fmt: skip


def test_funding_of_part_of_a_month_comes_with_the_month_and_has_no_days() -> None:
    found = names("funding", "2024-01-20", "2024-02-02", exchange="binanceusdm")
    assert [n[-11:] for n in found] == ["2024-01.zip", "2024-02.zip"]
    parts = intervals.one(BEGIN, BEGIN + DAY)
    assert days_of(wanted("funding", "binanceusdm"), parts, LATER) == []


@given(
    st.lists(st.tuples(st.integers(0, 2400), st.integers(1, 1200)), min_size=1, max_size=4),
    st.sampled_from(["trades", "1m", "1d"]),
)
def test_files_hold_all_of_the_time_and_none_twice(hours: list[tuple[int, int]], kind: str) -> None:
    edges = [[BEGIN + a * HOUR, BEGIN + (a + n) * HOUR] for a, n in hours]
    parts = intervals.union(np.array(edges, np.int64))
    files = files_for(wanted(kind), parts, LATER)
    spans = np.array([file.covered for file in files], np.int64)
    assert len(intervals.subtract(parts, spans)) == 0
    assert np.all(spans[1:, 0] >= spans[:-1, 1]), "no time is in two files"
    for file in files:
        inside = intervals.clip(parts, *file.covered)
        assert len(inside), "each file holds some of it"
        if file.monthly:
            assert inside.tolist() == [list(file.covered)], "a month is wanted whole"


@pytest.mark.parametrize("kind", ["trades", "1m"])
def test_names_are_those_that_the_importer_reads(kind: str) -> None:
    (file,) = files_for(wanted(kind), intervals.one(BEGIN, BEGIN + HOUR), LATER)
    assert (file.name.market, file.name.kind) == ("binance:ETHUSDT", kind)
    assert file.covered == (BEGIN, BEGIN + DAY)
