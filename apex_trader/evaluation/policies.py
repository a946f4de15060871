"""What a backtest can judge: anything that chooses actions, and the simplest baselines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from apex_trader.trading.actions import Actions

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class Policy(Protocol):
    """Chooses an action for each of k lanes."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def act(self, rows: I64, accounts: NDArray[np.float32], positions: I64) -> NDArray[np.uint8]:
        """Actions [k] at global rows [k] of the market path.

        accounts [k, 8] are the account features, positions [k] in −1, 0, 1. A policy that looks at
        the market looks it up by row.
        """


@runtime_checkable
class Planned(Protocol):
    """A policy that looks at row and position alone: its whole plan is known beforehand."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def plan(self, rows: int) -> U8:
        """[rows, 3] the action for each row of a path and each position + 1."""


def towards(actions: Actions) -> U8:
    """[3, 3] the action, by position held + 1 and position wanted + 1, that comes nearest to the
    wanted one."""
    table = np.zeros((3, 3), np.uint8)
    for held in range(3):
        reached = actions.wanted[held].astype(int)
        for wanted in (-1, 0, 1):
            table[held, wanted + 1] = np.argmin(np.abs(reached - wanted))
    return table


def keeping(actions: Actions) -> U8:
    """[3] the action that keeps each position −1, 0, 1, or else one that trades."""
    nearest = towards(actions)
    return np.array([nearest[held, held] for held in range(3)], np.uint8)


@dataclass(frozen=True)
class HoldPolicy:
    """Takes one position and keeps it: flat (0), buy and hold (1), sell and hold (−1)."""

    name: str
    position: int
    actions: Actions

    def act(self, rows: I64, accounts: NDArray[np.float32], positions: I64) -> NDArray[np.uint8]:
        """See ``Policy.act``."""
        return self._best[positions + 1]

    def plan(self, rows: int) -> U8:
        """See ``Planned.plan``."""
        return np.broadcast_to(self._best, (rows, 3))

    @cached_property
    def _best(self) -> U8:
        """[3] the action in each position −1, 0, 1."""
        return towards(self.actions)[:, self.position + 1]


def hold_baselines(actions: Actions) -> list[HoldPolicy]:
    """Flat, buy and hold, and sell and hold, as far as the action set can express them."""
    wanted = set(actions.wanted[1].tolist())
    named = (("flat", 0), ("buy and hold", 1), ("sell and hold", -1))
    return [HoldPolicy(name, position, actions) for name, position in named if position in wanted]
