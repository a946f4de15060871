"""Volatility from minute bars: unbiased whatever they look like, and no wider than they show."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.ranges import (
    Volatility,
    log_density,
    minute_sigma,
    samples_of,
    shortfall,
)
from tests.market.synthetic.test_bridge import brownian_minutes

MANY = 1e6


def drawn(
    low: np.ndarray, reach: np.ndarray, close: np.ndarray, orders: float | np.ndarray = MANY
) -> Volatility:
    number = np.where(reach > 0, orders, 0.0)
    return minute_sigma(low + reach, -low, close, number, number, np.random.default_rng(0))


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
        np.random.default_rng(0),
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


def test_ranges_of_few_trades_are_found_short() -> None:
    """Also more so in the quieter minutes."""
    _, reach, close = brownian_minutes(5000, 0.0)
    orders = np.where(np.arange(5000) % 2, 400.0, 100.0)
    lost = np.sqrt(2.0 / orders)
    found = shortfall(close[0], reach[0] - lost, np.ones(5000), orders)
    assert found.mean() == pytest.approx(lost.mean(), abs=0.04)
    assert found[0] == pytest.approx(2 * found[1])


@pytest.mark.parametrize("samples", [10, 30, 200])
def test_samples_are_told_by_how_far_their_extremes_fall_short(samples: int) -> None:
    """Of a Brownian motion at as many random times, its first and last value among them."""
    rng = np.random.default_rng(3)
    gaps = rng.exponential(1.0, (20_000, samples - 1))
    gaps /= gaps.sum(axis=1, keepdims=True)
    path = np.cumsum(np.sqrt(gaps) * rng.standard_normal(gaps.shape), axis=1)
    reach = np.maximum(path.max(axis=1), 0.0) - np.minimum(path.min(axis=1), 0.0)
    lost = 4.0 / np.sqrt(2.0 * np.pi) - reach.mean()
    assert samples_of(np.array([lost]))[0] == pytest.approx(
        samples, rel=0.1 if samples < 99 else 0.2
    )


def test_flat_minutes_have_no_volatility_and_disturb_none() -> None:
    low, reach, close = brownian_minutes(2000, 0.0)
    quiet = np.arange(2000) % 10 == 0
    sigma = drawn(*(np.where(quiet, 0, values[0]) for values in (low, reach, close))).sigma
    assert not sigma[quiet].any()
    assert np.median(sigma[~quiet]) == pytest.approx(1.0, abs=0.05)


def test_no_minutes_have_no_volatility() -> None:
    assert len(drawn(np.empty(0), np.empty(0), np.empty(0)).sigma) == 0
