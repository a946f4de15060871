from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.models.scores import direction_scores


def test_scores_by_hand() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])
    classes = np.array([0, 2, 2, 1])
    scores = direction_scores(p, classes, np.array([-1.0, 1.0, 1.0, 0.0]))
    assert scores["accuracy"] == 0.75
    assert scores["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert scores["log_loss"] == pytest.approx(-np.log([0.7, 0.7, 0.2, 0.5]).mean())
    assert scores["directional_accuracy"] == pytest.approx(2 / 3)
    assert scores["information_coefficient"] == pytest.approx(
        np.corrcoef([-0.6, 0.6, -0.3, 0.1], [-1, 1, 1, 0])[0, 1]
    )


@given(st.integers(0, 2**32 - 1))
def test_upside_down_scores_are_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), 20)
    classes, move = rng.integers(0, 3, 20), rng.standard_normal(20)
    up, down = direction_scores(p, classes, move), direction_scores(p[:, ::-1], 2 - classes, -move)
    assert up == pytest.approx(down)


def test_no_opinion_is_worth_nothing() -> None:
    flat = np.full((9, 3), 1 / 3)
    scores = direction_scores(flat, np.arange(9) % 3, np.linspace(-1, 1, 9))
    assert scores["directional_accuracy"] == 0.5
    assert scores["information_coefficient"] == 0.0
    assert scores["log_loss"] == pytest.approx(np.log(3))
