"""A worked-out plan as a policy of the backtest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.trading.actions import Actions

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class TablePolicy:
    """The action for each row of a market path and each position that it may meet there.

    best [rows, 3]: by global row and position + 1.
    """

    name: str
    best: U8

    def act(self, rows: I64, accounts: NDArray[np.float32], positions: I64) -> U8:
        """See ``policies.Policy.act``."""
        return self.best[rows, positions + 1]

    def plan(self, rows: int) -> U8:
        """See ``policies.Planned.plan``. ApexError for a path of another length."""
        if rows != len(self.best):
            raise ApexError(
                f"{self.name} was planned for a path of {len(self.best)} rows, not {rows}"
            )
        return self.best


def best_actions(value: F64, actions: Actions) -> U8:
    """[n, 3] action by row and position held, of ``value`` [n, 3, 3] of each position wanted.

    -inf marks a position that cannot be asked for. Where two are worth the same, the position that
    is held is kept.
    """
    kept = np.einsum("npp->np", value)
    wanted = np.where(kept >= value.max(axis=2), np.arange(3), value.argmax(axis=2))
    table = np.zeros((3, 3), np.uint8)
    for held in range(3):
        for action in range(actions.size - 1, -1, -1):
            table[held, int(actions.wanted[held, action]) + 1] = action
    return table[np.arange(3), wanted]
