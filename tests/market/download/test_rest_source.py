"""History over REST: pages put together so that nothing is lost or doubled at their edges."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market import intervals
from apex_trader.market.download import rest_source
from apex_trader.market.download.rest_source import RestSource
from apex_trader.market.download.source import Delivery, RowsDelivery
from apex_trader.market.download.want import Want
from apex_trader.market.exchange.listings import Listing
from apex_trader.market.kinds import concatenate
from apex_trader.market.types import Bars, Funding, Trades
from apex_trader.time import DAY, HOUR, MINUTE
from tests.market.download.helpers import Silent
from tests.market.samples import MONDAY, random_bars

LISTING = Listing("ETHUSDT", "ETH/USDT", "spot", 0.01, 0.0001, 5.0)


class NoBytes:
    """Requests that are only asked how much came."""

    def received(self) -> int:
        return 0


@dataclass
class Memory:
    """``Pages`` over arrays; ``page`` rows at most, trades of ``hidden`` numbers left out."""

    all_trades: Trades
    page: int
    numbered: bool = True
    window: int | None = HOUR
    all_bars: Bars | None = None
    hidden: frozenset[int] = frozenset()
    asked: list[str] = field(default_factory=list)

    async def time(self) -> int:
        return MONDAY + 100 * DAY

    async def trades(self, listing: Listing, start: int, end: int) -> Trades:
        self.asked.append("trades")
        end = end if self.window is None else min(end, start + self.window)
        return self.all_trades.between(start, end).slice(0, self.page)

    async def trades_from(self, listing: Listing, number: int) -> Trades:
        self.asked.append(f"from {number}")
        assert self.all_trades.id is not None
        seen = self.all_trades.take(~np.isin(self.all_trades.id, list(self.hidden)))
        assert seen.id is not None
        at = int(np.searchsorted(seen.id, number))
        return seen.slice(at, at + self.page)

    async def bars(self, listing: Listing, clock: str, start: int, end: int) -> Bars:
        self.asked.append(f"{clock} bars")
        assert self.all_bars is not None
        return self.all_bars.between(start, end).slice(0, self.page)

    async def funding(self, listing: Listing, start: int, end: int) -> Funding:
        times = np.arange(MONDAY, MONDAY + 4 * DAY, 8 * HOUR)
        return Funding(times, times / 1e18).between(start, end).slice(0, self.page)


def made(milliseconds: Sequence[int]) -> Trades:
    """Trades at these times (ms after the start), each of its own price."""
    count = len(milliseconds)
    ts = MONDAY + np.sort(np.array(milliseconds, np.int64)) * 1000
    return Trades(
        ts, 2000 + np.arange(count) / 100, np.ones(count), np.ones(count, np.int8),
        np.arange(70, 70 + count, dtype=np.int64),
    )  # fmt: skip


def brought(
    ask: Memory, kind: str, start: int, end: int, batch: int = 50, watch: Silent | None = None
) -> list[RowsDelivery]:
    """What the source hands over of a want, in batches of that many rows."""
    deliveries: list[RowsDelivery] = []

    async def take(delivery: Delivery) -> None:
        assert isinstance(delivery, RowsDelivery)
        deliveries.append(delivery)

    wanted = Want(LISTING, "binance:ETHUSDT", kind, start, end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest_source, "PAGE", ask.page)
        patch.setattr(rest_source, "BATCH", batch)
        source = RestSource(NoBytes(), ask, watch or Silent())  # type: ignore[arg-type]
        asyncio.run(source.deliver(wanted, intervals.one(start, end), take))
    return deliveries


def covered(deliveries: list[RowsDelivery]) -> list[list[int]]:
    return intervals.union(*(intervals.one(*d.covered) for d in deliveries)).tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=60), st.integers(1, 7), st.integers(1, 30),
    st.integers(0, 40), st.integers(1, 50), st.booleans(),
)  # fmt: skip
def test_no_trade_is_lost_or_doubled(
    times: list[int], page: int, batch: int, start: int, length: int, numbered: bool
) -> None:
    trades = made([t * 100 for t in times])
    most = int(np.unique(trades.ts, return_counts=True)[1].max()) if times else 0
    # Without numbers, a page must hold more than the trades of one moment.
    page = page if numbered else max(page, most + 1)
    low, high = MONDAY + start * 100_000, MONDAY + (start + length) * 100_000
    ask = Memory(trades, page, numbered, HOUR if numbered else None,
                 random_bars(0, 2, "1h", zero=0))  # fmt: skip
    deliveries = brought(ask, "trades", low, high, batch)
    wanted = trades.between(low, high)
    rows = concatenate("trades", [d.rows for d in deliveries])
    for column in ("ts", "price"):
        np.testing.assert_array_equal(getattr(rows, column), getattr(wanted, column))
    if numbered or len(wanted):
        assert covered(deliveries) == [[low, high]]
    for delivery in deliveries:
        inside = delivery.rows.between(*delivery.covered)
        assert len(inside) == len(delivery.rows)


def test_a_page_that_ends_inside_a_millisecond_loses_nothing() -> None:
    trades = made([0] * 3 + [5] * 1200 + [9] * 3)
    deliveries = brought(Memory(trades, 100), "trades", MONDAY, MONDAY + MINUTE, batch=250)
    rows = concatenate("trades", [d.rows for d in deliveries])
    np.testing.assert_array_equal(rows.price, trades.price)  # type: ignore[union-attr]


def test_a_hole_in_the_numbers_is_looked_at_twice_and_told() -> None:
    watch = Silent()
    ask = Memory(made(range(50)), 10, hidden=frozenset({85, 86}))
    deliveries = brought(ask, "trades", MONDAY, MONDAY + MINUTE, watch=watch)
    assert sum(len(d.rows) for d in deliveries) == 48
    assert ask.asked.count("from 80") == 2
    assert watch.remarks == [
        "binance:ETHUSDT trades: the exchange leaves out 2 trade numbers after 80"
    ]


def test_a_number_that_is_told_twice_is_no_hole() -> None:
    watch, rows = Silent(), made(range(10))
    ask = Memory(rows.take(np.array([0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9])), 100)
    brought(ask, "trades", MONDAY, MONDAY + MINUTE, watch=watch)
    assert watch.remarks == []


def test_a_long_silence_is_skipped_with_the_help_of_bars() -> None:
    trades = made(range(20))
    bars = random_bars(0, 30, "1h", zero=0)
    ask = Memory(trades, 10, all_bars=bars)
    deliveries = brought(ask, "trades", MONDAY - 300 * DAY, MONDAY + MINUTE)
    assert sum(len(d.rows) for d in deliveries) == 20
    assert len(ask.asked) < 10
    assert covered(deliveries) == [[MONDAY - 300 * DAY, MONDAY + MINUTE]]


def test_a_time_without_trades_is_known_to_be_empty() -> None:
    nothing = random_bars(0, 1, "1h").slice(0, 0)
    ask = Memory(made([]), 10, all_bars=nothing)
    deliveries = brought(ask, "trades", MONDAY, MONDAY + 5 * DAY)
    assert covered(deliveries) == [[MONDAY, MONDAY + 5 * DAY]]


def test_where_nothing_is_numbered_silence_proves_nothing() -> None:
    ask = Memory(made(range(0, 600_000, 60_000)), 4, numbered=False, window=None)
    late = MONDAY - 10 * DAY
    deliveries = brought(ask, "trades", late, MONDAY + DAY)
    # From the first row to the last, and no further.
    assert covered(deliveries) == [[MONDAY, MONDAY + 540_000_001]]
    bars = Memory(made([]), 7, numbered=False, all_bars=random_bars(1, 50, "1m"))
    deliveries = brought(bars, "1m", late, MONDAY + DAY)
    assert covered(deliveries) == [[MONDAY, MONDAY + 50 * MINUTE]]


@pytest.mark.parametrize("page", [1, 7, 500])
def test_bars_and_funding_follow_each_other(page: int) -> None:
    bars = random_bars(3, 300, "1m")
    absent = bars.take(np.r_[0:100, 160:300].astype(np.int64))
    ask = Memory(made([]), page, all_bars=absent)
    deliveries = brought(ask, "1m", MONDAY, MONDAY + 5 * HOUR)
    rows = concatenate("1m", [d.rows for d in deliveries])
    np.testing.assert_array_equal(rows.ts, absent.ts)
    assert covered(deliveries) == [[MONDAY, MONDAY + 5 * HOUR]]
    deliveries = brought(ask, "funding", MONDAY, MONDAY + 2 * DAY)
    assert sum(len(d.rows) for d in deliveries) == 6
    assert covered(deliveries) == [[MONDAY, MONDAY + 2 * DAY]]
