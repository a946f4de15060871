"""What a backtest can judge: anything that chooses actions, and the simplest baselines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apex_trader.trading.actions import Actions

I64 = NDArray[np.int64]


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


@dataclass(frozen=True)
class HoldPolicy:
    """Takes one position and keeps it: flat (0), buy and hold (1), sell and hold (−1)."""

    name: str
    position: int
    actions: Actions

    def act(self, rows: I64, accounts: NDArray[np.float32], positions: I64) -> NDArray[np.uint8]:
        """See ``Policy.act``."""
        return self._best[positions + 1]

    @cached_property
    def _best(self) -> NDArray[np.uint8]:
        """[3] the action in each position −1, 0, 1."""
        return np.array([self._towards(held) for held in (-1, 0, 1)], np.uint8)

    def _towards(self, held: int) -> int:
        """The action whose wanted position is nearest to the one to keep."""
        wanted = self.actions.wanted[held + 1].astype(int)
        return int(np.argmin(np.abs(wanted - self.position)))


def hold_baselines(actions: Actions) -> list[HoldPolicy]:
    """Flat, buy and hold, and sell and hold, as far as the action set can express them."""
    wanted = set(actions.wanted[1].tolist())
    named = (("flat", 0), ("buy and hold", 1), ("sell and hold", -1))
    return [HoldPolicy(name, position, actions) for name, position in named if position in wanted]
