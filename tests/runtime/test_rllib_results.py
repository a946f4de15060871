"""RLlib's results under the names of the run's own metrics."""

from __future__ import annotations

import math
from typing import Any

import pytest

from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.rllib_results import Readings
from tests.runtime.documented import undocumented

CONFIG = compose_config(["+experiment=rllib_dqn"])
BATCH = CONFIG.learner.batch_size


def step(decisions: int, loss: float | None = None, **runners: float) -> dict[str, Any]:
    """What ``Algorithm.train`` gives; without a loss no update was done."""
    result: dict[str, Any] = {
        "env_runners": {"num_env_steps_sampled_lifetime": float(decisions), **runners}
    }
    if loss is not None:
        module = {"num_module_steps_trained": BATCH, "qf_loss": loss, "td_error_mean": 2 * loss,
                  "qf_mean": 0.5, "gradients_default_optimizer_global_norm": 3.0}  # fmt: skip
        result["learners"] = {"default_policy": module}
    return result


def test_updates_are_counted_and_their_figures_averaged():
    readings = Readings(CONFIG)
    readings.take(step(32))
    assert readings.updates == 0
    readings.take(step(64, loss=1.0))
    assert readings.updates == 1
    readings.take(step(96, loss=3.0, episode_return_mean=math.nan, episode_len_mean=7.0))
    learner, actors, replay = readings.read(size=96, decisions=96)
    assert learner["learner/loss"] == 2.0
    assert learner["learner/td_mean"] == 4.0
    assert actors["actors/episode_length"] == 7.0
    assert "actors/episode_return" not in actors, "no episode has ended"
    assert replay["replay/samples"] == 2 * BATCH
    assert replay["replay/samples_per_insert"] == pytest.approx(2 * BATCH / 96)


def test_each_reading_is_of_what_came_since_the_last():
    readings = Readings(CONFIG)
    readings.take(step(64, loss=1.0))
    readings.read(size=64, decisions=64)
    readings.take(step(96, loss=5.0))
    assert readings.read(size=96, decisions=96)[0]["learner/loss"] == 5.0


def test_every_name_is_explained():
    readings = Readings(CONFIG)
    readings.take(step(64, loss=1.0, episode_return_mean=1.0, episode_len_mean=7.0))
    assert undocumented({name for part in readings.read(64, 64) for name in part}) == []
