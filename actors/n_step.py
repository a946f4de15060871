"""n-step transitions over lanes that step together (Sutton & Barto 2018, section 7.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.columns import Columns
from apex_trader.errors import ApexError, MismatchError
from apex_trader.state.schema import ACCOUNT_SIZE

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class StepColumns:
    """One step of L lanes. row, next_row [L]: global rows; account, next_account [L, 8];
    action [L]; reward [L]; value [L]: of the state and action, carried along for the initial
    priority; profit [L]: closed a position with a profit; terminated, truncated [L]."""

    row: I64
    next_row: I64
    account: F32
    next_account: F32
    action: NDArray[np.uint8]
    reward: F64
    value: F64
    profit: Bool
    terminated: Bool
    truncated: Bool


@dataclass(frozen=True)
class NStepColumns(Columns):
    """m finished transitions. lane [m]; row, next_row [m]: global; account, next_account [m, 8]:
    at those; action [m]; reward [m]: Σ γ^k r_k; discount [m]: γ^steps, 0 after termination;
    steps [m]: how many decisions, 1 … n; value [m]: carried from the first step; profit [m]:
    closed a position with a profit within them."""

    lane: I64
    row: I64
    next_row: I64
    account: F32
    next_account: F32
    action: NDArray[np.uint8]
    reward: F64
    discount: F64
    steps: I64
    value: F64
    profit: Bool


class NStep:
    """Turns steps into n-step transitions, oldest first.

    Each lane keeps its last n − 1 or fewer open steps. At the end of an episode all of them
    become transitions, shorter than n: the last steps before a truncation are experience like any
    other, and those before ruin are the only ones that tell of it. Truncation bootstraps from the
    state in which the episode stopped; termination has discount 0.
    """

    def __init__(self, lanes: int, n: int, gamma: float) -> None:
        if n < 1 or lanes < 1:
            raise ApexError(f"{n}-step transitions of {lanes} lanes: both must be at least 1")
        self.n, self.gamma, self.lanes = n, gamma, lanes
        self._time = 0
        self._open = np.zeros(lanes, np.int64)
        self._ring: dict[str, NDArray[Any]] = {
            "row": np.zeros((n, lanes), np.int64),
            "account": np.zeros((n, lanes, ACCOUNT_SIZE), np.float32),
            "action": np.zeros((n, lanes), np.uint8),
            "reward": np.zeros((n, lanes)),
            "value": np.zeros((n, lanes)),
            "profit": np.zeros((n, lanes), np.bool_),
        }

    def push(self, step: StepColumns) -> NStepColumns:
        """Take one step of every lane; returns the transitions that it finished."""
        place, ring = self._time % self.n, self._ring
        for name in ("row", "account", "action", "value"):
            ring[name][place] = getattr(step, name)
        ring["reward"][place], ring["profit"][place] = 0.0, False
        self._time += 1
        self._open += 1
        for age in range(self.n):
            open_ = self._open > age
            k = self._place(age)
            ring["reward"][k] += np.where(open_, self.gamma**age * step.reward, 0.0)
            ring["profit"][k] |= open_ & step.profit
        ended = step.terminated | step.truncated
        out = self._finish(ended, step.terminated, step.next_row, step.next_account)
        self._open[ended] = 0
        self._open[self._open == self.n] -= 1
        return out

    def flush(self, next_row: I64, next_account: F32) -> NStepColumns:
        """End every lane where it stands, as a truncation, since its market goes away."""
        everyone, nobody = np.ones(self.lanes, np.bool_), np.zeros(self.lanes, np.bool_)
        out = self._finish(everyone, nobody, next_row, next_account)
        self._open[:] = 0
        return out

    def renumber(self, gone: int) -> None:
        """The market's first ``gone`` rows went away: rows are counted from there now."""
        self._ring["row"] -= gone

    def state_dict(self) -> dict[str, Any]:
        """Open steps of all lanes."""
        ring = {name: column.copy() for name, column in self._ring.items()}
        return {"time": self._time, "open": self._open.copy(), "ring": ring}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``. MismatchError when n or the number of lanes is another."""
        if state["ring"]["row"].shape != (self.n, self.lanes):
            raise MismatchError(
                "open n-step transitions were saved with another rollout.n_step or rollout.lanes"
            )
        self._time = int(state["time"])
        self._open = state["open"].copy()
        self._ring = {name: column.copy() for name, column in state["ring"].items()}

    def _place(self, age: int) -> int:
        """Where the ring holds the step of an age, 0 for the newest."""
        return (self._time - 1 - age) % self.n

    def _finish(
        self, ended: Bool, terminated: Bool, next_row: I64, next_account: F32
    ) -> NStepColumns:
        parts = []
        for age in reversed(range(self.n)):
            due = ended if age < self.n - 1 else np.ones(self.lanes, np.bool_)
            lane = np.flatnonzero(due & (self._open > age))
            ring = {name: column[self._place(age)][lane] for name, column in self._ring.items()}
            discount = np.where(terminated[lane], 0.0, self.gamma ** (age + 1))
            parts.append(
                NStepColumns(
                    lane=lane, next_row=next_row[lane], next_account=next_account[lane],
                    discount=discount, steps=np.full(len(lane), age + 1), **ring,
                )
            )  # fmt: skip
        return NStepColumns.concatenate(parts)
