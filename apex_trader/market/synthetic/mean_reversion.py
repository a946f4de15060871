"""A market that strays from a random walk and comes back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import TimeGrid
from apex_trader.market.synthetic.parameters import Parameter
from apex_trader.market.synthetic.planted import Latent, PlantedGenerator, per_second
from apex_trader.market.synthetic.processes import ornstein_uhlenbeck, random_walks
from apex_trader.market.synthetic.world import SYMBOLS


class MeanReversion(PlantedGenerator):
    """Log price = random walk + a hidden Ornstein-Uhlenbeck deviation, each symbol its own.

    With θ = ln 2 / half_life and hidden deviation X, the log return over h seconds is expected to
    be -X·(1 - exp(-θh)). X has a constant volatility, the walk a clustered one; what is observed
    is their sum. Hidden columns: ``deviation`` (X, in logs).
    """

    name = "mean_reversion"
    summary = "a random walk plus a hidden Ornstein-Uhlenbeck deviation that dies away"
    own = (
        Parameter("half_life", 60.0, "of the deviation, seconds", 5.0, 864000.0,
                  minute_default=1200.0),
        Parameter("deviation", 12.0, "its standard deviation, basis points: the planted edge",
                  0.0, 1000.0, minute_default=50.0),
    )  # fmt: skip
    defaults: Mapping[str, float] = {"volatility": 0.4}

    def latent(
        self,
        grid: TimeGrid,
        sigma: NDArray[np.float64],
        parameters: Mapping[str, Any],
        rng: np.random.Generator,
    ) -> Latent:
        """Correlated walks plus independent deviations."""
        half_life, deviation = parameters["half_life"], parameters["deviation"] / 1e4
        walks = random_walks(sigma, grid.dt, parameters["correlation"], rng)
        strayed = np.stack(
            [deviation * ornstein_uhlenbeck(grid.dt, half_life, rng) for _ in SYMBOLS]
        )
        kick = deviation * math.sqrt(2.0 * math.log(2.0) / half_life)
        walk = per_second(parameters["volatility"])
        return Latent(
            walks + strayed,
            np.sqrt(sigma * sigma + kick * kick),
            (math.hypot(walk, kick), math.hypot(walk * parameters["btc_ratio"], kick)),
            {symbol: {"deviation": strayed[row]} for row, symbol in enumerate(SYMBOLS)},
        )
