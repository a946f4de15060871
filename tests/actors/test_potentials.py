import numpy as np
import pytest

from actors.potentials import Potentials
from apex_trader.trading.config import RewardConfig


def test_they_are_the_formulas_of_the_reward(make_market):
    tables = make_market().tables
    config = RewardConfig(scale=100.0, pivot_potential=0.5, cnn_potential=0.25)
    rows, position = np.array([3, 200, 3]), np.array([1.0, -1.0, 0.0], np.float32)
    potentials = Potentials(tables, config)
    trend = tables.trend.numpy()[rows]
    assert potentials.pivot(rows, position) == pytest.approx(50.0 * position * trend)
    cnn = tables.cnn.numpy()[rows, 0, 512:].astype(np.float64).reshape(3, 4, 4)
    expected = 25.0 * position * (cnn[:, :, 0] * cnn[:, :, 1]).mean(1)
    assert potentials.cnn(rows, position) == pytest.approx(expected, abs=1e-5)
    assert np.abs(expected[:2]).min() > 0.1


def test_a_weight_of_zero_switches_one_off(make_market):
    off = Potentials(make_market().tables, RewardConfig(pivot_potential=0.0, cnn_potential=0.0))
    rows, long = np.array([3, 200]), np.ones(2, np.float32)
    assert not off.pivot(rows, long).any()
    assert not off.cnn(rows, long).any()
