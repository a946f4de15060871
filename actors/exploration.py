"""How much each lane explores, a ladder over all lanes of all actors, and for how long."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


def epsilon_ladder(lanes: int, base: float = 0.4, exponent: float = 7.0) -> F64:
    """ε of every lane i of N: base^(1 + exponent·i/(N − 1)), [N] (Horgan et al. 2018, 4.1).

    A single lane has ε = base.
    """
    if lanes < 1:
        raise ApexError(f"a ladder needs at least one lane, not {lanes}")
    place = np.arange(lanes) / max(lanes - 1, 1)
    ladder: F64 = base ** (1.0 + exponent * place)
    return ladder


def actor_epsilons(
    actor: int, actors: int, lanes: int, base: float = 0.4, exponent: float = 7.0
) -> F64:
    """ε of the lanes of one of several actors, [lanes]; call again when ``actors`` changes.

    Lane j of actor a is lane j·actors + a of all, so that each actor has steps of the whole
    ladder, and none of them takes a part of it along when it dies.
    """
    if not 0 <= actor < actors:
        raise ApexError(f"actor {actor} is none of {actors}")
    return epsilon_ladder(lanes * actors, base, exponent)[actor::actors]


class Exploration:
    """ε-greedy actions of L lanes, where what is explored is kept for a while.

    Temporally extended ε-greedy (Dabney, Ostrovski & Barreto 2021, section 4), with geometric
    times: single random decisions hardly ever show what a position is worth that the policy would
    not take. A lane explores a share ε of its decisions, however long each try lasts.

    Args:
        lanes: L.
        decisions: mean number of decisions that an explored action is kept, at least 1.
        random: source of all choices.
    """

    def __init__(self, lanes: int, decisions: float, random: np.random.Generator) -> None:
        self._mean, self._random = decisions, random
        self._left: I64 = np.zeros(lanes, np.int64)
        self._action: U8 = np.zeros(lanes, np.uint8)

    def choose(self, best: U8, actions: int, epsilon: F64) -> U8:
        """The best actions [L], or explored ones of ``actions`` [L]; epsilon [L].

        Draws the same amount of randomness whatever the outcome.
        """
        # so often do tries begin that they take the share ε of the time
        begin = epsilon / (self._mean * (1.0 - epsilon) + epsilon)
        begins = (self._random.random(len(best)) < begin) & (self._left == 0)
        length = self._random.geometric(1.0 / self._mean, len(best))
        drawn = self._random.integers(0, actions, len(best)).astype(np.uint8)
        self._left = np.where(begins, length, self._left)
        self._action = np.where(begins, drawn, self._action)
        explores = self._left > 0
        self._left = np.maximum(self._left - 1, 0)
        return np.where(explores, self._action, best)

    def state_dict(self) -> dict[str, Any]:
        """What is being explored, for an exact resume."""
        return {"left": self._left.copy(), "action": self._action.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self._left, self._action = state["left"].copy(), state["action"].copy()
