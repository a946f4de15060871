"""Volatility from minute bars: unbiased whatever they look like, and no wider than they show."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.ranges import (
    Volatility,
    log_density,
    minute_sigma,
    shared_surprise,
)
from tests.market.synthetic.brownian import walks
from tests.market.synthetic.test_bridge import brownian_minutes

MANY = 1e6


def drawn(
    low: np.ndarray, reach: np.ndarray, close: np.ndarray, orders: float | np.ndarray = MANY
) -> Volatility:
    number = np.where(reach > 0, orders, 0.0)
    return minute_sigma(
        low + reach, -low, close, number, number, np.zeros_like(reach), np.random.default_rng(0)
    )


def test_constant_volatility_is_found_constant() -> None:
    low, reach, close = brownian_minutes(5000, 0.0)
    found = drawn(low[0], reach[0], close[0])
    assert ((found.above + found.below) / found.sigma).mean() < 0.05
    assert np.median(found.sigma) == pytest.approx(1.0, abs=0.03)
    assert np.log(found.sigma).std() < 0.12  # a range alone would leave 0.29


def test_changing_volatility_is_followed() -> None:
    low, reach, close = brownian_minutes(5000, 0.0)
    scale = np.where(np.arange(5000) < 2500, 1.0, 3.0)
    sigma = drawn(low[0] * scale, reach[0] * scale, close[0] * scale).sigma
    assert np.median(sigma[3000:]) / np.median(sigma[:2000]) == pytest.approx(3.0, rel=0.05)


def test_a_straight_minute_is_no_more_volatile_than_one_that_comes_back() -> None:
    """The range alone says otherwise: a straight minute has gone all its range at once. A walk too
    volatile for its minute turns back at the extremes."""
    rng = np.random.default_rng(1)
    low, reach, close = brownian_minutes(6000, 0.0)
    scale = np.exp(0.3 * rng.standard_normal(6000))
    sigma = drawn(low[0] * scale, reach[0] * scale, close[0] * scale).sigma
    straight = np.abs(close[0]) / reach[0]
    error = np.log(sigma / scale)
    assert error[straight > 0.7].mean() == pytest.approx(error[straight < 0.3].mean(), abs=0.03)
    assert (sigma**2).mean() == pytest.approx((close[0] ** 2 * scale**2).mean(), rel=0.05)


def test_busy_minutes_are_told_by_their_trades() -> None:
    rng = np.random.default_rng(1)
    low, reach, close = brownian_minutes(4000, 0.0)
    scale = np.exp(0.4 * rng.standard_normal(4000))
    known = minute_sigma(
        (low[0] + reach[0]) * scale, -low[0] * scale, close[0] * scale, np.full(4000, MANY), scale,
        np.zeros(4000), np.random.default_rng(0),
    ).sigma  # fmt: skip
    assert np.log(known / scale).std() < 0.12


def test_the_density_is_highest_on_average_at_the_true_volatility() -> None:
    low, reach, close = brownian_minutes(6000, 0.0)
    scales = np.exp(np.linspace(-0.2, 0.2, 9))
    level = [
        (log_density((low[0] + reach[0]) / s, -low[0] / s, close[0] / s) - 3 * np.log(s)).mean()
        for s in scales
    ]
    assert int(np.argmax(level)) == 4


@pytest.mark.parametrize("moments", [15, 60])
def test_deviations_of_minutes_with_few_moments_are_found_without_bias(moments: int) -> None:
    """Whose extremes fall short of the path's by up to a quarter of their range; the prior is known
    as well as the ranges' own noise and the number of moments allow."""
    minutes, scale = 8000, np.exp(0.15 * np.random.default_rng(2).standard_normal(8000))
    path = walks(minutes, moments, seed=moments) * scale[:, None]
    up, down, move = path.max(axis=1), -path.min(axis=1), path[:, -1]
    found = minute_sigma(
        up, down, move, np.full(minutes, 30.0), np.ones(minutes), np.zeros(minutes),
        np.random.default_rng(0),
    )  # fmt: skip
    assert found.moments[0] == pytest.approx(moments, rel=0.12)
    error = 4 * np.sqrt((0.15**2 + 0.09) / minutes)
    assert (found.prior - np.log(scale)).mean() == pytest.approx(0.0, abs=error + 0.01)
    assert found.width[0] == pytest.approx(0.15**2, abs=0.007)


@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_what_makes_both_symbols_more_volatile_is_told_from_correlated_paths(shared: float) -> None:
    """Whose ranges go together anyhow; a chance error has a deviation of 0.06."""
    minutes, correlation = 12_000, 0.8
    low, reach, close = brownian_minutes(minutes, correlation)
    normal = np.random.default_rng(4).standard_normal((2, minutes))
    normal[1] = shared * normal[0] + np.sqrt(1 - shared**2) * normal[1]
    scale = np.exp(0.15 * normal)
    one, two = (drawn(low[k] * scale[k], reach[k] * scale[k], close[k] * scale[k]) for k in (0, 1))
    assert shared_surprise(one, two, correlation) == pytest.approx(shared, abs=0.2)


def test_too_few_minutes_tell_nothing_of_what_both_share() -> None:
    low, reach, close = brownian_minutes(200, 0.8)
    one, two = (drawn(low[k], reach[k], close[k]) for k in (0, 1))
    assert shared_surprise(one, two, 0.8) == 0.0


def test_flat_minutes_have_no_volatility_and_disturb_none() -> None:
    low, reach, close = brownian_minutes(2000, 0.0)
    quiet = np.arange(2000) % 10 == 0
    sigma = drawn(*(np.where(quiet, 0, values[0]) for values in (low, reach, close))).sigma
    assert not sigma[quiet].any()
    assert np.median(sigma[~quiet]) == pytest.approx(1.0, abs=0.05)


def test_no_minutes_have_no_volatility() -> None:
    assert len(drawn(np.empty(0), np.empty(0), np.empty(0)).sigma) == 0
