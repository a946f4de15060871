"""A score is a ratio of profits, and its error is that of the days they were made on."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.optimum import score


def test_the_share_of_the_optimum() -> None:
    assert score([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]).value == pytest.approx(0.5)
    assert score([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]).standard_error == pytest.approx(0.0, abs=1e-12)


def test_the_error_is_the_spread_of_repeated_scores() -> None:
    """Scores of many samples of 40 days deviate as each sample says they do."""
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(2_000):
        optimum = rng.normal(0.05, 0.03, 40)
        agent = 0.6 * optimum + rng.normal(0.0, 0.02, 40)
        found = score(agent, optimum)
        values.append(found.value)
        errors.append(found.standard_error)
    assert np.mean(values) == pytest.approx(0.6, abs=0.01)
    assert np.std(values) == pytest.approx(np.mean(errors), rel=0.1)


def test_a_quarter_of_the_error_takes_sixteen_times_the_days() -> None:
    found = score([1.0, 2.0, 1.5, 3.0], [2.0, 3.0, 2.5, 4.0])
    assert found.days_for(found.standard_error / 4) == pytest.approx(64, abs=1)
    assert found.days_for(1e9) == 2


def test_one_day_says_nothing_of_its_error() -> None:
    found = score([1.0], [2.0])
    assert np.isnan(found.standard_error)
    with pytest.raises(ApexError, match="at least two"):
        found.days_for()


@pytest.mark.parametrize(
    ("agent", "optimum", "reason"),
    [
        ([1.0, 2.0], [1.0], "same days"),
        ([], [], "same days"),
        ([1.0, 1.0], [1.0, -2.0], "a score needs a profit"),
        ([1.0], [np.nan], "a score needs a profit"),
    ],
)
def test_what_cannot_be_scored_is_said(agent, optimum, reason) -> None:
    with pytest.raises(ApexError, match=reason):
        score(agent, optimum)
