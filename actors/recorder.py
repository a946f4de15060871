"""What turns the steps of lanes into experience: the common form of both kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.columns import Columns
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Simulator, Step

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
#: Q [m, A] of global rows [m] and accounts [m, 8].
Value = Callable[[I64, F32], F32]


@dataclass(frozen=True)
class Finished(Columns):
    """m finished transitions; with the outcomes of all A actions, [m, A] where [m] is said.

    row, next_row [m]: global. account [m, 8]; next_account [m, 8] or [m, A, 8]: at those. action
    [m]: taken. reward, discount [m] or [m, A]: Σ γ^k r_k; γ^steps, 0 after termination. steps [m]:
    decisions. profit [m]: closed a position with a profit within them. error [m]: |TD|, of all
    actions their mean.
    """

    row: I64
    next_row: I64
    account: F32
    next_account: F32
    action: NDArray[np.uint8]
    reward: F64
    discount: F64
    steps: I64
    profit: Bool
    error: F64


class Recorder(ABC):
    """Records what L lanes do. A decision is: ``asks``, one pass of the policy, ``answer``, a step
    of the simulator, ``push``."""

    @abstractmethod
    def asks(self, simulator: Simulator, value: Value) -> tuple[I64, F32]:
        """(global rows [m], accounts [m, 8]) to be valued besides the lanes' own.

        value: Q [m, A] of others, where they are needed to know what to ask for.
        """

    @abstractmethod
    def answer(self, q: F32, phi: F64) -> None:
        """Q [L + m, A] and Φ [L + m] of the lanes, then of what was asked for."""

    @abstractmethod
    def push(self, step: Step, truncated: Bool) -> None:
        """Take the step of every lane; truncated [L]: whose episode was cut with it."""

    @property
    @abstractmethod
    def open(self) -> bool:
        """Whether transitions wait for what comes: answer them before ``cut``."""

    @abstractmethod
    def cut(self, rows: I64, account: F32) -> None:
        """End every lane where it stands, as a truncation, since its market goes away."""

    @abstractmethod
    def take(self) -> Finished | None:
        """What was finished since the last call."""

    @abstractmethod
    def sees(self, path: MarketPath, row: int) -> bool:
        """Whether a market that goes on is known far enough for a decision at a row."""

    @abstractmethod
    def renumber(self, gone: int) -> None:
        """The market's first ``gone`` rows went away: rows are counted from there now."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that is open, for an exact resume."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``. MismatchError when it does not fit."""
