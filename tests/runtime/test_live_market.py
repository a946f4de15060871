"""Live days by number: what was learned of a day stays where the day is the same again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apex_trader.market.store import MarketStore
from apex_trader.runtime.config import Config
from apex_trader.runtime.live_market import LiveMarket, surplus_days
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.time import HOUR, format_date
from tests.runtime.recorded_feed import RecordedFeed

pytestmark = pytest.mark.slow

BEGUN = 9 * HOUR


@pytest.fixture(scope="module")
def config(tiny: Config, days: list[int]) -> Config:
    rollout = replace(tiny.rollout, source="stream", seal_every=600, episode_steps=0)
    periods = replace(tiny.periods, end=format_date(days[4]))
    return replace(tiny, rollout=rollout, periods=periods)


def live(config: Config, days: list[int], start: int, end: int, before: Any = None, **options: Any):
    """(the live market of a feed from ``start`` to ``end`` µs of the fifth day, its data)."""
    data = MarketData(config, RunFolder("unused"))
    data.registry.follows_stream = True
    if before is not None:
        data.registry.load_state_dict(before)
    store = MarketStore(config.market.store)
    markets = [config.market.primary, config.market.reference]
    feed = RecordedFeed(store, markets, days[4] + start, days[4] + end, **options)
    return LiveMarket(config, data, store, feed), data


def hear_all(market: LiveMarket) -> list[int]:
    """Numbers of the days that went on, in order, with repeats."""
    went_on: list[int] = []
    while not market.ended:
        went_on += market.poll()
    return went_on


@pytest.fixture(scope="module")
def first(config: Config, days: list[int]) -> tuple[LiveMarket, dict[str, Any]]:
    """(the market after two hours, the registry's state)."""
    market, data = live(config, days, BEGUN, BEGUN + 2 * HOUR)
    assert set(hear_all(market)) == {4}
    return market, data.registry.state_dict()


def test_a_day_that_was_live_before_is_built_as_it_was_sealed(config, days, first):
    """Also where the store holds more of it by now: a reference keeps its meaning."""
    heard, state = first
    market, _ = live(config, days, BEGUN + 4 * HOUR, BEGUN + 5 * HOUR, state)
    assert market.take_changed() == []
    assert market.unproven == []
    sealed, built = heard.segment(4), market.segment(4)
    assert built.key == sealed.key
    assert built.rows == sealed.rows
    for name, table in sealed.tables.items():
        np.testing.assert_array_equal(built.tables[name], table)
    for name in ("fill", "fill_ts", "next_row", "episode", "funding"):
        known, there = getattr(sealed.outcomes, name), getattr(built.outcomes, name)
        np.testing.assert_array_equal(there[:-1], known[:-1])
    assert built.outcomes.next_row[-1] == -1


def test_what_a_crash_kept_from_the_store_is_heard_again_first(config, days, first):
    """Nothing of a day is handed out before all that was known of it is there again."""
    heard, state = first
    rows = heard.segment(4).rows
    market, data = live(config, days, BEGUN + HOUR, BEGUN + 3 * HOUR, state)
    assert market.unproven == [4]
    while not market.poll():
        assert market.numbers == []
    assert market.numbers == [4]
    assert market.unproven == market.take_changed() == []
    assert market.segment(4).rows >= rows
    assert hear_all(market)
    assert list(data.registry.live) == [4]


@pytest.mark.parametrize("begin", [BEGUN + HOUR, BEGUN + 4 * HOUR])
def test_a_day_that_is_another_one_goes_and_gets_another_number(config, days, first, begin):
    """Whether the store or the feed shows it: a trade came late, or was heard twice."""
    _, state = first
    state = {**state, "keys": {**state["keys"], "4": "0" * 32}}
    market, data = live(config, days, begin, begin + 4 * HOUR, state)
    assert set(hear_all(market)) == {5}
    assert market.take_changed() == [4]
    assert market.take_changed() == []
    assert data.registry.days[4:] == (days[4], days[4])
    assert list(data.registry.live) == market.numbers == [5]
    assert data.registry.gone == {4}


def test_the_oldest_days_go_once_all_lanes_have_left_them():
    assert surplus_days([4, 5, 6], 2, standing=5) == [4]
    assert surplus_days([4, 5, 6], 2, standing=4) == []
    assert surplus_days([4, 5, 6, 7], 2, standing=5) == [4]
    assert surplus_days([4, 5], 2, standing=5) == []
    assert surplus_days([4], 3, standing=4) == []
