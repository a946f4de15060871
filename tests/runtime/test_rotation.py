"""Days rotate through memory: each gets its turn, none twice at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.runtime.rotation import ActiveDays


def make(count: int, limit: int, seed: int = 0) -> ActiveDays:
    return ActiveDays(range(100, 100 + count), limit, np.random.default_rng(seed))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 25), st.data())
def test_every_day_gets_its_turn(count, data):
    """After two passes every day has been active; none is much ahead of another."""
    limit = data.draw(st.integers(1, count - 1))
    days = make(count, limit, data.draw(st.integers(0, 99)))
    turns = Counter(days.current)
    for _ in range(10 * count):
        gone, come = days.rotate()
        assert gone not in days.current
        assert come == days.current[-1]
        assert len(set(days.current)) == len(days.current) == limit
        turns[come] += 1
    assert set(turns) == set(range(100, 100 + count))
    assert max(turns.values()) <= 2 * min(turns.values()) + 2


def test_the_oldest_day_goes_first():
    days = make(10, 3)
    before = list(days.current)
    assert [days.rotate()[0] for _ in range(3)] == before


@pytest.mark.parametrize("limit", [4, 9])
def test_days_that_all_fit_do_not_rotate(limit):
    days = make(4, limit)
    assert not days.rotates
    assert sorted(days.current) == [100, 101, 102, 103]


def test_a_saved_rotation_goes_on_as_if_it_had_never_stopped():
    days = make(12, 4, seed=3)
    for _ in range(7):
        days.rotate()
    other = make(12, 4, seed=99)
    other.load_state_dict(days.state_dict())
    assert [days.rotate() for _ in range(40)] == [other.rotate() for _ in range(40)]


def test_no_day_is_an_error():
    with pytest.raises(ValueError, match="no day"):
        make(0, 3)
