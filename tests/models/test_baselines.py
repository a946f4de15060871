from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from apex_trader.models.baselines import LogisticBaseline, best_rate, last_sign, majority
from apex_trader.models.scores import direction_scores


def test_majority_calls_the_fitting_rows_most_frequent_class() -> None:
    scores = majority(np.array([2, 2, 0, 1]), np.array([2, 0, 2, 1]), np.zeros(4))
    assert scores["accuracy"] == 0.5
    # with the pseudo-count: 2/7, 2/7, 3/7
    assert scores["log_loss"] == pytest.approx(-np.log([3 / 7, 2 / 7, 3 / 7, 2 / 7]).mean())


def test_last_sign_is_right_where_moves_go_on() -> None:
    past = np.array([0, 2, 2, 0, 1])
    scores = last_sign(past, past, past, past, np.array([-1.0, 1, 1, -1, 0]))
    assert scores["accuracy"] == 1.0
    assert scores["directional_accuracy"] == 1.0


def test_last_sign_turns_its_probabilities_where_moves_reverse() -> None:
    past = np.tile([0, 2], 200)
    scores = last_sign(past, 2 - past, past, 2 - past, 1.0 - past)
    assert scores["accuracy"] == 0.0, "it always calls continuation"
    assert scores["log_loss"] < 0.05, "its probabilities know better"


def test_logistic_regression_comes_near_an_exact_solver() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 40)).astype(np.float32)
    score = x @ rng.standard_normal(40) * 0.15 + rng.logistic(size=4000)
    classes = np.digitize(score, [-1.0, 1.0])
    baseline = LogisticBaseline(1, seed=0)
    fit, judged = np.arange(3000), np.arange(3000, 4000)

    def inputs(rows: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        return np.where(mirrored[:, None], -x[rows], x[rows])

    valid = np.ones((3000, 1), np.bool_)
    baseline.fit(inputs, fit, classes[fit, None].astype(np.int8), valid, 128)
    p = baseline.probabilities(inputs, judged, 128)[:, :, 0]
    np.testing.assert_allclose(p.sum(2), 1.0, atol=1e-6)
    ours = best_rate(p, classes[judged], score[judged])
    solver = LogisticRegression().fit(x[fit], classes[fit])
    exact = direction_scores(solver.predict_proba(x[judged]), classes[judged], score[judged])
    assert ours["log_loss"] < exact["log_loss"] + 0.03
    assert ours["directional_accuracy"] > exact["directional_accuracy"] - 0.02
