"""Volatility from ranges: unbiased, and no wider than the ranges themselves show."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.ranges import minute_sigma, shortfall
from tests.market.synthetic.test_bridge import brownian_minutes


def test_constant_volatility_is_found_constant() -> None:
    _, reach, close = brownian_minutes(5000, 0.0)
    sigma, short = minute_sigma(close[0], reach[0], np.random.default_rng(0))
    assert short < 0.05
    assert np.median(sigma) == pytest.approx(1.0, abs=0.03)
    assert np.log(sigma).std() < 0.12  # a range alone would leave 0.29


def test_changing_volatility_is_followed() -> None:
    _, reach, close = brownian_minutes(5000, 0.0)
    scale = np.where(np.arange(5000) < 2500, 1.0, 3.0)
    sigma, _ = minute_sigma(close[0] * scale, reach[0] * scale, np.random.default_rng(0))
    assert np.median(sigma[3000:]) / np.median(sigma[:2000]) == pytest.approx(3.0, rel=0.05)


def test_ranges_of_few_trades_are_found_short() -> None:
    _, reach, close = brownian_minutes(5000, 0.0)
    assert shortfall(close[0], reach[0] - 0.1, np.ones(5000)) == pytest.approx(0.1, abs=0.04)


def test_flat_minutes_have_no_volatility_and_disturb_none() -> None:
    _, reach, close = brownian_minutes(2000, 0.0)
    quiet = np.arange(2000) % 10 == 0
    sigma, _ = minute_sigma(
        np.where(quiet, 0, close[0]), np.where(quiet, 0, reach[0]), np.random.default_rng(0)
    )
    assert not sigma[quiet].any()
    assert np.median(sigma[~quiet]) == pytest.approx(1.0, abs=0.05)


def test_no_minutes_have_no_volatility() -> None:
    sigma, short = minute_sigma(np.empty(0), np.empty(0), np.random.default_rng(0))
    assert len(sigma) == 0
    assert short == 0.0
