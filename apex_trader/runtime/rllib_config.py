"""Configuration of the peer: RLlib's DQN on the Gymnasium environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from apex_trader.errors import ConfigError
from apex_trader.models.flat import Activation

#: Whole numbers, and the least that each may be.
_LEAST = {
    "n_step": 1, "capacity": 1, "envs": 1, "episode_steps": 0, "env_runners": 0, "epsilon_steps": 1
}  # fmt: skip


@dataclass(frozen=True)
class RllibConfig:
    """What RLlib's DQN has of its own, with agent=rllib_dqn.

    What both systems have (γ, batch, learning rate, replay's α and β, pace, budget, rhythm) is
    set where it is for apex; docs/rllib.md says which settings those are.

    network: "mlp", RLlib's default network on the flat state, or "dueling", the run's own
        (``network``), so that the same network can be compared in two systems.
    hidden: width of each hidden layer of "mlp".
    activation: of those layers.
    n_step: decisions of a transition. Fewer than our own ``rollout.n_step``, which follow the
        policy after each action: its replay holds the action taken alone, and what exploring lanes
        do for many decisions says little of the policy.
    capacity: decisions that the replay holds. RLlib stores whole observations, 63 KB each with
        ``eth_full``, so this is far less than ``replay.capacity``.
    envs: environments that a runner steps in lockstep, an account each.
    episode_steps: decisions after which an episode is cut (and bootstraps), where
        ``rollout.episode_steps`` does not cut it earlier; 0 lets it run. RLlib's replay copies a
        whole episode for every few decisions added to it, so long ones cost their length squared.
    env_runners: processes that step environments; 0 steps them in the driver.
    epsilon_start, epsilon_end, epsilon_steps: the chance of a random action goes from the first
        to the second, linearly over that many decisions.
    """

    network: Literal["mlp", "dueling"] = "mlp"
    hidden: tuple[int, ...] = (256, 256)
    activation: Activation = "tanh"
    n_step: int = 3
    capacity: int = 20_000
    envs: int = 8
    episode_steps: int = 512
    env_runners: int = 0
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: int = 10_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))  # Hydra hands over lists
        if not self.hidden or any(width < 1 for width in self.hidden):
            raise ConfigError("rllib.hidden", self.hidden, "one width or more, each at least 1")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ConfigError(f"rllib.{name}", getattr(self, name), f"at least {least}")
        for name in ("epsilon_start", "epsilon_end"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"rllib.{name}", getattr(self, name), "between 0 and 1")

    @property
    def lanes(self) -> int:
        """Accounts that are stepped at a time, over all runners."""
        return self.envs * max(self.env_runners, 1)

    def epsilon_schedule(self, done: int) -> list[tuple[int, float]] | float:
        """ε from now on, as RLlib takes it, where ``done`` decisions were taken before."""
        left = self.epsilon_steps - done
        if left <= 0:
            return self.epsilon_end
        return [(0, self.epsilon_at(done)), (left, self.epsilon_end)]

    def epsilon_at(self, decisions: int) -> float:
        """ε after so many decisions."""
        share = min(decisions / self.epsilon_steps, 1.0)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * share
