"""Experience of every action: what each would have led to, since the market would not have cared.

The market is exogenous, so the simulator knows the outcome of the actions that were not taken as
well as that of the one that was (Huang 2018, arXiv 1807.02787, section 3.2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.policy import greedy
from actors.recorder import F32, F64, I64, Bool, Finished, Recorder, Value
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Outcomes, Simulator, Step


class AllActions(Recorder):
    """One transition a decision, with the outcome of each action over n decisions.

    After the first of them the policy goes on greedily from the account that it has led to: so
    targets of any length are those of the policy that is learned, and no exploration is in them.
    All of it from one encoding of each market time.

    Nothing is ever open: a market that is known is looked up n decisions ahead. States are not
    touched by that: only targets are made of it, as n-step targets always are of what comes after.
    """

    def __init__(self, n: int, gamma: float) -> None:
        self._n, self._gamma = n, gamma
        self._outcomes: Outcomes | None = None
        self._error: F64 = np.empty(0)
        self._done: list[Finished] = []

    def asks(self, simulator: Simulator, value: Value) -> tuple[I64, F32]:
        """See ``Recorder``: the state that each action of each lane ends in, lane by lane."""

        def greedily(rows: I64, accounts: F32) -> NDArray[np.uint8]:
            return greedy(value(rows, accounts))

        self._outcomes = simulator.outcomes(self._n, self._gamma, greedily)
        actions = self._outcomes.reward.shape[1]
        account = self._outcomes.account
        return np.repeat(self._outcomes.next_row, actions), account.reshape(-1, account.shape[-1])

    def answer(self, q: F32, phi: F64) -> None:
        """See ``Recorder``."""
        assert self._outcomes is not None
        reward, discount = self._outcomes.reward, self._outcomes.discount
        lanes = len(reward)
        last = (q[lanes:].max(1) + phi[lanes:]).reshape(reward.shape)
        value = q[:lanes] + phi[:lanes, None]
        self._error = np.abs(reward + discount * last - value).mean(1)

    def push(self, step: Step, truncated: Bool) -> None:
        """See ``Recorder``."""
        found = self._outcomes
        assert found is not None
        self._outcomes = None
        profit = found.profit[np.arange(len(step.action)), step.action]
        self._done.append(
            Finished(
                step.row, found.next_row, step.account, found.account, step.action, found.reward,
                found.discount, found.steps, profit, self._error,
            )
        )  # fmt: skip

    @property
    def open(self) -> bool:
        """See ``Recorder``."""
        return False

    def cut(self, rows: I64, account: F32) -> None:
        """See ``Recorder``: nothing is open."""

    def take(self) -> Finished | None:
        """See ``Recorder``."""
        done, self._done = self._done, []
        return Finished.concatenate(done) if done else None

    def sees(self, path: MarketPath, row: int) -> bool:
        """Whether n decisions follow for sure, or the episode's end is known."""
        last = len(path) - 1
        for _ in range(self._n):
            row = int(path.arrays.next_row[row])
            if row < 0:
                return True
            if row >= last:
                return False
        return True

    def renumber(self, gone: int) -> None:
        """See ``Recorder``: nothing is open."""

    def state_dict(self) -> dict[str, Any]:
        """See ``Recorder``: nothing is open between two decisions."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Recorder``."""
        self._done = []
