"""What RLlib tells of its training steps, under the names of the run's own metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from apex_trader.runtime.config import Config
from apex_trader.runtime.session import merge_actors

_MODULE = "default_policy"
#: RLlib's figure of one update → ours.
_LEARNER = {
    "qf_loss": "learner/loss",
    "td_error_mean": "learner/td_mean",
    "qf_mean": "learner/q_mean",
    "gradients_default_optimizer_global_norm": "learner/grad_norm",
}
_ACTORS = {
    "episode_return_mean": "actors/episode_return",
    "episode_len_mean": "actors/episode_length",
}


class Readings:
    """Collects the results of training steps between two readings of the metrics.

    updates: of the newest step. decisions: since RLlib began. newest: figures of its update.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.updates, self.decisions, self._sampled = 0, 0, 0
        self.newest: dict[str, float] = {}
        self._learner: list[dict[str, float]] = []
        self._actors: dict[str, float] = {}
        self._since = time.monotonic()

    def take(self, result: Mapping[str, Any]) -> None:
        """The result of one ``Algorithm.train``, which does an update or none."""
        batch = self._config.learner.batch_size
        learner = result.get("learners", {}).get(_MODULE, {})
        trained = int(learner.get("num_module_steps_trained", 0))
        runners = result["env_runners"]
        self.decisions = int(runners["num_env_steps_sampled_lifetime"])
        self.updates, self._sampled = trained // batch, self._sampled + trained
        self.newest = _named(learner, _LEARNER) if trained else {}
        if trained:
            self._learner.append(self.newest)
        self._actors |= {k: v for k, v in _named(runners, _ACTORS).items() if math.isfinite(v)}

    def read(
        self, size: int, decisions: int
    ) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """(learner, actors, replay) since the last reading: figures of updates are their means.

        size: transitions in the replay. decisions: of the run, earlier sittings included.
        """
        rllib, now = self._config.rllib, time.monotonic()
        rate = len(self._learner) / max(now - self._since, 1e-9)
        learner = {
            **merge_actors(self._learner),
            "learner/updates_per_second": rate,
            "learner/transitions_per_second": rate * self._config.learner.batch_size,
        }
        replay = {
            "replay/size": float(size),
            "replay/fill": size / rllib.capacity,
            "replay/inserts": float(self.decisions),
            "replay/samples": float(self._sampled),
            "replay/samples_per_insert": self._sampled / max(self.decisions, 1),
        }
        actors = {**self._actors, "actors/epsilon": rllib.epsilon_at(decisions)}
        self._learner, self._actors, self._since = [], {}, now
        return learner, actors, replay


def _named(figures: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    return {ours: float(figures[theirs]) for theirs, ours in names.items() if theirs in figures}
