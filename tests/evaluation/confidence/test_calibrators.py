"""Whatever the calibrator: it never falls with the edge, and never claims more than days allow."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from apex_trader.evaluation.confidence.calibrators import CALIBRATORS, from_plain, to_plain
from apex_trader.evaluation.confidence.features import COST, EDGE


def sample(seed: int, slope: float, size: int = 2_000):  # type: ignore[no-untyped-def]
    """Orders whose log odds of success are slope · edge − cost."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.normal(size=size), rng.gamma(2.0, 0.3, size),
                                rng.normal(-8.0, 0.5, size)])  # fmt: skip
    odds = slope * features[:, EDGE] - features[:, COST]
    return features, rng.random(size) < 1.0 / (1.0 + np.exp(-odds))


def rising(cost: float = 0.5) -> np.ndarray:
    return np.column_stack([np.linspace(-6, 6, 200), np.full(200, cost), np.full(200, -8.0)])


@pytest.mark.parametrize("name", CALIBRATORS)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-2.0, 2.0), st.integers(2, 300))
def test_more_advantage_is_never_less_confidence(name, seed, slope, size):
    features, better = sample(seed, slope, size)
    said = CALIBRATORS[name].fit(features, better, 10).probability(rising())
    assert (np.diff(said) >= -1e-12).all()
    assert ((said >= 1 / 12) & (said <= 11 / 12)).all()


@pytest.mark.parametrize("name", ["logistic", "beta", "isotonic", "market"])
def test_an_advantage_that_foretells_is_used_and_one_that_misleads_is_not(name):
    told = CALIBRATORS[name].fit(*sample(1, 1.5), 50).probability(rising())
    misled = CALIBRATORS[name].fit(*sample(1, -1.5), 50).probability(rising())
    assert told[-1] - told[0] > 0.7
    assert misled[-1] - misled[0] < 0.1


def test_the_market_calibrator_knows_that_costs_must_be_earned():
    fitted = CALIBRATORS["market"].fit(*sample(2, 1.0, 20_000), 50)
    cheap, dear = fitted.probability(rising(0.1)), fitted.probability(rising(2.0))
    assert (cheap >= dear).all()
    truth = 1.0 / (1.0 + np.exp(-(rising()[60:140, EDGE] - 0.5)))
    assert np.abs(fitted.probability(rising())[60:140] - truth).max() < 0.03


@pytest.mark.parametrize("name", CALIBRATORS)
@pytest.mark.parametrize("always", [True, False])
def test_orders_that_all_came_out_alike_are_not_taken_for_certain(name, always):
    features, _ = sample(3, 1.0, 50)
    fitted = CALIBRATORS[name].fit(features, np.full(50, always), 8)
    assert fitted.probability(features) == pytest.approx(0.9 if always else 0.1)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_json_gives_the_same_calibrator_back(name):
    fitted = CALIBRATORS[name].fit(*sample(4, 1.0), 20)
    read = from_plain(json.loads(json.dumps(to_plain(fitted))))
    assert read == fitted
    assert np.array_equal(read.probability(rising()), fitted.probability(rising()))


@pytest.mark.parametrize("values", [{}, {"method": "magic"}, {"method": "constant", "rate": 0.5}])
def test_values_of_no_calibrator_are_refused(values):
    with pytest.raises(ApexError, match="no values of a calibrator"):
        from_plain(values)
