"""The weights that are judged: the mean of recent ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learner.average import WeightAverage


def steps_of(count: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 2, generator=generator) for _ in range(count)]


def averaged(steps: list[torch.Tensor], window: int) -> np.ndarray:
    layer = nn.Linear(2, 3, bias=False)
    average = WeightAverage(layer, window)
    for updates, weights in enumerate(steps):
        average.begin(updates)
        average.follow([weights])
    return next(average.network.parameters()).detach().numpy()


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 30), seed=st.integers(0, 99))
def test_until_the_window_is_full_it_is_the_mean_of_all_weights(count: int, seed: int) -> None:
    steps = steps_of(count, seed)
    np.testing.assert_allclose(averaged(steps, 30), torch.stack(steps).mean(0), atol=1e-5)


def test_what_lies_far_behind_the_window_is_forgotten() -> None:
    far = [torch.full((3, 2), 1e3)] * 5
    near = [torch.ones(3, 2)] * 200
    np.testing.assert_allclose(averaged(far + near, 5), np.ones((3, 2)), atol=1e-3)


def test_a_window_of_one_is_the_newest_weights() -> None:
    steps = steps_of(7, 1)
    np.testing.assert_allclose(averaged(steps, 1), steps[-1], rtol=1e-6)


def test_its_noise_is_that_of_a_mean() -> None:
    """Weights that wander around a point: the average lies nearer to it than they do."""
    steps = steps_of(2000, 3)
    error = np.sqrt((averaged(steps, 200) ** 2).mean())
    # An exponential mean of rate r has the variance r / (2 − r) of one value's.
    assert error == pytest.approx(np.sqrt(1 / 399), rel=0.6)
