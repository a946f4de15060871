"""Whether an agent's Q-values promise more than its own decisions then bring.

Maximising over noisy estimates is biased upwards; the bias is measured as by van Hasselt, Guez &
Silver (2016, "Deep Reinforcement Learning with Double Q-learning", section 3): the value estimate
of the action taken against the discounted reward that the same policy then realises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from actors.policy import greedy
from actors.potentials import Potentials
from apex_trader.evaluation.record import Record
from apex_trader.trading.path import MarketPath

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Effective horizons 1/(1 − γ) that must be left of an episode for a decision to count. What lies
#: beyond the end weighs at most e⁻³, 5% of a value, so nothing needs to be bootstrapped: a
#: bootstrap would put the very estimate that is judged into what it is judged by.
HORIZONS = 3.0


class Valued(Protocol):
    """Who gives every action a value, as ``GreedyAgent`` does."""

    name: str

    def values(self, rows: I64, accounts: F32) -> F32:
        """Q [k, actions] at global rows [k] with account features [k, 8]."""


class Watched:
    """A greedy agent, its values of the actions that it takes noted by decision row.

    Lanes never meet in a row within ``run_episodes``, so a row's entry is of one decision.
    rows: of the path. q [rows] of the action taken, position [rows] held before it, −1 … 1.
    """

    def __init__(self, agent: Valued, rows: int) -> None:
        self.name, self._agent = agent.name, agent
        self.q = np.full(rows, np.nan, np.float32)
        self.position = np.zeros(rows, np.float32)

    def act(self, rows: I64, accounts: F32, positions: I64) -> NDArray[np.uint8]:
        """See ``apex_trader.evaluation.policies.Policy.act``; the agent's own choice."""
        values = self._agent.values(rows, accounts)
        actions = greedy(values)
        self.q[rows] = values[np.arange(len(rows)), actions]
        self.position[rows] = accounts[:, 0]
        return actions


def overestimation(
    records: Sequence[Record],
    watched: Watched,
    path: MarketPath,
    potentials: Potentials,
    gamma: float,
) -> dict[str, float]:
    """``q_predicted``, ``q_realised``, ``q_overestimation``: means over decisions, stored reward.

    A Q-value is of the stored reward terms and of the potentials. Both are in what is realised:
    Σ γᵏ r_k − Φ(s_0), since the potentials of all later states cancel but the last one's, which
    belongs to what lies beyond the end (γᵏ Φ, at most 5% of a potential). Empty where no decision
    has ``HORIZONS`` of its episode left, or ends in ruin, behind which there is nothing.

    records: of ``run_episodes`` over ``path`` with ``watched``; potentials: at the path's rows.
    """
    at, gains, ts = [], [], path.arrays.ts.copy()
    for record in records:
        reward = np.sum(list(record.terms.values()), axis=0)
        known = len(record) if record.ruined else len(record) - _wait(gamma, len(record))
        at.append(np.searchsorted(ts, record.ts[:known]))
        gains.append(discounted(reward, gamma)[:known])
    rows = np.concatenate(at) if at else np.zeros(0, np.int64)
    if not len(rows):
        return {}
    position = watched.position[rows]
    realised = np.concatenate(gains)
    realised -= potentials.pivot(rows, position) + potentials.cnn(rows, position)
    predicted = float(watched.q[rows].mean(dtype=np.float64))
    return {
        "q_predicted": predicted,
        "q_realised": float(realised.mean()),
        "q_overestimation": predicted - float(realised.mean()),
    }


def _wait(gamma: float, most: int) -> int:
    """Decisions at the end of an episode of ``most`` whose tail is not known."""
    if gamma >= 1.0:
        return most
    needed = HORIZONS / (1.0 - gamma)  # rounded: 3 / (1 − 0.9) is a little above 30
    return min(most, int(np.ceil(round(needed, 6))) - 1)


@njit(cache=True, nogil=True)
def discounted(reward: F64, gamma: float) -> F64:
    """[n] Σ_k γᵏ reward[t + k], to the end."""
    out = np.empty_like(reward)
    later = 0.0
    for t in range(len(reward) - 1, -1, -1):
        later = reward[t] + gamma * later
        out[t] = later
    return out
