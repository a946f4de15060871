"""A market in which ETH does what BTC did some seconds before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.synthetic.grids import TimeGrid
from apex_trader.market.synthetic.parameters import Parameter
from apex_trader.market.synthetic.planted import Latent, PlantedGenerator, per_second
from apex_trader.market.synthetic.processes import random_walks


class LeadLag(PlantedGenerator):
    """BTC's log price is a random walk B; ETH's is β·B(t - delay) + an independent walk.

    β = √coupling / btc_ratio, so ETH keeps its ``volatility`` and ``coupling`` is the share of its
    variance that BTC tells ahead. Hidden column of ETH: ``pending``, β·(B(t) - B(t - delay)): its
    expected log return over the next ``delay`` seconds. BTC itself cannot be forecast.
    """

    name = "lead_lag"
    summary = "ETH follows BTC with a delay"
    own = (
        Parameter("delay", 30.0, "of ETH behind BTC, seconds", 1.0, 86400.0, minute_default=300.0),
        Parameter("coupling", 0.9, "share of ETH's variance that BTC leads: the planted edge",
                  0.0, 1.0),
    )  # fmt: skip
    defaults: Mapping[str, float] = {"volatility": 0.8}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """As of every planted market, but the correlation is what ``coupling`` and delay make."""
        return tuple(p for p in super().parameters if p.name != "correlation")

    def latent(
        self,
        grid: TimeGrid,
        sigma: NDArray[np.float64],
        parameters: Mapping[str, Any],
        rng: np.random.Generator,
    ) -> Latent:
        """One walk for BTC, its delayed image plus an independent walk for ETH."""
        coupling, ratio = parameters["coupling"], parameters["btc_ratio"]
        own, leader = random_walks(sigma, grid.dt, 0.0, rng)
        beta = math.sqrt(coupling) / ratio
        delayed = grid.seconds - parameters["delay"]
        follower = beta * np.interp(delayed, grid.seconds, leader)
        leading_sigma = np.interp(delayed[1:], grid.seconds[1:], sigma[1])
        total = np.hypot(math.sqrt(1.0 - coupling) * sigma[0], beta * leading_sigma)
        typical = per_second(parameters["volatility"])
        return Latent(
            np.stack([math.sqrt(1.0 - coupling) * own + follower, leader]),
            np.stack([total, sigma[1]]),
            (typical, typical * ratio),
            {"ETHUSDT": {"pending": beta * leader - follower}},
        )
