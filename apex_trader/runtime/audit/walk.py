"""A walk of the real simulator with actions that are the same whatever the reward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.rewards import TERMS
from apex_trader.trading.simulator import Simulator

LANES, STEPS = 128, 720
#: After the first third, which trades wildly, an action is kept with this probability.
_KEEP = 0.97
#: The account feature that the frequency term depends on.
_TRADE_RATE = 3


@dataclass(frozen=True)
class Walk:
    """terms [steps, lanes, T]: weighted and scaled. busiest: highest trade rate over its allowance.
    traded: steps in which an order was filled."""

    terms: NDArray[np.float64]
    busiest: float
    traded: int

    @property
    def steps(self) -> int:
        """Decisions of all lanes."""
        return STEPS * LANES


def walk(path: MarketPath, trading: TradingConfig, reward: RewardConfig, seed: int) -> Walk:
    """Step lanes over random rows of a path; lanes whose episode ends start anew."""
    random = np.random.default_rng([seed, 11])
    simulator = Simulator(path, trading, reward, LANES)
    starts = np.flatnonzero(path.startable)
    terms = np.zeros((STEPS, LANES, len(TERMS)))
    action = np.zeros(LANES, np.uint8)
    busiest, traded = 0.0, 0
    for k in range(STEPS):
        rows = starts[random.integers(0, len(starts), LANES)]
        ended = np.flatnonzero(simulator.ended)
        if len(ended):
            simulator.reset(ended, rows[ended])
        fresh = random.integers(0, simulator.actions.size, LANES).astype(np.uint8)
        keep = random.random(LANES) < (_KEEP if k > STEPS // 3 else 0.0)
        action = np.where(keep, action, fresh)
        step = simulator.step(action)
        terms[k] = step.terms
        busiest = max(busiest, float(step.next_account[:, _TRADE_RATE].max()))
        traded += int(step.traded.sum())
    return Walk(terms, busiest, traded)
