"""Which of the agent's days are in memory: all of them, or a set that rotates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.parts import ROTATION


class ActiveDays:
    """The segment numbers that rollouts stand on now, oldest first.

    With more days than ``limit``, each rotation lets the oldest go and takes the next one of a
    random order, which is drawn anew when it is used up: every day gets its turn.
    """

    def __init__(self, numbers: Sequence[int], limit: int, rng: np.random.Generator) -> None:
        if not numbers:
            raise ValueError("there is no day to be active")
        self._all, self._rng = list(numbers), rng
        self._queue: list[int] = []
        self.current: list[int] = []
        for _ in range(min(limit, len(numbers))):
            self.current.append(self._next())

    @property
    def rotates(self) -> bool:
        """Whether there are days that are not active."""
        return len(self.current) < len(self._all)

    def rotate(self) -> tuple[int, int]:
        """(number that goes, number that comes)."""
        gone = self.current.pop(0)
        come = self._next(barred=gone)
        self.current.append(come)
        return gone, come

    def state_dict(self) -> dict[str, Any]:
        """Active days, the order to come and its generator."""
        return {"current": list(self.current), "queue": list(self._queue),
                "generator": self._rng.bit_generator.state}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self.current, self._queue = list(state["current"]), list(state["queue"])
        self._rng.bit_generator.state = state["generator"]

    def _next(self, barred: int | None = None) -> int:
        while True:
            if not self._queue:
                self._queue = [self._all[i] for i in self._rng.permutation(len(self._all))]
            number = self._queue.pop(0)
            if number not in self.current and (number != barred or len(self._all) == 1):
                return number


def active_days(config: Config, data: MarketData) -> ActiveDays:
    """Those of a run that begins."""
    rng = np.random.default_rng([config.seed, ROTATION])
    return ActiveDays(data.numbers(data.periods.agent), config.train.resident_days, rng)


def training_days(config: Config, data: MarketData) -> list[int]:
    """Numbers of the training days that the weights are judged on too, in time order.

    ``train.train_days`` of the days that are active first, evenly spread, and never more than there
    are validation days: the same all through the run. Days that the embargo cuts are left out. None
    on a live market, whose days are not known before.
    """
    if config.rollout.source == "stream":
        return []
    whole = [
        number
        for number in sorted(active_days(config, data).current)
        if data.registry.days[number] >= data.periods.agent_from
    ]
    count = min(config.train.train_days, len(whole), len(data.evaluation_numbers()))
    return [whole[(2 * k + 1) * len(whole) // (2 * count)] for k in range(count)]
