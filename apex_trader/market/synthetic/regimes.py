"""A market of trends whose drift switches unseen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import TimeGrid
from apex_trader.market.synthetic.parameters import Parameter
from apex_trader.market.synthetic.planted import Latent, PlantedGenerator, per_second
from apex_trader.market.synthetic.processes import markov_chain, random_walks
from apex_trader.market.synthetic.world import SYMBOLS


class Regimes(PlantedGenerator):
    """Random walks whose drift is down, flat or up: a hidden Markov chain both symbols share.

    The chain stays ``duration`` seconds in the mean, then takes one of the two others alike
    (a Markov-switching drift, Hamilton 1989). The drift is ±strength·σ/√duration per second with σ
    the long-run volatility: over a mean regime the trend is ``strength`` standard deviations of the
    walk. Hidden columns: ``state`` (-1, 0, 1) and ``drift`` (log return per second).
    """

    name = "regimes"
    summary = "trends up, down and flat whose drift switches unseen"
    own = (
        Parameter("duration", 1800.0, "mean length of a regime, seconds", 60.0, 8640000.0,
                  minute_default=28800.0),
        Parameter("strength", 2.0, "trend of a mean regime in standard deviations: the planted "
                  "edge", 0.0, 20.0),
    )  # fmt: skip
    defaults: Mapping[str, float] = {"volatility": 0.3}

    def latent(
        self,
        grid: TimeGrid,
        sigma: NDArray[np.float64],
        parameters: Mapping[str, Any],
        rng: np.random.Generator,
    ) -> Latent:
        """Correlated walks plus the integral of the shared drift."""
        ratio, duration = parameters["btc_ratio"], parameters["duration"]
        typical = per_second(parameters["volatility"])
        state = markov_chain(grid.seconds, duration, 3, rng) - 1
        speed = parameters["strength"] * typical / math.sqrt(duration)
        drift = speed * state
        trend = np.append(0.0, np.cumsum(drift[:-1] * grid.dt))
        walks = random_walks(sigma, grid.dt, parameters["correlation"], rng)
        scales = (1.0, ratio)
        return Latent(
            walks + np.stack([trend * scale for scale in scales]),
            sigma,
            (typical, typical * ratio),
            {
                symbol: {"state": state, "drift": drift * scale}
                for symbol, scale in zip(SYMBOLS, scales, strict=True)
            },
        )
