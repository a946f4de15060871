"""The latent processes have the laws that they are named after."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.market.synthetic.grids import TimeGrid
from apex_trader.market.synthetic.processes import (
    YEAR_SECONDS,
    markov_chain,
    ornstein_uhlenbeck,
    random_walks,
    volatility_path,
)
from apex_trader.time import DAY, HOUR


@pytest.mark.parametrize("step", [1.0, 15.0])
def test_an_ornstein_uhlenbeck_process_forgets_half_in_a_half_life(step: float) -> None:
    path = ornstein_uhlenbeck(np.full(400_000, step), 60.0, np.random.default_rng(1))
    lag = int(60 / step)
    assert path.var() == pytest.approx(1.0, abs=0.12)
    assert np.mean(path[lag:] * path[:-lag]) / path.var() == pytest.approx(0.5, abs=0.06)


def test_volatility_has_the_asked_mean_square_clusters_and_a_season() -> None:
    grid = TimeGrid.of(0, 500 * DAY, 500 * DAY, seconds=False)
    path = volatility_path(grid, 0.6, 0.35, 86400.0, 0.25, np.random.default_rng(2))
    annual = np.sqrt(np.mean(path**2) * YEAR_SECONDS)
    assert annual == pytest.approx(0.6, rel=0.1)
    assert np.log(path).std() == pytest.approx(np.hypot(0.35, 0.25 / np.sqrt(2)), rel=0.1)
    hour = grid.edges[:-1] % DAY // HOUR
    peak, trough = path[hour == 15].mean(), path[hour == 3].mean()
    assert peak / trough == pytest.approx(np.exp(0.5), rel=0.1)


def test_walks_have_the_asked_correlation_and_deviation() -> None:
    sigma = np.stack([np.full(200_000, 0.1), np.full(200_000, 0.2)])
    walks = random_walks(sigma, np.full(200_000, 4.0), 0.7, np.random.default_rng(3))
    steps = np.diff(walks, axis=1)
    np.testing.assert_allclose(steps.std(axis=1), [0.2, 0.4], rtol=0.01)
    assert np.corrcoef(steps)[0, 1] == pytest.approx(0.7, abs=0.01)
    np.testing.assert_array_equal(walks[:, 0], 0.0)


def test_a_chain_stays_its_duration_and_visits_all_states_alike() -> None:
    seconds = np.arange(2_000_000.0)
    state = markov_chain(seconds, 100.0, 3, np.random.default_rng(4))
    switches = int((np.diff(state) != 0).sum())
    assert len(state) / switches == pytest.approx(100.0, rel=0.05)
    np.testing.assert_allclose(np.bincount(state) / len(state), 1 / 3, atol=0.02)
