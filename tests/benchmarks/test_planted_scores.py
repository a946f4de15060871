"""The table of scores: what it says where a figure is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.planted_scores import Run, median_range, table


def result(value: Any, error: Any = 0.1) -> dict[str, Any]:
    scores = {"filter optimum": {"value": value, "standard_error": error, "days": 3}}
    return {
        "evaluation": {"scores": scores},
        "backtest": {"agent": {"trades_per_day": 12.0}},
        "agent": {"updates": 5},
    }


def runs(count: int) -> list[Run]:
    return [Run("regimes", seed, Path("x"), (), ()) for seed in range(count)]


def test_a_market_on_which_the_optimum_gains_nothing_has_no_score(capsys):
    lacking = {"missing": "the optimum gains nothing"}
    table(runs(3), [result(0.4), result(lacking, lacking), result(0.6)])
    shown = capsys.readouterr().out
    assert "the optimum gains nothing" in shown
    assert "2   0.500  0.400 … 0.600 (50%)" in shown


def test_without_any_score_there_is_no_median(capsys):
    lacking = {"missing": "the optimum gains nothing"}
    table(runs(1), [result(lacking, lacking)])
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(("seeds", "chance"), [(2, 0.5), (5, 0.9375), (6, 0.96875)])
def test_the_outermost_of_n_hold_the_median_with_that_chance(seeds: int, chance: float):
    assert median_range(np.arange(float(seeds))) == (0.0, seeds - 1.0, pytest.approx(chance))
