"""Exponentially weighted recursions: their definition, chunks, gaps and mirror."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.state.ew import (
    average_true_range,
    ew_autocorrelation,
    ew_beta,
    ew_correlation,
    ew_mean,
    ew_std,
    ew_variance,
    half_life,
    span,
    true_range,
    wilder,
)

DECAY = half_life(7.0)

Recursion = Callable[[np.ndarray, np.ndarray | None], tuple[np.ndarray, np.ndarray]]
#: Every recursion over rows of three numbers, so that one property covers them all.
RECURSIONS: dict[str, Recursion] = {
    "mean": lambda rows, carry: ew_mean(rows[:, 0], DECAY, carry),
    "variance": lambda rows, carry: ew_variance(rows[:, 0], DECAY, carry),
    "std": lambda rows, carry: ew_std(rows[:, 0], DECAY, carry),
    "correlation": lambda rows, carry: ew_correlation(rows[:, 0], rows[:, 1], DECAY, carry),
    "beta": lambda rows, carry: ew_beta(rows[:, 0], rows[:, 1], DECAY, carry),
    "autocorrelation": lambda rows, carry: ew_autocorrelation(rows[:, 0], DECAY, carry),
    "atr": lambda rows, carry: average_true_range(
        np.fmax(rows[:, 0], rows[:, 1]), np.fmin(rows[:, 0], rows[:, 1]), rows[:, 2], DECAY, carry
    ),
}

values = st.one_of(st.just(float("nan")), st.floats(-1e3, 1e3, allow_subnormal=False))
tables = st.lists(st.tuples(values, values, values), max_size=40).map(
    lambda rows: np.array(rows, float).reshape(-1, 3)
)


def weights(n: int, decay: float) -> np.ndarray:
    return decay ** np.arange(n)[::-1]


@pytest.mark.parametrize("name", RECURSIONS)
@given(table=tables, cuts=st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=60, deadline=None)
def test_chunks_give_the_same_bits_as_one_run(
    name: str, table: np.ndarray, cuts: list[int]
) -> None:
    run = RECURSIONS[name]
    whole, end = run(table, None)
    parts, carry = [], None
    for part in np.split(table, sorted(min(c, len(table)) for c in cuts)):
        out, carry = run(part, carry)
        parts.append(out)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert carry is not None
    assert carry.tobytes() == end.tobytes()


@pytest.mark.parametrize("name", RECURSIONS)
def test_a_carry_is_never_changed_by_its_use(name: str) -> None:
    table = np.random.default_rng(1).normal(size=(20, 3))
    _, carry = RECURSIONS[name](table, None)
    kept = carry.copy()
    RECURSIONS[name](table, carry)
    assert carry.tobytes() == kept.tobytes()


@pytest.mark.parametrize("name", RECURSIONS)
def test_the_future_changes_nothing(name: str) -> None:
    table = np.random.default_rng(2).normal(size=(200, 3))
    poisoned = table.copy()
    poisoned[120:] = 1e6
    before, _ = RECURSIONS[name](table, None)
    after, _ = RECURSIONS[name](poisoned, None)
    assert before[:120].tobytes() == after[:120].tobytes()


def test_mean_and_variance_are_those_of_normalised_weights() -> None:
    x = np.random.default_rng(3).normal(5.0, 2.0, 50)
    mean, _ = ew_mean(x, DECAY)
    variance, _ = ew_variance(x, DECAY)
    for n in (2, 3, 17, 50):
        w = weights(n, DECAY) / weights(n, DECAY).sum()
        expected = (w * x[:n]).sum()
        assert mean[n - 1] == pytest.approx(expected, rel=1e-12)
        biased = (w * (x[:n] - expected) ** 2).sum()
        assert variance[n - 1] == pytest.approx(biased / (1 - (w * w).sum()), rel=1e-10)
    assert mean[0] == x[0]
    assert np.isnan(variance[0])


def test_correlation_and_beta_are_those_of_the_weighted_regression() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=80)
    y = 0.7 * x + rng.normal(size=80) + 3.0
    correlation, _ = ew_correlation(x, y, DECAY)
    beta, _ = ew_beta(x, y, DECAY)
    root = np.sqrt(weights(80, DECAY))
    design = np.column_stack([np.ones(80), x]) * root[:, None]
    slope = np.linalg.lstsq(design, y * root, rcond=None)[0][1]
    assert beta[-1] == pytest.approx(slope, rel=1e-10)
    cov = np.cov(x, y, aweights=weights(80, DECAY))
    assert correlation[-1] == pytest.approx(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]), rel=1e-10)


def test_autocorrelation_finds_a_planted_one() -> None:
    rng = np.random.default_rng(5)
    x = np.zeros(6000)
    for i in range(1, len(x)):
        x[i] = -0.6 * x[i - 1] + rng.normal()
    out, _ = ew_autocorrelation(x, half_life(1000.0))
    assert out[-1] == pytest.approx(-0.6, abs=0.08)


def test_variance_of_many_independent_draws_is_unbiased() -> None:
    x = np.random.default_rng(6).normal(size=4000 * 5)
    final = [ew_variance(part, half_life(2.0))[0][-1] for part in x.reshape(-1, 5)]
    assert np.mean(final) == pytest.approx(1.0, abs=0.05)


@given(table=tables)
@settings(max_examples=60, deadline=None)
def test_a_missing_observation_carries_and_leaves_no_trace(table: np.ndarray) -> None:
    x = table[:, 0]
    out, carry = ew_mean(x, DECAY)
    there = ~np.isnan(x)
    dense, dense_carry = ew_mean(x[there], DECAY)
    assert out[there].tobytes() == dense.tobytes()
    assert carry.tobytes() == dense_carry.tobytes()
    for i in np.flatnonzero(~there):
        assert (np.isnan(out[i]) and i == 0) or np.array_equal(out[i], out[i - 1], equal_nan=True)


def test_a_constant_has_no_correlation_and_no_slope() -> None:
    x = np.full(30, 2.5)
    y = np.arange(30.0)
    assert ew_correlation(x, y, DECAY)[0][-1] == 0.0
    assert ew_beta(x, y, DECAY)[0][-1] == 0.0
    assert ew_variance(x, DECAY)[0][-1] == 0.0


def test_the_mirror_is_exact() -> None:
    rows = np.random.default_rng(7).normal(size=(300, 2)).cumsum(0)
    for odd in (lambda s: ew_mean(s, DECAY)[0],):
        assert np.array_equal(odd(-rows[:, 0]), -odd(rows[:, 0]))
    for even in ("variance", "correlation", "beta", "autocorrelation"):
        table = np.column_stack([rows, rows[:, 0]])
        here, there = (RECURSIONS[even](sign * table, None)[0] for sign in (1, -1))
        assert np.array_equal(here, there, equal_nan=True), even
    high, low, close = rows.max(1) + 1.0, rows.min(1), rows[:, 0]
    here, _ = average_true_range(high, low, close, wilder(14))
    there, _ = average_true_range(-low, -high, -close, wilder(14))
    assert np.array_equal(here, there)


def test_true_range_counts_the_gap_from_the_previous_close() -> None:
    high, low = np.array([5.0, 5.0, 5.0]), np.array([3.0, 3.0, 3.0])
    out = true_range(high, low, np.array([np.nan, 7.0, 1.0]))
    assert out.tolist() == [2.0, 4.0, 4.0]


def test_the_three_ways_to_name_a_decay() -> None:
    assert half_life(60.0) ** 60 == pytest.approx(0.5)
    assert span(20) == pytest.approx(19 / 21)
    assert wilder(14) == pytest.approx(13 / 14)


@pytest.mark.parametrize(
    "use",
    [
        lambda: half_life(0.0),
        lambda: span(0.5),
        lambda: wilder(0),
        lambda: ew_mean(np.zeros(3), 1.0),
        lambda: ew_mean(np.zeros((3, 2)), DECAY),
        lambda: ew_mean(np.zeros(3), DECAY, np.zeros(3)),
        lambda: ew_correlation(np.zeros(3), np.zeros(4), DECAY),
    ],
)
def test_impossible_arguments_are_named(use: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        use()
