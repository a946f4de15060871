"""Steps of time, ticks and lots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.market.synthetic.grids import COARSE, TimeGrid, dithered, on_grid
from apex_trader.time import DAY, SECOND


@given(st.integers(1, 10**9), st.sampled_from([1, 2, 3, 4, 5]))
def test_a_price_is_the_double_that_its_decimal_text_parses_to(count: int, decimals: int) -> None:
    whole, part = divmod(count, 10**decimals)
    text = f"{whole}.{part:0{decimals}d}"
    assert on_grid(np.array([count]), 10.0**-decimals)[0] == float(text)


def test_steps_above_one_are_multiples() -> None:
    np.testing.assert_array_equal(on_grid(np.array([3, 4]), 5.0), [15.0, 20.0])


def test_dithering_does_not_shift_the_mean() -> None:
    rng = np.random.default_rng(0)
    exact = np.full(200_000, 7.3)
    rounded = dithered(exact, rng)
    assert set(np.unique(rounded)) == {7, 8}
    assert rounded.mean() == pytest.approx(7.3, abs=5 * np.sqrt(0.21 / 200_000))


def test_the_grid_is_coarse_before_start_and_seconds_after() -> None:
    grid = TimeGrid.of(0, DAY, 2 * DAY, seconds=True)
    assert grid.edges[0] == 0
    assert grid.edges[-1] == 2 * DAY
    assert grid.edges[grid.start] == grid.edges[grid.fine] == DAY
    np.testing.assert_array_equal(np.unique(np.diff(grid.edges[: grid.fine + 1])), [COARSE])
    np.testing.assert_array_equal(np.unique(np.diff(grid.edges[grid.fine :])), [SECOND])


def test_without_seconds_all_of_the_grid_is_coarse() -> None:
    grid = TimeGrid.of(0, DAY, 2 * DAY, seconds=False)
    assert grid.edges[grid.start] == DAY
    assert grid.fine == len(grid.edges) - 1
    np.testing.assert_array_equal(np.unique(np.diff(grid.edges)), [COARSE])
