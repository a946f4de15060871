"""How many moments made the bars is told by them: without bias, as surely as theory says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from apex_trader.market.synthetic.moments import (
    NEAR,
    RESPONSE,
    count_moments,
    near_extreme,
    shortfall,
)
from tests.market.synthetic.brownian import walks

#: Mean range of a Brownian motion of unit deviation (Feller 1951).
WHOLE_RANGE = 4.0 / math.sqrt(2.0 * math.pi)


def counted(path: np.ndarray, orders: np.ndarray | float, tick: float = 0.0) -> np.ndarray:
    """Number that the bars of walks tell, of deviation 1 or of one that changes."""
    n = len(path)
    known = np.full(n, orders) if np.isscalar(orders) else np.asarray(orders)
    return count_moments(
        path.max(axis=1) - path[:, 0], path[:, 0] - path.min(axis=1), path[:, -1] - path[:, 0],
        known, np.ones(n), np.full(n, tick),
    )  # fmt: skip


def deviation(minutes: int, moments: int) -> float:
    """Of the log number: events are binomial, and their share falls as RESPONSE says."""
    chance = float(near_extreme(np.array([NEAR / math.sqrt(moments)]), np.array([moments]))[0])
    return math.sqrt((1.0 - chance) / (4 * minutes * chance)) / RESPONSE


@pytest.mark.parametrize("moments", [12, 30, 90, 250])
def test_the_number_of_moments_is_found(moments: int) -> None:
    """Whatever number of orders is thought of first; within four standard errors and 3%."""
    minutes = 6000
    path = walks(minutes, moments, seed=moments)
    for orders in (0.2 * moments, 5.0 * moments):
        off = math.log(counted(path, orders)[0] / moments)
        assert abs(off) < 4 * deviation(minutes, moments) + 0.03


def test_it_is_spread_as_theory_says() -> None:
    """Over worlds of half a day; pure chance could make the spread 30% other than it is."""
    found = [math.log(counted(walks(720, 60, seed), 60.0)[0] / 60) for seed in range(40)]
    assert np.std(found) == pytest.approx(deviation(720, 60), rel=0.45)
    assert abs(np.mean(found)) < 4 * deviation(720, 60) / math.sqrt(40) + 0.02


def test_orders_that_sweep_a_tick_or_two_do_not_count_as_moments() -> None:
    """The first order's further trades go beyond the open: as an event it would be lost."""
    path = walks(8000, 60, seed=1)
    tick = 0.05 / math.sqrt(60)
    swept = np.random.default_rng(2).integers(0, 3, (2, 8000)) * tick
    up, down = path.max(axis=1) + swept[0], -path.min(axis=1) + swept[1]
    found = count_moments(
        up, down, path[:, -1], np.full(8000, 20.0), np.ones(8000), np.full(8000, tick)
    )
    at_the_extreme = (up == 0).mean() / (path.max(axis=1) == 0).mean()
    assert at_the_extreme < 0.5
    assert found[0] == pytest.approx(60, rel=0.2)


def test_busier_minutes_have_more_moments() -> None:
    path = np.concatenate([np.pad(walks(4000, 30, 1), ((0, 0), (0, 90)), "edge"),
                           walks(4000, 120, 2)])  # fmt: skip
    found = counted(path, np.repeat([1.0, 4.0], 4000) * 50.0)
    assert found[0] == pytest.approx(30, rel=0.12)
    assert found[-1] == pytest.approx(4 * found[0])


def test_few_bars_say_little_and_none_say_nothing() -> None:
    flat = np.zeros((5, 3))
    np.testing.assert_array_equal(counted(flat, 40.0), np.full(5, 40.0))
    one = counted(walks(1, 10, seed=3), 40.0)
    assert 15.0 < one[0] < 100.0
    absent = np.where(np.arange(6000) % 2, 0.0, 50.0)
    assert not counted(walks(6000, 30, seed=4), absent)[1::2].any()


@pytest.mark.parametrize("moments", [10, 30, 200])
def test_extremes_of_few_moments_fall_short(moments: int) -> None:
    path = walks(20_000, moments, seed=3)
    lost = WHOLE_RANGE - (path.max(axis=1) - path.min(axis=1))
    error = 4 * lost.std() / math.sqrt(len(lost))
    assert shortfall(np.array([float(moments)]))[0] == pytest.approx(
        lost.mean(), abs=error if moments > 10 else error + 0.03
    )


def test_absent_minutes_do_not_fall_short() -> None:
    assert shortfall(np.array([0.0]))[0] == 0.0


@pytest.mark.parametrize("distance", [0.0, 0.05, 0.2])
def test_the_chance_to_stay_near_the_open(distance: float) -> None:
    """Without distance Sparre Andersen's C(2k, k)/4^k, free of the steps' law."""
    moments = 40
    path = walks(60_000, moments, seed=5)
    share = (path.max(axis=1) <= distance).mean()
    found = near_extreme(np.array([distance]), np.array([float(moments)]))[0]
    assert found == pytest.approx(share, abs=4 * math.sqrt(share / 60_000) + 0.005)
    if distance == 0.0:
        k = moments - 1
        assert found == pytest.approx(math.comb(2 * k, k) / 4**k, rel=0.01)
