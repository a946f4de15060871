"""Reward terms one by one, and potentials that telescope."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.trading.config import RewardConfig
from apex_trader.trading.rewards import (
    Weights,
    cnn_potential,
    differential_sharpe,
    duration_shape,
    frequency_term,
    pivot_bonus,
    pivot_potential,
    potential_weights,
    shaping,
)


def test_trading_within_the_allowance_is_free():
    assert frequency_term(0.0, 1.0, 1.0) == 0.0
    assert frequency_term(1.0, 1.0, 1.0) == 0.0


def test_the_excess_counts_squared_and_more_in_choppy_regimes():
    assert frequency_term(3.0, 0.0, 1.0) == -4.0
    assert frequency_term(3.0, 1.0, 1.0) == -8.0
    assert frequency_term(3.0, 0.5, 2.0) == -8.0
    assert frequency_term(3.0, 1.0, 0.0) == -4.0


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


def test_potentials_are_even_under_the_mirror():
    rng = np.random.default_rng(0)
    position, trend = rng.integers(-1, 2, 50), rng.uniform(-1, 1, 50)
    np.testing.assert_array_equal(
        pivot_potential(position, trend), pivot_potential(-position, -trend)
    )
    predictions = rng.uniform(-1, 1, (50, 16))
    image = predictions.copy()
    image[:, 0::4] *= -1
    np.testing.assert_allclose(
        cnn_potential(position, predictions), cnn_potential(-position, image), atol=1e-16
    )


def test_the_cnn_potential_is_the_mean_of_direction_times_confidence():
    predictions = np.zeros(16)
    predictions[[0, 4, 8, 12]] = [1.0, -0.5, 0.5, 0.2]
    predictions[[1, 5, 9, 13]] = [0.8, 0.6, 0.4, 0.5]
    predictions[[2, 3]] = 9.0
    assert cnn_potential(-1.0, predictions) == pytest.approx(-(0.8 - 0.3 + 0.2 + 0.1) / 4)


def test_potentials_are_the_same_in_torch():
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    position = rng.integers(-1, 2, 20).astype(np.float64)
    trend, predictions = rng.uniform(-1, 1, 20), rng.uniform(-1, 1, (20, 16))
    tensors = [torch.from_numpy(a) for a in (position, trend, predictions)]
    np.testing.assert_allclose(pivot_potential(*tensors[:2]), pivot_potential(position, trend))
    np.testing.assert_allclose(
        cnn_potential(tensors[0], tensors[2]), cnn_potential(position, predictions)
    )


@given(
    phi=st.lists(st.floats(-1, 1), min_size=2, max_size=12),
    gamma=st.floats(0.5, 1.0),
    terminal=st.booleans(),
)
def test_potentials_telescope_over_n_steps(phi, gamma, terminal):
    steps = len(phi) - 1
    total = 0.0
    for k in range(steps):
        last = terminal and k == steps - 1
        total += gamma**k * shaping(0.0 if last else gamma, phi[k], phi[k + 1])
    discount = 0.0 if terminal else gamma**steps
    assert total == pytest.approx(shaping(discount, phi[0], phi[-1]), abs=1e-12)


def test_weights_carry_the_scale_of_the_reward():
    config = RewardConfig(scale=100.0, core=2.0, pivot_potential=0.5, cnn_potential=0.25,
                          pivot_bonus=0.1, pivot_level_weights=(1.0, 2.0, 3.0, 4.0))  # fmt: skip
    assert Weights.of(config).core == 200.0
    np.testing.assert_allclose(Weights.of(config).pivot_levels, [10, 20, 30, 40])
    assert potential_weights(config) == (50.0, 25.0)
