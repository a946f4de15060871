"""A Sharpe ratio's chance of being luck, on returns whose true ratio is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from apex_trader.evaluation.sharpe import annual_sharpe, sharpe_statistics
from apex_trader.evaluation.statistics import YEAR


def days(sharpe: float, count: int, seed: int) -> np.ndarray:
    """Normal daily returns of a true annual ratio."""
    return np.random.default_rng(seed).normal(0.01 * sharpe / math.sqrt(YEAR), 0.01, count)


def standardised(sharpe: float, count: int) -> np.ndarray:
    """Returns that show exactly this annual ratio."""
    daily = days(0.0, count, 1)
    return (daily - daily.mean()) / daily.std(ddof=1) + sharpe / math.sqrt(YEAR)


def test_it_is_the_ratio_by_definition():
    assert annual_sharpe(standardised(1.7, 90)) == pytest.approx(1.7)


@pytest.mark.parametrize("sharpe", [0.0, 3.0])
def test_the_probability_is_right_as_often_as_it_says(sharpe):
    """Over many samples of a true ratio, P(true > 0) > 0.95 in 5% of those without skill."""
    found = [
        sharpe_statistics(days(sharpe, 200, seed), [], 1).probabilistic.value for seed in range(600)
    ]
    often = np.mean(np.array(found) > 0.95)
    if sharpe == 0.0:
        assert often == pytest.approx(0.05, abs=0.03)
    else:
        assert often > 0.6  # 3·√(200/365) = 2.2 deviations from 0


def test_the_best_of_many_without_skill_is_deflated():
    """The best of 100 random trials looks skilled alone, and does not once the 100 are counted."""
    random = np.random.default_rng(4)
    deflated = []
    for _ in range(40):
        trials = random.normal(0.0, 0.01, (250, 100))
        ratios = [annual_sharpe(trials[:, k]) for k in range(100)]
        best = trials[:, int(np.argmax(ratios))]
        found = sharpe_statistics(best, ratios, 100)
        assert found.probabilistic.value > 0.8
        assert found.expected.value == pytest.approx(max(ratios), abs=1.5)
        deflated.append(found.deflated.value)
    assert np.mean(deflated) == pytest.approx(0.5, abs=0.1)


def test_a_single_trial_needs_no_deflation():
    found = sharpe_statistics(days(2.0, 300, 1), [1.9], 1)
    assert found.deflated == found.probabilistic


def test_the_minimum_track_record_is_where_confidence_reaches_95_percent():
    daily = standardised(1.5, 400)
    needed = sharpe_statistics(daily, [], 1).minimum_days.value
    assert needed is not None
    # the same returns over and over: moments stay, days grow
    enough = np.resize(daily, 400 * math.ceil(needed / 400))
    assert 400 < needed < 1_500
    below, above = daily, enough
    assert sharpe_statistics(below, [], 1).probabilistic.value < 0.95
    assert sharpe_statistics(above, [], 1).probabilistic.value > 0.95


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_days_have_no_figure_but_a_reason(count):
    found = sharpe_statistics(days(1.0, count, 0), [1.0, 2.0], 2)
    for figure in (found.sharpe, found.probabilistic, found.deflated, found.minimum_days):
        assert figure.value is None
        assert figure.reason == f"not enough data: {count} of at least 5 days"


def test_trials_without_a_ratio_count_but_cannot_deflate():
    found = sharpe_statistics(days(1.0, 90, 0), [1.0], 7)
    assert found.trials == 7
    assert found.probabilistic.value is not None
    assert found.deflated.value is None
    assert "1 of 7 trials" in found.deflated.reason


def test_a_loss_has_no_length_at_which_it_would_be_skill():
    found = sharpe_statistics(-np.abs(days(0.0, 90, 0)), [], 1)
    assert found.minimum_days.reason == "the Sharpe ratio is not above 0"
