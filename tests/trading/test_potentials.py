"""Potentials that are even under the mirror and telescope."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.trading.config import RewardConfig
from apex_trader.trading.potentials import (
    cnn_potential,
    pivot_potential,
    potential_weights,
    shaping,
)


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
    config = RewardConfig(scale=100.0, pivot_potential=0.5, cnn_potential=0.25)
    assert potential_weights(config) == (50.0, 25.0)
