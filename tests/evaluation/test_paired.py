"""The rule by which new weights replace those in use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.evaluation.paired import compare

RETURNS = st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=20)
MARGINS = st.floats(0.0, 5.0)


@given(RETURNS, MARGINS)
def test_a_candidate_that_does_the_same_is_never_better(returns, margin):
    found = compare(returns, returns, margin)
    assert not found.better
    assert found.t == 0.0


@given(st.lists(st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)), min_size=2), MARGINS)
def test_of_two_at_most_one_is_better_than_the_other(pairs, margin):
    one, other = zip(*pairs, strict=True)
    assert not (compare(one, other, margin).better and compare(other, one, margin).better)


@given(st.lists(st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)), min_size=2), MARGINS)
def test_whoever_is_better_earned_more_by_the_margin(pairs, margin):
    found = compare(*zip(*pairs, strict=True), margin)
    if found.better:
        assert found.returns > found.others
        assert found.t >= margin


@given(RETURNS, st.floats(1e-3, 1.0))
def test_a_larger_margin_never_lets_more_pass(returns, more):
    others = [0.0] * len(returns)
    assert compare(returns, others, more).better <= compare(returns, others, 0.0).better


def test_the_market_s_own_move_weighs_nothing():
    """Both swing by percents with the market; the candidate is ahead by a little in every part."""
    market = np.random.default_rng(1).normal(0.0, 0.02, 6)
    ahead = np.array([0.001, 0.002, 0.001, 0.002, 0.001, 0.002])
    found = compare(market + ahead, market, 2.0)
    assert found.t == pytest.approx(ahead.mean() / (ahead.std(ddof=1) / math.sqrt(6)))
    assert found.better


def test_a_single_lucky_part_is_not_enough():
    found = compare([0.05, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0] * 6, 1.5)
    assert found.t == pytest.approx(1.0)
    assert not found.better
    assert "1.5 are asked for" in found.reason


def test_nothing_is_said_of_less_than_two_parts():
    with pytest.raises(ValueError, match="two stretches"):
        compare([0.1], [0.0], 1.0)
