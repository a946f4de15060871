"""The simulator as a Gymnasium environment, ``apex_trader/Trading-v0``; registered on import.

    import gymnasium
    from apex_trader.trading.environment import gathered

    env = gymnasium.make("apex_trader/Trading-v0", path=path, market_state=gathered(tables))

It steps one lane of the same ``Simulator`` that the actors use, so agents of other libraries
(RLlib, Stable-Baselines3) meet the same fills, costs and rewards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from apex_trader.errors import ApexError, ConfigError
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.schema import ACCOUNT_SIZE, CLIP
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.path import MarketPath
from apex_trader.trading.potentials import shaping
from apex_trader.trading.rewards import TERMS
from apex_trader.trading.simulator import COSTS, Simulator, Step

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

ENVIRONMENT_ID = "apex_trader/Trading-v0"
#: Market features [n, size] of global decision rows [n].
MarketState = Callable[[I64], F32]
#: Φ [n] of global decision rows [n] for positions [n] in −1 … 1 (``potentials``), weights included.
Potential = Callable[[I64, F32], F64]


def gathered(tables: MarketTables) -> MarketState:
    """The market states of tables, whose rows must be those of the environment's path."""

    def states(rows: I64) -> F32:
        return gather(tables, torch.from_numpy(rows).to(tables.device)).cpu().numpy()

    return states


class TradingEnv(gymnasium.Env[F32, np.int64]):
    """One account on a market path.

    Observation: Box [market features + 8] float32, the market's state and the account's features.
    Action: Discrete, the indices of ``Actions``. Reward: the stored reward of docs/rewards.md, and
    with a ``potential`` γΦ(s′) − Φ(s), which over n steps telescopes to what a learner adds that
    gathers its potentials itself. terminated: ruin. truncated: the day's end or a gap, or
    ``max_steps``. info: row, ts (µs), position, equity (quote currency); after a step also terms
    and costs by name, shaping, pnl and traded.

    ``reset(seed=…)`` draws the start from all rows that have a next one;
    ``reset(options={"row": r})`` starts at global row r.

    gamma: discount of a decision, for the potential alone.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(
        self,
        path: MarketPath,
        market_state: MarketState,
        trading: TradingConfig | None = None,
        reward: RewardConfig | None = None,
        max_steps: int | None = None,
        potential: Potential | None = None,
        gamma: float = 1.0,
    ) -> None:
        if max_steps is not None and max_steps < 1:
            raise ConfigError("environment.max_steps", max_steps, "1 or more, or none")
        if not 0.0 <= gamma <= 1.0:
            raise ConfigError("environment.gamma", gamma, "between 0 and 1")
        self._trading, self._reward, self._gamma = trading, reward, gamma
        self._max_steps, self._steps = max_steps, 0
        self.set_market(path, market_state, potential)
        size = market_state(self._starts[:1]).shape[1] + ACCOUNT_SIZE
        self.observation_space = spaces.Box(-CLIP, CLIP, (size,), np.float32)
        self.action_space = spaces.Discrete(self.simulator.actions.size)

    def set_market(
        self, path: MarketPath, market_state: MarketState, potential: Potential | None = None
    ) -> None:
        """Go on in another market of the same schema; ``reset`` comes next.

        Raises ApexError when it has no decision.
        """
        starts = np.flatnonzero(path.startable)
        if not len(starts):
            raise ApexError("no decision can be made on this path: choose another period")
        self.simulator = Simulator(path, self._trading, self._reward)
        self._starts, self._market_state, self._potential = starts, market_state, potential

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[F32, dict[str, Any]]:
        """A new episode with a flat account; see the class for ``options``."""
        super().reset(seed=seed)
        unknown = set(options or {}) - {"row"}
        if unknown:
            raise ApexError(f"reset options {sorted(unknown)} are unknown: known is 'row'")
        drawn = self._starts[self.np_random.integers(len(self._starts))]
        row = np.array([(options or {}).get("row", drawn)], np.int64)
        self.simulator.reset(np.zeros(1, np.int64), row)
        self._steps = 0
        return self._observe(row, self.simulator.features()), self._info(row)

    def step(self, action: np.int64 | int) -> tuple[F32, float, bool, bool, dict[str, Any]]:
        """One decision."""
        before = self._phi(self.simulator.rows, self.simulator.features())
        step = self.simulator.step(np.array([action]))
        self._steps += 1
        terminated = bool(step.terminated[0])
        late = self._max_steps is not None and self._steps >= self._max_steps
        truncated = bool(step.truncated[0]) or (late and not terminated)
        observation = self._observe(step.next_row, step.next_account)
        after = 0.0 if terminated else self._phi(step.next_row, step.next_account)
        added = shaping(self._gamma, before, after)
        info = {**self._step_info(step), "shaping": added}
        return observation, float(step.reward[0]) + added, terminated, truncated, info

    def _phi(self, row: I64, account: F32) -> float:
        """Φ of the state; 0 without a potential."""
        return 0.0 if self._potential is None else float(self._potential(row, account[:, 0])[0])

    def _observe(self, row: I64, account: F32) -> F32:
        return np.concatenate([self._market_state(row)[0], account[0]]).astype(np.float32)

    def _info(self, row: I64) -> dict[str, Any]:
        return {
            "row": int(row[0]),
            "ts": int(self.simulator.path.arrays.ts[row[0]]),
            "position": int(self.simulator.position[0]),
            "equity": float(self.simulator.equity[0]),
        }

    def _step_info(self, step: Step) -> dict[str, Any]:
        return {
            **self._info(step.next_row),
            "terms": dict(zip(TERMS, step.terms[0].tolist(), strict=True)),
            "costs": dict(zip(COSTS, step.costs[0].tolist(), strict=True)),
            "pnl": float(step.pnl[0]),
            "traded": bool(step.traded[0]),
        }


if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(ENVIRONMENT_ID, entry_point="apex_trader.trading.environment:TradingEnv")
