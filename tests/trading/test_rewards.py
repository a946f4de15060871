"""Reward terms one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.trading.config import RewardConfig
from apex_trader.trading.rewards import (
    Weights,
    differential_sharpe,
    duration_shape,
    frequency_term,
    pivot_bonus,
)


def test_trading_within_the_allowance_is_free():
    assert frequency_term(0.0, 1.0, 1.0) == 0.0
    assert frequency_term(1.0, 1.0, 1.0) == 0.0


def test_the_excess_counts_squared_and_more_in_choppy_regimes():
    assert frequency_term(3.0, 0.0, 1.0) == -4.0
    assert frequency_term(3.0, 1.0, 1.0) == -8.0
    assert frequency_term(3.0, 0.5, 2.0) == -8.0
    assert frequency_term(3.0, 1.0, 0.0) == -4.0


@settings(deadline=None)  # the first example compiles the kernel
@given(mean=st.floats(-1e-3, 1e-3), deviation=st.floats(1e-4, 1e-3), core=st.floats(-1e-3, 1e-3))
def test_the_differential_sharpe_ratio_is_the_derivative_of_the_decayed_one(mean, deviation, core):
    square = mean**2 + deviation**2

    def sharpe(share: float) -> float:
        a = mean + share * (core - mean)
        return a / np.sqrt(square + share * (core**2 - square) - a**2)

    h = 1e-5
    derivative = (sharpe(h) - sharpe(-h)) / (2 * h)
    value = differential_sharpe(core, mean, square, 0.0)
    assert value == pytest.approx(derivative, rel=1e-3, abs=1e-4)


def test_without_a_past_the_differential_sharpe_ratio_is_the_return_over_its_floor():
    assert differential_sharpe(0.001, 0.0, 0.0, 0.0005) == pytest.approx(2.0)
    assert differential_sharpe(0.001, 0.0, 0.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "shape"),
    [(0, -0.2), (299, -0.2), (300, 0.2), (1799, 0.2), (1800, 0.0), (3600, -0.3), (1e6, -0.3)],
)
def test_the_holding_time_has_the_shape_of_its_factors(seconds, shape):
    weights = Weights.of(RewardConfig())
    value = duration_shape(seconds, weights.duration_edges, weights.duration_factors)
    assert value == pytest.approx(shape)


def test_a_pivot_pays_who_stood_on_its_right_side():
    levels = np.array([1.0, 2.0, 3.0, 4.0])
    assert pivot_bonus(1, -1, 2, levels) == 1.0
    assert pivot_bonus(-1, 1, 5, levels) == 4.0
    for position, kind in [(1, 1), (-1, -1), (0, 1), (0, -1)]:
        assert pivot_bonus(position, kind, 3, levels) == 0.0


def test_weights_carry_the_scale_of_the_reward():
    config = RewardConfig(
        scale=100.0, core=2.0, pivot_bonus=0.1, pivot_level_weights=(1.0, 2.0, 3.0, 4.0)
    )
    assert Weights.of(config).core == 200.0
    np.testing.assert_allclose(Weights.of(config).pivot_levels, [10, 20, 30, 40])
