"""The method is chosen by what it foretells of days that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.confidence.labels import Labels
from apex_trader.evaluation.confidence.orders import Orders
from apex_trader.evaluation.confidence.selection import select
from apex_trader.time import DAY


def orders(seed: int, slope: float, days: int = 12, a_day: int = 150) -> Orders:
    """Entries whose log odds of success are slope · edge − 0.5."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    features = np.column_stack([rng.normal(size=n), np.full(n, 0.3), rng.normal(-8.0, 0.5, n)])
    better = rng.random(n) < 1.0 / (1.0 + np.exp(-(slope * features[:, 0] - 0.5)))
    ts = np.repeat(np.arange(days) * DAY, a_day)
    label = Labels(np.where(better, 1e-3, -1e-3), np.ones(n, np.bool_), ts)
    flat = np.zeros(n, np.int64)
    return Orders(np.arange(n), ts, flat, flat + 1, features, label, np.ones(n, np.bool_))


def test_where_the_advantage_foretells_it_is_used():
    chosen = select(orders(0, 1.5), ConfidenceConfig())
    assert chosen.calibrator.name != "constant"
    assert chosen.losses[chosen.calibrator.name] == min(chosen.losses.values())
    assert chosen.losses["constant"] - chosen.losses["logistic"] > 0.1


def test_where_it_foretells_nothing_nobody_is_made_surer_than_the_base_rate():
    for seed in range(4):
        found = orders(seed, 0.0)
        said = select(found, ConfidenceConfig()).calibrator.probability(found.features)
        assert np.abs(said - found.label.better.mean()).max() < 0.12


def test_a_day_is_foretold_from_the_other_days_alone():
    """Turning all outcomes of a day round changes what is said of other days, not of it."""
    found = orders(1, 1.0, days=6)
    day = found.day == 2 * DAY
    turned = np.where(day, -found.label.gain, found.label.gain)
    other = Orders(found.row, found.ts, found.position, found.target, found.features,
                   Labels(turned, found.label.known, found.label.end), found.passed)  # fmt: skip
    config = ConfidenceConfig(method="logistic")
    one, two = select(found, config).foretold, select(other, config).foretold
    assert np.array_equal(one[day], two[day])
    assert not np.allclose(one[~day], two[~day], atol=1e-4)


@pytest.mark.parametrize("method", ["isotonic", "beta"])
def test_a_method_that_was_asked_for_is_taken(method):
    chosen = select(orders(2, 0.5, days=4), ConfidenceConfig(method=method))
    assert chosen.calibrator.name == method
    assert list(chosen.losses) == [method]
