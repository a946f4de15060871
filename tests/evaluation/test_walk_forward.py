"""Folds as one result: each test day once, compounded, with intervals over all of them."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.walk_forward import FoldResult, combine, daily_figures
from apex_trader.time import DAY


def fold(number: int, days: int = 4, edge: float = 0.0, **more: np.ndarray) -> FoldResult:
    random = np.random.default_rng(number)
    ts = (1_000 + number * days + np.arange(days)) * DAY
    daily = {"agent": edge + random.normal(0, 0.01, days), "flat": np.zeros(days), **more}
    return FoldResult(f"fold-{number}", "a", "b", "c", {}, ts, daily)


def test_the_folds_compound():
    folds = [fold(k) for k in range(3)]
    joint = combine(folds, [], 1, 200, np.random.default_rng(0))
    assert len(joint.days) == 12
    whole = np.prod([np.exp(f.daily["agent"].sum()) for f in folds])
    assert joint.figures["agent"]["net_return"] == pytest.approx(whole - 1.0)
    assert joint.figures["flat"]["net_return"] == 0.0
    assert joint.gained == sum(f.daily["agent"].sum() > 0 for f in folds)
    assert joint.bootstrap.days == joint.sharpe.days == 12
    assert joint.bootstrap.against["flat"].mean == joint.bootstrap.agent.mean


def test_a_skill_that_no_fold_shows_alone_shows_over_all():
    folds = [fold(k, edge=0.008) for k in range(12)]
    joint = combine(folds, [], 1, 1_000, np.random.default_rng(0))
    assert joint.bootstrap.against["flat"].below.value < 0.01
    assert joint.sharpe.probabilistic.value > 0.95


def test_a_policy_that_a_fold_lacks_is_left_out():
    joint = combine([fold(0, oracle=np.ones(4)), fold(1)], [], 1, 50, np.random.default_rng(0))
    assert list(joint.daily) == ["agent", "flat"]


def test_no_day_is_tested_twice():
    with pytest.raises(ApexError, match="overlap"):
        combine([fold(1), fold(1)], [], 1, 50, np.random.default_rng(0))
    with pytest.raises(ApexError, match="at least one fold"):
        combine([], [], 1, 50, np.random.default_rng(0))


def test_drawdown_is_from_the_highest_close_and_the_start_is_one():
    found = daily_figures(np.log([0.9, 1.2, 0.5, 1.1]))
    assert found["max_drawdown"] == pytest.approx(-0.5)
    assert found["days"] == 4.0
    assert np.isnan(found["sharpe"])
    assert daily_figures(np.log([0.9]))["max_drawdown"] == pytest.approx(-0.1)
