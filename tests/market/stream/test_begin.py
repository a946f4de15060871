"""Where a feed begins: joined to what the store holds."""

from dataclasses import replace

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.market.store import MarketStore
from apex_trader.market.stream.begin import Recording, first_second, history_end, recording
from apex_trader.time import DAY, HOUR, SECOND
from tests.market.samples import MONDAY
from tests.market.stream.tapes import tape
from tests.state.state_markets import random_minutes

ETH, BTC = "binance:ETHUSDT", "binance:BTCUSDT"


def held(end: int, *, numbered: bool = True) -> Recording:
    last = tape(1, 1)
    return Recording(MONDAY, end, last if numbered else replace(last, id=None))


def first(
    now: int, since: int | None = None, reach: int = DAY, numbered: bool = True,
    history: dict[str, int | None] | None = None, **recordings: Recording | None,
) -> int:  # fmt: skip
    numbers = dict.fromkeys(recordings, numbered)
    return first_second(since, now, reach, recordings, numbers, history or {})


def test_without_a_recording_the_next_whole_second_is_the_first() -> None:
    assert first(MONDAY + 1, eth=None, btc=None) == MONDAY + SECOND
    assert first(MONDAY + 1, eth=held(MONDAY), btc=None) == MONDAY + SECOND


def test_a_market_without_a_recording_joins_on_to_its_bars() -> None:
    now, bars = MONDAY + 2 * HOUR, {"eth": MONDAY + HOUR, "btc": MONDAY + HOUR // 2}
    assert first(now, history=bars, eth=None, btc=None) == MONDAY + HOUR // 2
    assert first(now, history=bars, eth=None, btc=held(MONDAY + 7 * SECOND)) == MONDAY + 7 * SECOND
    assert first(now, history=bars, eth=None, btc=None, sol=None) == now, "sol has nothing"
    assert first(now, reach=HOUR, history=bars, eth=None, btc=None) == now, "too far back"


def test_history_ends_where_the_last_seconds_or_minutes_do(store: MarketStore) -> None:
    assert history_end(store, ETH) is None
    rng = np.random.default_rng(1)
    store.write_bars(ETH, random_minutes(rng, MONDAY, MONDAY + HOUR, 2000.0))
    assert history_end(store, ETH) == MONDAY + HOUR


def test_with_recordings_no_second_is_missing() -> None:
    now = MONDAY + HOUR
    ends = {"eth": held(MONDAY + 90 * SECOND + 7), "btc": held(MONDAY + 300 * SECOND)}
    assert first(now, **ends) == MONDAY + 90 * SECOND


def test_a_recording_without_ids_cannot_be_joined_inside_a_second() -> None:
    end = held(MONDAY + 90 * SECOND + 7, numbered=False)
    assert first(MONDAY + HOUR, eth=end) == MONDAY + 91 * SECOND
    assert first(MONDAY + HOUR, eth=end, numbered=False) == MONDAY + 90 * SECOND


def test_a_time_asked_for_is_rounded_to_a_whole_second() -> None:
    assert first(MONDAY + HOUR, since=MONDAY + 5, eth=held(MONDAY + 9)) == MONDAY + SECOND


def test_what_is_out_of_reach_is_refused() -> None:
    with pytest.raises(ApexError, match="where the store ends"):
        first(MONDAY + 2 * DAY, eth=held(MONDAY + HOUR))
    with pytest.raises(ApexError, match="download"):
        first(MONDAY + 2 * DAY, since=MONDAY, eth=None)


def test_a_recording_is_found_with_its_last_trade_across_days(store: MarketStore) -> None:
    trades = tape(2, 50, start=MONDAY + DAY - 2 * SECOND)
    assert trades.ts[0] < MONDAY + DAY < trades.ts[-1]
    quiet = (int(trades.ts[0]), MONDAY + 3 * DAY)
    store.write_trades(ETH, trades, covered=quiet)
    found = recording(store, ETH)
    assert found is not None
    assert trades.id is not None
    assert (found.begin, found.end) == (quiet[0] // SECOND * SECOND, quiet[1])
    assert found.last.id is not None
    assert found.last.id[0] == trades.id[-1]
    assert found.numbered


def test_of_several_recordings_the_last_that_has_begun_counts(store: MarketStore) -> None:
    early = tape(3, 20, first=1)
    late = tape(4, 20, first=1000, start=MONDAY + HOUR)
    store.write_trades(ETH, early)
    store.write_trades(ETH, late)
    newest, oldest = recording(store, ETH), recording(store, ETH, MONDAY + HOUR // 2)
    assert newest is not None
    assert oldest is not None
    assert late.id is not None
    assert early.id is not None
    assert newest.last.id == late.id[-1]
    assert oldest.last.id == early.id[-1]
    assert recording(store, ETH, MONDAY - 1) is None
    assert recording(store, BTC) is None
    assert recording(None, ETH) is None
