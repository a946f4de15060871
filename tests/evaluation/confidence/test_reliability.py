"""Reliability by hand, and intervals that are as wide as the days make them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from apex_trader.evaluation.confidence.coverage import LEVELS, coverage
from apex_trader.evaluation.confidence.reliability import Reliability, reliability, wilson
from apex_trader.time import DAY


def judge(said, better, day, seed: int = 0) -> Reliability:  # type: ignore[no-untyped-def]
    found = reliability(
        np.asarray(said, np.float64), np.asarray(better, np.bool_),
        np.asarray(day) * DAY, np.random.default_rng(seed), 400,
    )  # fmt: skip
    assert found is not None
    return found


def test_scores_by_hand():
    found = judge([0.8, 0.8, 0.8, 0.3], [1, 1, 0, 0], [0, 1, 2, 3])
    assert (found.orders, found.days) == (4, 4)
    assert found.base_rate.value == 0.5
    assert found.gap.value == pytest.approx(0.175)
    assert found.brier.value == pytest.approx((0.04 + 0.04 + 0.64 + 0.09) / 4)
    assert found.brier_base.value == 0.25
    assert found.brier_gain.value == pytest.approx(0.25 - 0.81 / 4)
    assert found.log_loss.value == pytest.approx(-np.log([0.8, 0.8, 0.2, 0.7]).mean())
    assert found.calibration_error.value == pytest.approx(0.75 * (0.8 - 2 / 3) + 0.25 * 0.3)
    low, high = found.bins
    assert (low.low, low.orders, low.frequency) == (pytest.approx(0.3), 1, 0.0)
    assert (high.orders, high.confidence, high.frequency) == (3, pytest.approx(0.8), 2 / 3)


def test_wilson_as_in_the_books():
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_intervals_hold_what_was_truly_said_nine_times_in_ten_although_days_differ():
    """Each day's outcomes lean its own way, as overlapping labels do; the truth is what is said."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        lean = beta.rvs(6, 4, size=40, random_state=rng)  # of mean 0.6
        day = np.repeat(np.arange(40), 50)
        better = rng.random(len(day)) < lean[day]
        (point,) = judge(np.full(len(day), 0.6), better, day, seed).bins
        held += point.holds
        assert point.upper - point.lower > 1.5 * (wilson(0.6, 2_000)[1] - wilson(0.6, 2_000)[0])
    assert 54 <= held <= 60


def test_what_is_wrong_by_a_tenth_is_found_to_be():
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(40), 50)
    found = judge(np.full(2_000, 0.7), rng.random(2_000) < 0.6, day)
    assert not found.bins[0].holds
    assert found.gap.value > 3 * found.gap.error > 0


def test_one_day_tells_nothing_of_how_days_differ():
    found = judge([0.7, 0.7, 0.2], [1, 0, 0], [0, 0, 0])
    assert all((point.lower, point.upper) == (0.0, 1.0) for point in found.bins)
    assert np.isnan(found.brier.error)


def test_no_order_no_figures():
    empty = np.zeros(0)
    assert reliability(empty, empty.astype(bool), empty.astype(np.int64),
                       np.random.default_rng(0)) is None  # fmt: skip


def test_coverage_counts_orders_and_decisions_at_and_above_each_level():
    table = {c.level: c for c in coverage(np.array([0.4, 0.7, 0.9]), 30, 0.72)}
    assert sorted(table) == sorted({*LEVELS, 0.72})
    assert (table[0.7].orders, table[0.7].decisions) == (2 / 3, 2 / 30)
    assert table[0.72].orders == 1 / 3
    assert table[0.95].orders == 0.0
    assert all(c.orders == c.decisions == 0.0 for c in coverage(np.zeros(0), 30, 0.7))
