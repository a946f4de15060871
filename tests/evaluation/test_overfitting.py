"""PBO is a half where trials are noise, none where one is truly better, and never made up."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.evaluation.overfitting import overfitting


def noise(seed: int, days: int = 240, trials: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (days, trials))


def test_choosing_among_noise_is_a_coin_toss():
    found = [overfitting(noise(seed, days=96)).probability.value for seed in range(20)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)


def test_a_trial_that_is_truly_better_wins_everywhere():
    returns = noise(1)
    returns[:, 7] += 0.006
    found = overfitting(returns)
    assert found.probability.value < 0.01
    assert found.loss.value < 0.01
    assert found.blocks == 16


def test_a_trial_that_was_fitted_to_some_days_loses_on_the_others():
    """Each trial is right on days of its own and as wrong on all others."""
    returns = noise(2, days=64, trials=8)
    for trial in range(8):
        returns[:, trial] -= 0.05 / 7
        returns[trial * 8 : trial * 8 + 8, trial] += 0.05 + 0.05 / 7
    found = overfitting(returns)
    assert found.probability.value > 0.6
    assert found.slope.value < 0.0


@pytest.mark.parametrize(
    ("days", "trials", "said"), [(100, 1, "1 of at least 2 trials"), (7, 5, "7 of at least 8 days")]
)
def test_too_little_to_compare_is_said(days, trials, said):
    found = overfitting(noise(0, days, trials))
    assert found.probability.value is None
    assert said in found.probability.reason


def test_trials_that_do_the_same_are_not_compared():
    """Agents that stay out all win and all lose: nothing was chosen."""
    for days in (noise(3, days=32, trials=1), np.zeros((32, 1))):
        found = overfitting(np.tile(days, (1, 3)))
        assert found.probability.value is None
        assert "do not differ" in found.probability.reason


@pytest.mark.parametrize("trials", [2, 3, 4, 5])
def test_choosing_among_a_few_is_a_coin_toss_too(trials):
    """The very middle of an odd number is neither half."""
    found = [overfitting(noise(seed, 32, trials)).probability.value for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.12)
