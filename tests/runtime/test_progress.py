"""Counters that a checkpoint keeps, and what is due when."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.runtime.progress import Progress


def test_an_event_is_due_after_its_interval_and_once():
    progress = Progress()
    due = [u for u in range(0, 35, 5) if progress.due("save", u, 10)]
    assert due == [10, 20, 30]


def test_never_means_never():
    assert not any(Progress().due("refit", u, 0) for u in range(1_000))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 50))
def test_no_multiple_of_the_interval_passes_without_the_event(strides, every):
    """However coarse the steps, the event comes at the first chance after each multiple."""
    progress, updates = Progress(), 0
    for stride in strides:
        passed = (updates + stride) // every > updates // every
        updates += stride
        assert progress.due("save", updates, every) == passed


def test_what_was_done_is_remembered_over_a_checkpoint():
    progress = Progress(decisions=7, inserted=5, seconds=1.5, best=0.1)
    progress.due("save", 10, 10)
    later = Progress()
    later.load_state_dict(progress.state_dict())
    assert later == progress
    assert not later.due("save", 15, 10)
    progress.due("save", 20, 10)
    assert later.marks == {"save": 10}, "a loaded state is a copy"
