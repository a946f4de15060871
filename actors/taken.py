"""Experience of the actions that were taken: n-step transitions of the lanes' own paths."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.n_step import NStep, NStepColumns, StepColumns
from actors.recorder import F32, F64, I64, Bool, Finished, Recorder, Value
from apex_trader.state.schema import ACCOUNT_SIZE
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Simulator, Step


@dataclass(frozen=True)
class _Waiting:
    """Transitions that wait for the value of their last state, which the next forward pass gives.

    place [m]: where in that pass; rows, account [k]: states in it besides the lanes' own, in which
    an episode was cut.
    """

    transitions: NStepColumns
    place: I64
    rows: I64
    account: F32


class TakenActions(Recorder):
    """The n decisions of a lane after a state, as they were taken, make its transition.

    Initial priorities cost no extra pass: the Q-values that choose the action at a transition's
    last state also give the error of its first one (Horgan et al. 2018, section 3), so a
    transition is finished with the step after it. With one network the double-DQN target, the
    value of the action it prefers, is its largest Q-value. Potentials are part of the error, as
    they are of the learner's.
    """

    def __init__(self, lanes: int, n: int, gamma: float) -> None:
        self._nstep = NStep(lanes, n, gamma)
        self._waiting: _Waiting | None = None
        self._done: list[Finished] = []
        self._q: F32 = np.zeros((lanes, 0), np.float32)
        self._phi: F64 = np.zeros(lanes)

    def asks(self, simulator: Simulator, value: Value) -> tuple[I64, F32]:
        """See ``Recorder``: the states in which episodes were cut."""
        if self._waiting is None:
            return np.empty(0, np.int64), np.empty((0, ACCOUNT_SIZE), np.float32)
        return self._waiting.rows, self._waiting.account

    def answer(self, q: F32, phi: F64) -> None:
        """See ``Recorder``."""
        if self._waiting is not None:
            value = q.max(1) + phi
            self._finish(self._waiting.transitions, value[self._waiting.place])
            self._waiting = None
        lanes = self._nstep.lanes
        self._q, self._phi = q[:lanes], phi[:lanes]

    def push(self, step: Step, truncated: Bool) -> None:
        """See ``Recorder``."""
        lanes = np.arange(self._nstep.lanes)
        value = self._q[lanes, step.action] + self._phi
        columns = StepColumns(
            step.row, step.next_row, step.account, step.next_account, step.action, step.reward,
            value, step.profit, step.terminated, truncated,
        )  # fmt: skip
        finished = self._nstep.push(columns)
        cut = np.flatnonzero(truncated)
        # A cut lane's next state is not the one it starts anew in: it has a place of its own.
        place = lanes
        place[cut] = len(lanes) + np.arange(len(cut))
        self._waiting = _Waiting(
            finished, place[finished.lane], step.next_row[cut], step.next_account[cut]
        )

    @property
    def open(self) -> bool:
        """See ``Recorder``."""
        return True

    def cut(self, rows: I64, account: F32) -> None:
        """See ``Recorder``."""
        value = self._q.max(1) + self._phi
        cut = self._nstep.flush(rows, account)
        self._finish(cut, value[cut.lane])

    def take(self) -> Finished | None:
        """See ``Recorder``."""
        done, self._done = self._done, []
        return Finished.concatenate(done) if done else None

    def sees(self, path: MarketPath, row: int) -> bool:
        """Whether another decision follows for sure: the last one known may yet be followed."""
        return int(path.arrays.next_row[row]) < len(path) - 1

    def renumber(self, gone: int) -> None:
        """See ``Recorder``."""
        self._nstep.renumber(gone)
        if self._waiting is not None:
            t = self._waiting.transitions
            moved = replace(t, row=t.row - gone, next_row=t.next_row - gone)
            self._waiting = replace(
                self._waiting, transitions=moved, rows=self._waiting.rows - gone
            )

    def state_dict(self) -> dict[str, Any]:
        """See ``Recorder``."""
        waiting = None if self._waiting is None else _plain(self._waiting)
        return {"n_step": self._nstep.state_dict(), "waiting": waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Recorder``."""
        self._nstep.load_state_dict(state["n_step"])
        self._waiting = None if state["waiting"] is None else _restored(state["waiting"])
        self._done = []

    def _finish(self, t: NStepColumns, last_value: NDArray[np.float64]) -> None:
        error = np.abs(t.reward + t.discount * last_value - t.value)
        self._done.append(
            Finished(
                t.row, t.next_row, t.account, t.next_account, t.action, t.reward, t.discount,
                t.steps, t.profit, error,
            )
        )  # fmt: skip


def _plain(waiting: _Waiting) -> dict[str, Any]:
    columns = {f.name: getattr(waiting.transitions, f.name) for f in fields(NStepColumns)}
    return {
        "transitions": columns, "place": waiting.place, "rows": waiting.rows,
        "account": waiting.account,
    }  # fmt: skip


def _restored(state: dict[str, Any]) -> _Waiting:
    transitions = NStepColumns(**state["transitions"])
    account = np.asarray(state["account"], np.float32).reshape(-1, ACCOUNT_SIZE)
    return _Waiting(transitions, state["place"], state["rows"], account)
