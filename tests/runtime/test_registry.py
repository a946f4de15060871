"""A segment number means the same market content for the whole of a run."""

from __future__ import annotations

import pytest

from apex_trader.errors import MismatchError
from apex_trader.runtime.registry import SegmentRegistry
from apex_trader.time import DAY

DAYS = [20_000 * DAY, 20_001 * DAY, 20_005 * DAY]


def test_days_are_numbered_in_their_order():
    registry = SegmentRegistry(DAYS)
    assert [registry.number(day) for day in DAYS] == [0, 1, 2]
    assert len(registry) == 3
    with pytest.raises(KeyError):
        registry.number(20_002 * DAY)


def test_content_that_changed_is_refused_and_its_day_named():
    registry = SegmentRegistry(DAYS)
    registry.record(1, "a" * 32)
    registry.record(1, "a" * 32)
    with pytest.raises(MismatchError, match="2024-10-05 changed since this run began"):
        registry.record(1, "b" * 32)


def test_a_resumed_run_remembers_what_it_saw():
    registry = SegmentRegistry(DAYS)
    registry.record(2, "a" * 32)
    later = SegmentRegistry(DAYS)
    later.load_state_dict(registry.state_dict())
    with pytest.raises(MismatchError):
        later.record(2, "b" * 32)
    assert later.state_dict() == registry.state_dict()


def test_other_days_are_refused():
    state = SegmentRegistry(DAYS).state_dict()
    with pytest.raises(MismatchError, match="started on 3 days"):
        SegmentRegistry(DAYS[:2]).load_state_dict(state)


def test_a_segment_that_changed_before_the_state_was_loaded_is_noticed():
    saved = SegmentRegistry(DAYS)
    saved.record(0, "a" * 32)
    registry = SegmentRegistry(DAYS)
    registry.record(0, "b" * 32)
    with pytest.raises(MismatchError):
        registry.load_state_dict(saved.state_dict())


LIVE = 20_010 * DAY


def test_live_days_are_numbered_behind_those_of_the_store_and_grow():
    registry = SegmentRegistry(DAYS)
    assert registry.grow(LIVE, "a" * 32, LIVE + 5) == 3
    assert registry.grow(LIVE + DAY, "b" * 32, LIVE + DAY + 5) == 4
    assert registry.grow(LIVE, "c" * 32, LIVE + 10) == 3
    assert registry.grow(LIVE, "a" * 32, LIVE + 5) == 3  # an earlier part: nothing new
    assert registry.live == {3: ("c" * 32, LIVE + 10), 4: ("b" * 32, LIVE + DAY + 5)}
    assert registry.days == (*DAYS, LIVE, LIVE + DAY)
    with pytest.raises(MismatchError, match="changed since this run began"):
        registry.grow(LIVE, "d" * 32, LIVE + 10)
    with pytest.raises(MismatchError, match=r"periods\.end"):
        registry.grow(DAYS[2], "d" * 32, DAYS[2] + 10)


def test_a_live_day_that_was_let_go_keeps_its_number():
    registry = SegmentRegistry(DAYS)
    registry.grow(LIVE, "a" * 32, LIVE + 5)
    registry.grow(LIVE + DAY, "b" * 32, LIVE + DAY + 5)
    registry.let_go(3)
    assert list(registry.live) == [4]
    assert registry.grow(LIVE + 2 * DAY, "c" * 32, LIVE + 2 * DAY + 5) == 5
    later = SegmentRegistry(DAYS)
    later.follows_stream = True
    later.load_state_dict(registry.state_dict())
    assert later.state_dict() == registry.state_dict()
    assert later.live == registry.live
    assert later.number(LIVE + 2 * DAY) == 5


def test_only_a_run_on_a_stream_goes_on_with_live_days():
    registry = SegmentRegistry(DAYS)
    registry.grow(LIVE, "a" * 32, LIVE + 5)
    with pytest.raises(MismatchError, match=r"rollout\.source=stream"):
        SegmentRegistry(DAYS).load_state_dict(registry.state_dict())
