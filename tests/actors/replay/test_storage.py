import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.replay.storage import SEQUENCE_BITS, TransitionStore
from apex_trader.errors import ApexError


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_the_chains_find_what_a_search_of_all_slots_finds(transitions, capacity, seed):
    """Under any order of inserts, wraps and evictions of whole segments."""
    random = np.random.default_rng(seed)
    store = TransitionStore(capacity, 1)
    for _ in range(25):
        store.append(transitions(random, int(random.integers(0, capacity + 1))))
        if random.random() < 0.2:
            store.evict_segment(int(random.integers(0, 3)))
        columns, held = store._columns, store.generation != 0
        for segment in range(4):
            rows = np.unique(random.integers(0, 14, 6))
            expected = np.flatnonzero(
                held & (columns["segment"] == segment) & np.isin(columns["row"], rows)
            )
            found = store.slots_of(segment, rows)
            assert sorted(found) == expected.tolist()


def test_the_oldest_goes_first(transitions):
    random = np.random.default_rng(0)
    store = TransitionStore(10, 1)
    first, replaced = store.append(transitions(random, 7))
    assert first.tolist() == list(range(7))
    assert replaced == 0
    second, replaced = store.append(transitions(random, 6))
    assert second.tolist() == [7, 8, 9, 0, 1, 2]
    assert replaced == 3


def test_a_transition_comes_back_as_it_was_stored(transitions):
    random = np.random.default_rng(1)
    store = TransitionStore(20, 1)
    stored = transitions(random, 12)
    slots, _ = store.append(stored)
    back = store.take(slots, stored.strata)
    for name, column in vars(stored).items():
        assert np.array_equal(getattr(back, name), column), name


def test_no_two_transitions_share_a_generation(transitions):
    random = np.random.default_rng(1)
    store = TransitionStore(8, 5)
    seen = []
    for _ in range(4):
        slots, _ = store.append(transitions(random, 6))
        seen += store.generation[slots].tolist()
    assert len(set(seen)) == 24
    assert {g >> SEQUENCE_BITS for g in seen} == {5}


def test_more_than_the_ring_holds_is_refused(transitions):
    with pytest.raises(ApexError, match="do not fit"):
        TransitionStore(4, 1).append(transitions(np.random.default_rng(0), 5))


def test_snapshots_that_do_not_continue_are_refused(transitions):
    random = np.random.default_rng(2)
    store = TransitionStore(50, 1)
    store.append(transitions(random, 30))
    state = store.state_dict(since=20)
    with pytest.raises(ApexError, match="in order"):
        TransitionStore(50, 2).load_state_dict(state, np.ones(50, np.bool_))
