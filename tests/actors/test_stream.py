"""The stream actor seals each part of a day once, and each day whole."""

import copy
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from actors.stream import StreamActor
from apex_trader.errors import ConfigError
from apex_trader.market.closed import ClosedSeconds
from apex_trader.state.live import LiveTables
from apex_trader.state.schema import eth_minutes
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.state.state_markets import random_markets, until

EVERY = 30 * MINUTE


@lru_cache
def market():
    return random_markets(9, 16, 2, per_second=0.2)


@lru_cache
def _begun(start):
    schema = eth_minutes(16).without("cnn_hidden", "cnn_predictions")
    return LiveTables(schema, *(until(source, start) for source in market()))


def begun(start):
    return copy.deepcopy(_begun(start))


def midnight():
    return market()[0].second_days()[-1]


def batches(start, sizes, end):
    """What a feed says: batches of these sizes in seconds, 0 for an empty one, then hours."""
    sizes = iter(sizes)
    while start < end:
        size = next(sizes, 3600)
        stop = min(start + size * SECOND, end)
        yield ClosedSeconds(
            start, stop, {s.info.market: s.seconds(start, stop) for s in market()},
            {s.info.market: s.trades(start, stop) for s in market()},
        )  # fmt: skip
        start = stop


@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate])
@given(sizes=st.lists(st.sampled_from([0, 1, 60, 900, 4000, 40_000]), max_size=8))
def test_parts_end_at_the_same_times_however_the_seconds_come(sizes):
    turn = midnight()
    start, end = turn - HOUR - 7 * MINUTE, turn + 2 * HOUR
    actor = StreamActor(begun(start), batches(start, sizes, end), EVERY)
    parts = []
    while not actor.ended:
        parts += actor.poll()
    times = [part.until for part in parts]
    assert times == sorted(set(times))
    assert {time % EVERY for time in times} == {0}
    assert turn in times
    assert times[-1] == (end - actor.tables.settle) // EVERY * EVERY
    over = [part for part in parts if part.complete]
    assert [part.segment.day for part in over] == [turn - DAY]
    assert over[0].segment.rows == DAY // MINUTE
    assert actor.begin == start
    for part in parts:
        assert part.segment.day <= part.until - 1 < part.segment.day + DAY
        assert part.segment.decisions.ts[-1] == min(part.until, part.segment.day + DAY - MINUTE)


def test_a_part_is_sealed_as_soon_as_its_decisions_are_settled():
    turn = midnight()
    start = turn + 20 * MINUTE
    tables = begun(start)
    feed = batches(start, [60] * 50, start + 50 * MINUTE)
    actor = StreamActor(tables, feed, EVERY)
    sealed_at = []
    while not actor.ended:
        sealed_at += [(tables.end, part.until) for part in actor.poll()]
    at, first = sealed_at[0]
    assert first == turn + EVERY
    assert first + tables.settle <= at < first + tables.settle + MINUTE
    figures = actor.metrics()
    assert figures["stream/seconds_closed"] == 3000
    assert figures["stream/parts_sealed"] == len(sealed_at) == 2
    assert figures["stream/unsealed_seconds"] == (tables.end - sealed_at[-1][1]) / SECOND
    assert figures["stream/decisions_today"] == np.ceil((tables.end - turn + 1) / MINUTE)


@pytest.mark.parametrize("every", [0, 90 * SECOND, 7 * MINUTE, 30 * SECOND])
def test_parts_hold_whole_decisions_and_divide_a_day(every):
    start = midnight()
    with pytest.raises(ConfigError, match=r"rollout\.seal_every"):
        StreamActor(begun(start), [], every)
