"""Resampled days: intervals cover as often as they say, and baselines share the agent's days."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.evaluation.bootstrap import bootstrap


def dependent(random: np.random.Generator, days: int, carried: float) -> np.ndarray:
    """Days that carry a share of the day before."""
    noise = random.normal(0.0, 0.01, days + 20)
    for day in range(1, len(noise)):
        noise[day] += carried * noise[day - 1]
    return noise[20:]


@pytest.mark.parametrize(("carried", "covered"), [(0.0, 0.93), (0.4, 0.88)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(carried, covered):
    """A little less where days depend on each other: blocks end."""
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(60):
        found = bootstrap(0.001 + dependent(random, 120, carried), {}, 300, random).agent
        inside += found.low.value <= 0.001 <= found.high.value
    assert inside / 60 == pytest.approx(covered, abs=0.08)


def test_what_both_share_does_not_widen_their_difference():
    """The market moves a hundred times more than what the agent is better by."""
    random = np.random.default_rng(5)
    market = random.normal(0.0, 0.05, 100)
    agent = market + random.normal(0.0005, 0.0005, 100)
    found = bootstrap(agent, {"market": market, "same": agent}, 2_000, random)
    better = found.against["market"]
    assert 0.0003 < better.low.value < better.mean.value < better.high.value < 0.0007
    assert better.below.value == 0.0
    width, alone = better.high.value - better.low.value, found.agent
    assert alone.high.value - alone.low.value > 30 * width
    assert found.against["same"].high.value == 0.0


def test_days_that_depend_on_each_other_stay_together():
    random = np.random.default_rng(6)
    loose = bootstrap(dependent(random, 400, 0.0), {}, 10, random).block
    tied = bootstrap(dependent(random, 400, 0.7), {}, 10, random).block
    assert loose < 5 < tied


def test_the_same_seed_draws_the_same_days():
    daily = np.random.default_rng(1).normal(size=30)
    first, second = (bootstrap(daily, {}, 200, np.random.default_rng(2)) for _ in range(2))
    assert first == second


def test_few_days_have_no_interval():
    found = bootstrap(np.ones(4), {"flat": np.zeros(4)}, 100, np.random.default_rng(0))
    assert found.against["flat"].mean.reason == "not enough data: 4 of at least 5 days"
    assert found.draws == 0
