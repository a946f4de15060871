"""A linear view of the state learns what is linear, streamed, and nothing of noise."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of
from apex_trader.evaluation.logistic import LogisticMarket, horizon_returns


def stream(model: LogisticMarket, edge: float, batches: int = 40) -> None:
    random = np.random.default_rng(1)
    for _ in range(batches):
        states = random.normal(3.0, 0.5, (256, 20)).astype(np.float32)
        model.learn(states, edge * (states[:, 0] - 3.0) + random.normal(0, 1e-3, 256))


def test_it_finds_a_linear_edge_and_its_size():
    model = LogisticMarket(20, horizon=12, seed=0)
    stream(model, edge=1e-3)
    random = np.random.default_rng(2)
    states = random.normal(3.0, 0.5, (4_000, 20)).astype(np.float32)
    expected = model.expected(states)
    assert np.corrcoef(expected, states[:, 0])[0, 1] > 0.9
    assert np.abs(expected).max() <= model.expected(states + 100 * (states[:, :1] - 3)).max() + 1e-3
    assert model.rows == 40 * 256


def test_it_expects_next_to_nothing_of_noise():
    model = LogisticMarket(20, horizon=12, seed=0)
    stream(model, edge=0.0)
    states = np.random.default_rng(2).normal(3.0, 0.5, (4_000, 20)).astype(np.float32)
    assert np.abs(model.expected(states)).mean() < 0.1 * 8e-4  # of the mean move


def test_it_says_that_it_learned_nothing():
    model = LogisticMarket(20, horizon=12, seed=0)
    model.learn(np.ones((3, 20), np.float32), np.zeros(3))
    with pytest.raises(ApexError, match="learned nothing"):
        model.expected(np.ones((3, 20), np.float32))


def test_returns_run_from_the_fill_and_never_over_the_end_of_an_episode(tools):
    path = path_of(tools.walk(7))  # gaps behind rows 80 and 320, a day's end behind 239
    moves = horizon_returns(path, 4)
    rows = path.arrays
    for row in (0, 50, 76, 200):
        expected = rows.mark[row + 4] - rows.fill_price[row]
        assert moves[row] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(moves[[77, 80, 236, 239, 317, 479]]).all()
    assert np.isfinite(moves).sum() > 350
