"""Figures of what the lanes of an actor did, summed up between two deliveries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.time import DAY
from apex_trader.trading.rewards import TERMS
from apex_trader.trading.simulator import Step

I64 = NDArray[np.int64]


class EpisodeLog:
    """Sums over steps, and the running figures of each lane's episode.

    Figures of episodes are those of the episodes that ended since the last ``take``; there may be
    none, and then they are absent rather than 0.
    """

    def __init__(self, lanes: int, actions: tuple[str, ...], initial_equity: float) -> None:
        self._actions, self._initial_equity = actions, initial_equity
        self._return = np.zeros(lanes)
        self._length = np.zeros(lanes, np.int64)
        self._sums: dict[str, float] = {}
        self._ended: dict[str, list[float]] = {"return": [], "length": [], "profit": []}

    def add(self, step: Step, ended: NDArray[np.bool_], elapsed: I64) -> None:
        """Take a step of every lane; ended [L]: whose episode is over; elapsed [L]: µs it took."""
        self._add("steps", len(step.row))
        self._add("days", float(elapsed.sum()) / DAY)
        self._add("transactions", float(step.transactions.sum()))
        self._add("profitable", float(step.profit.sum()))
        self._add("reward", float(step.reward.sum()))
        self._add("ruined", float(step.terminated.sum()))
        for name, total in zip(TERMS, step.terms.sum(0), strict=True):
            self._add(f"reward_{name}", float(total))
        counts = np.bincount(step.action, minlength=len(self._actions))
        for name, count in zip(self._actions, counts, strict=True):
            self._add(f"action_{name}", float(count))
        self._return += step.reward
        self._length += 1
        self._finish(np.flatnonzero(ended), step.equity)

    def note(self, **sums: float) -> None:
        """Add to sums that are reported as means over steps."""
        for name, value in sums.items():
            self._add(name, value)

    def take(self) -> dict[str, float]:
        """The figures since the last call, keys under ``actors/``; empty before any step."""
        sums, ended = self._sums, self._ended
        self._sums, self._ended = {}, {name: [] for name in ended}
        steps = sums.pop("steps", 0.0)
        if steps == 0:
            return {}
        out = {"actors/steps": steps, "actors/episodes": float(len(ended["return"]))}
        out["actors/ruined"] = sums.pop("ruined")
        out["actors/profitable_trades"] = sums.pop("profitable")
        days, transactions = sums.pop("days"), sums.pop("transactions")
        out["actors/trades_per_day"] = transactions / days if days > 0 else 0.0
        out |= {f"actors/{name}": total / steps for name, total in sums.items()}
        names = {"return": "episode_return", "length": "episode_length", "profit": "episode_profit"}
        for name, key in names.items():
            if ended[name]:
                out[f"actors/{key}"] = float(np.mean(ended[name]))
        return out

    def state_dict(self) -> dict[str, Any]:
        """Running figures of the lanes and sums not yet taken."""
        return {
            "return": self._return.copy(),
            "length": self._length.copy(),
            "sums": dict(self._sums),
            "ended": {name: list(values) for name, values in self._ended.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self._return, self._length = state["return"].copy(), state["length"].copy()
        self._sums = dict(state["sums"])
        self._ended = {name: list(values) for name, values in state["ended"].items()}

    def _add(self, name: str, value: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value

    def _finish(self, lanes: I64, equity: NDArray[np.float64]) -> None:
        self._ended["return"] += self._return[lanes].tolist()
        self._ended["length"] += self._length[lanes].tolist()
        self._ended["profit"] += (equity[lanes] / self._initial_equity - 1.0).tolist()
        self.abandon(lanes)

    def abandon(self, lanes: I64) -> None:
        """Forget the running episodes of lanes [k]: their market went away."""
        self._return[lanes], self._length[lanes] = 0.0, 0
