"""Covered time, checked against the set of its microseconds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.market import intervals

EDGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6)


def points(parts: np.ndarray) -> set[int]:
    return {t for low, high in parts.tolist() for t in range(low, high)}


def made(edges: list[tuple[int, int]]) -> np.ndarray:
    return intervals.union(np.array(edges, np.int64).reshape(-1, 2))


@given(EDGES, EDGES)
def test_union_holds_every_moment_once(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    both = intervals.union(made(a), made(b))
    assert points(both) == points(made(a)) | points(made(b))
    assert np.all(both[1:, 0] > both[:-1, 1]), "intervals touch, so they should be one"


@given(EDGES, st.integers(0, 10))
def test_tolerance_closes_exactly_the_short_gaps(
    edges: list[tuple[int, int]], tolerance: int
) -> None:
    joined = intervals.union(made(edges), tolerance=tolerance)
    assert points(made(edges)) <= points(joined)
    assert np.all(joined[1:, 0] - joined[:-1, 1] > tolerance)


@given(EDGES, st.integers(0, 60), st.integers(0, 60))
def test_clip_is_an_intersection(edges: list[tuple[int, int]], low: int, high: int) -> None:
    clipped = intervals.clip(made(edges), low, high)
    assert points(clipped) == points(made(edges)) & set(range(low, high))


@given(EDGES, EDGES)
def test_subtract_leaves_what_is_not_taken(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    left = intervals.subtract(made(a), made(b))
    assert points(left) == points(made(a)) - points(made(b))
    assert np.all(left[:, 0] < left[:, 1])


@given(EDGES, st.integers(1, 9))
def test_rounding_in_stays_inside_and_rounding_out_stays_outside(
    edges: list[tuple[int, int]], step: int
) -> None:
    parts = made(edges)
    assert points(intervals.round_in(parts, step)) <= points(parts)
    assert points(parts) <= points(intervals.round_out(parts, step))


@given(EDGES, st.lists(st.integers(0, 60), max_size=8), st.integers(1, 9))
def test_covers_means_every_moment_of_the_step(
    edges: list[tuple[int, int]], starts: list[int], step: int
) -> None:
    parts = made(edges)
    expected = [set(range(s, s + step)) <= points(parts) for s in starts]
    assert intervals.covers(parts, np.array(starts, np.int64), step).tolist() == expected
