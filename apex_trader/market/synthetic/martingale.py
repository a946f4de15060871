"""A market without any edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import TimeGrid
from apex_trader.market.synthetic.planted import Latent, PlantedGenerator, per_second
from apex_trader.market.synthetic.processes import random_walks


class Martingale(PlantedGenerator):
    """Log prices are correlated random walks of clustered volatility: nobody can gain on them."""

    name = "martingale"
    summary = "log prices are random walks of clustered volatility: no edge exists"

    def latent(
        self,
        grid: TimeGrid,
        sigma: NDArray[np.float64],
        parameters: Mapping[str, Any],
        rng: np.random.Generator,
    ) -> Latent:
        """Two correlated martingales."""
        typical = per_second(parameters["volatility"])
        walks = random_walks(sigma, grid.dt, parameters["correlation"], rng)
        return Latent(walks, sigma, (typical, typical * parameters["btc_ratio"]))
