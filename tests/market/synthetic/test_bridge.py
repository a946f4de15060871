"""Walks keep a minute's extremes and ends, and say nothing of what comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.synthetic.bridge import (
    MAX_CELLS,
    MOST_LATE,
    STEPS,
    conditional_steps,
    draw_walks,
    lattice,
    place_of,
)

FINE = 300


def walks_of(
    first: np.ndarray,
    last: np.ndarray,
    cells: np.ndarray,
    chance: np.ndarray,
    correlation: float,
    rng: np.random.Generator,
    late: np.ndarray | None = None,
    early: np.ndarray | None = None,
) -> np.ndarray:
    nothing = np.zeros(first.shape, np.int64)
    walks: np.ndarray = draw_walks(
        first.astype(float), last.astype(float), cells, chance,
        nothing if late is None else late, nothing if early is None else early, correlation, rng,
    )  # fmt: skip
    return walks


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.data())
def test_a_walk_meets_its_ends_and_touches_both_extremes(seed: int, data: st.DataObject) -> None:
    cells = data.draw(st.integers(2, MAX_CELLS))
    first, last = (data.draw(st.floats(-0.5, cells - 0.5)) for _ in range(2))
    chance = data.draw(st.floats(0.05, 0.8))
    late, early = (data.draw(st.integers(0, MOST_LATE)) for _ in range(2))
    shape = np.ones((2, 1), np.int64)
    walks = walks_of(
        first * shape, last * shape, cells * shape, chance * np.ones((2, 1)),
        data.draw(st.floats(-0.95, 0.95)), np.random.default_rng(seed),
        late * np.array([[1], [0]]), early * np.array([[0], [1]]),
    )[:, 0]  # fmt: skip
    assert (np.abs(walks[:, 0] - first) <= 1).all()
    assert (np.abs(walks[:, -1] - last) <= 1).all()
    np.testing.assert_array_equal(walks.min(axis=1), 0)
    np.testing.assert_array_equal(walks.max(axis=1), cells - 1)
    assert np.abs(np.diff(walks, axis=1)).max() <= 1
    assert (walks[0, :late] == walks[0, late]).all()
    assert (walks[1, STEPS - early :] == walks[1, STEPS - early]).all()


@settings(deadline=None)
@given(st.floats(0.05, 0.8), st.floats(0.05, 0.8), st.floats(-0.95, 0.95))
def test_conditional_steps_are_laws_with_the_asked_margins(
    chance: float, other: float, correlation: float
) -> None:
    table = conditional_steps(chance, other, correlation)
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    assert (table >= -1e-12).all()
    margin = np.array([other / 2, 1 - other, other / 2]) @ table[:3]
    np.testing.assert_allclose(margin, [chance / 2, 1 - chance, chance / 2])
    joint = np.array([other / 2, 1 - other, other / 2])[:, None] * table[:3]
    step = np.array([-1, 0, 1])
    covariance = step @ joint @ step
    most = min(abs(correlation) * np.sqrt(chance * other), min(chance, other))
    assert covariance == pytest.approx(np.sign(correlation) * most, abs=1e-9)


def brownian_minutes(minutes: int, correlation: float) -> tuple[np.ndarray, ...]:
    """(low, range, close) [2, minutes] of correlated Brownian motions from 0, unit deviation."""
    rng = np.random.default_rng(7)
    steps = rng.standard_normal((2, minutes, FINE)) / np.sqrt(FINE)
    steps[0] = correlation * steps[1] + np.sqrt(1 - correlation**2) * steps[0]
    path = np.concatenate([np.zeros((2, minutes, 1)), np.cumsum(steps, axis=2)], axis=2)
    start, end = path[:, :, :-1], path[:, :, 1:]
    reach = [
        np.sqrt((end - start) ** 2 + 2 / FINE * rng.exponential(1.0, start.shape)) for _ in range(2)
    ]
    high = 0.5 * (start + end + reach[0]).max(axis=2)
    low = 0.5 * (start + end - reach[1]).min(axis=2)
    return low, high - low, path[:, :, -1]


@pytest.fixture(scope="module")
def walked() -> np.ndarray:
    """Paths [2, minutes, STEPS + 1] drawn inside the minutes of two Brownian motions."""
    minutes = 6000
    low, reach, close = brownian_minutes(minutes, 0.8)
    cells, chance = np.empty((2, minutes), np.int64), np.empty((2, minutes))
    for k in range(2):
        cells[k], chance[k] = lattice(reach[k], np.ones(minutes))
    first = np.stack([place_of(np.zeros(minutes), low[k], reach[k], cells[k]) for k in range(2)])
    last = np.stack([place_of(close[k], low[k], reach[k], cells[k]) for k in range(2)])
    walks = walks_of(first, last, cells, chance, 0.8, np.random.default_rng(0))
    path = low[:, :, None] + (walks + 0.5) * (reach / cells)[:, :, None]
    path[:, :, 0], path[:, :, -1] = 0.0, close
    return path


def test_inside_brownian_minutes_the_walk_is_brownian(walked: np.ndarray) -> None:
    steps = np.diff(walked, axis=2)
    np.testing.assert_allclose((steps**2).sum(axis=2).mean(axis=1), 1.0, rtol=0.01)
    covariance = (steps[0] * steps[1]).sum(axis=1).mean()
    assert covariance == pytest.approx(0.8, abs=0.01)
    tenth = np.diff(walked[0, :, ::12], axis=1)
    np.testing.assert_allclose((tenth**2).mean(axis=0) * 10, 1.0, atol=0.09)


@pytest.mark.parametrize("past", [10, 30, 60])
def test_neither_symbols_past_tells_the_rest_of_a_minute(walked: np.ndarray, past: int) -> None:
    """A path that ran to its close in a straight line would have a slope of STEPS/past - 1."""
    known = walked[:, :, past]
    rest = walked[:, :, -1] - known
    for k in range(2):
        slope = (known[k] @ rest[k]) / (known[k] @ known[k])
        bound = 4 * rest[k].std() / np.sqrt(known[k] @ known[k]) + 0.03
        assert abs(slope) < bound
        gap = known[1 - k] - known[k]
        slope = (gap @ rest[k]) / (gap @ gap)
        assert abs(slope) < 4 * rest[k].std() / np.sqrt(gap @ gap) + 0.03


def test_a_flat_minute_stays_where_it_is() -> None:
    cells, chance = lattice(np.zeros(1), np.ones(1))
    assert cells[0] == 1
    assert chance[0] == 0
    shape = np.zeros((2, 1), np.int64)
    walks = walks_of(shape, shape, shape + 1, np.zeros((2, 1)), 0.5, np.random.default_rng(0))
    assert not walks.any()


@pytest.mark.parametrize("behind", [1, 2, 10])
@pytest.mark.parametrize("ahead", [2, 10, 40])
def test_no_look_at_the_walk_so_far_foretells_it(
    walked: np.ndarray, behind: int, ahead: int
) -> None:
    """Neither the last moves, nor an extreme just reached, nor the other symbol's moves. The walk
    that met its close by a straight line within its cells had t = 10 for the last moves."""
    rows = np.arange(10, STEPS - ahead)
    for k in range(2):
        path, other = walked[k], walked[1 - k]
        rest = path[:, rows + ahead] - path[:, rows]
        high = np.maximum.accumulate(path, axis=1)[:, rows]
        low = np.minimum.accumulate(path, axis=1)[:, rows]
        now = path[:, rows]
        for signal in (
            now - path[:, rows - behind],
            other[:, rows] - other[:, rows - behind],
            (now >= high - 1e-9).astype(float) - (now <= low + 1e-9),
        ):
            gain = (np.sign(signal) * rest).mean(axis=1)
            assert abs(gain.mean()) < 4 * gain.std() / np.sqrt(len(gain))
