"""RLlib's DQN as a run configures it: its own, or with the run's network as its module."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ray.rllib.algorithms.dqn import DQN, DQNConfig
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.utils.schedules.scheduler import Scheduler
from ray.tune.registry import register_env

from apex_trader.runtime.config import Config
from apex_trader.runtime.parts import make_network
from apex_trader.runtime.ray_rllib_market import (
    ENVIRONMENT,
    MARKET,
    SharedMarket,
    make_environment,
)
from apex_trader.state.schema import ACCOUNT_SIZE


class DuelingModule(DefaultDQNTorchRLModule):  # type: ignore[misc]
    """The run's dueling network in the place of RLlib's own encoder and heads.

    model_config["run"]: (configuration of the run, its account's rules).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        TorchRLModule.__init__(self, *args, **kwargs)  # without RLlib's catalog of networks

    def setup(self) -> None:
        """See ``RLModule.setup``."""
        config, trading = self.model_config["run"]
        self.uses_dueling = self.uses_double_q = True
        self.num_atoms = 1
        self.epsilon_schedule = Scheduler(
            fixed_value_or_schedule=self.model_config["epsilon"], framework=self.framework
        )
        self.encoder = make_network(config, config.state.build(), trading)

    def get_non_inference_attributes(self) -> list[str]:
        """See ``InferenceOnlyAPI``."""
        return ["_target_encoder"]

    def make_target_networks(self) -> None:
        """See ``TargetNetworkAPI``."""
        self._target_encoder = make_target_network(self.encoder)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        """See ``TargetNetworkAPI``."""
        return [(self.encoder, self._target_encoder)]

    def compute_q_values(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """See ``QNetAPI``."""
        return self._q(self.encoder, batch)

    def forward_target(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """See ``TargetNetworkAPI``."""
        return self._q(self._target_encoder, batch)

    def _q(self, network: Any, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        states = batch[Columns.OBS]
        return {QF_PREDS: network(states[:, :-ACCOUNT_SIZE], states[:, -ACCOUNT_SIZE:])}


def make_algorithm(config: Config, market: SharedMarket, done: int, seed: int) -> DQN:
    """RLlib's DQN on the run's market. done: decisions taken before, by which ε has fallen."""
    register_env(ENVIRONMENT, make_environment)
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)  # its advice is to its own users
    return dqn_config(config, market, done, seed).build_algo()


def dqn_config(config: Config, market: SharedMarket, done: int, seed: int) -> DQNConfig:
    """What ``make_algorithm`` builds; an update a training step, after as many decisions as the
    replay's samples an insert ask for."""
    learner, replay, rllib, cluster = config.learner, config.replay, config.rllib, config.cluster
    fragment = decisions_of_each(config)
    soft = learner.target_update == "soft"
    period = learner.target_period * fragment * rllib.lanes  # RLlib counts decisions
    return (
        DQNConfig()
        .environment(ENVIRONMENT, env_config={MARKET: market})
        .env_runners(
            num_env_runners=rllib.env_runners, num_envs_per_env_runner=rllib.envs,
            num_cpus_per_env_runner=cluster.actor_cpus, rollout_fragment_length=fragment,
        )
        .learners(
            num_learners=0, num_cpus_per_learner=cluster.learner_cpus,
            num_gpus_per_learner=cluster.learner_gpus,
        )
        .training(
            gamma=config.rollout.gamma, n_step=rllib.n_step, lr=learner.learning_rate,
            grad_clip=learner.gradient_clip, train_batch_size_per_learner=learner.batch_size,
            double_q=True, dueling=True, num_atoms=1, td_error_loss_fn="huber",
            training_intensity=None,
            tau=learner.target_rate if soft else 1.0,
            target_network_update_freq=0 if soft else period,
            num_steps_sampled_before_learning_starts=replay.min_size,
            epsilon=rllib.epsilon_schedule(done),
            replay_buffer_config={
                "type": "PrioritizedEpisodeReplayBuffer", "capacity": rllib.capacity,
                "alpha": replay.alpha, "beta": replay.beta,
            },
        )
        .rl_module(**_module(config, market))
        .reporting(min_sample_timesteps_per_iteration=0, min_time_s_per_iteration=0)
        .debugging(seed=seed, log_level="ERROR")
    )  # fmt: skip


def decisions_of_each(config: Config) -> int:
    """Decisions that each account takes between two updates."""
    return max(round(config.decisions_per_update / config.rllib.lanes), config.rllib.n_step)


def _module(config: Config, market: SharedMarket) -> dict[str, Any]:
    """The network, as RLlib's configuration takes it."""
    if config.rllib.network == "dueling":
        run = {"run": (config, market.trading)}
        return {"rl_module_spec": RLModuleSpec(DuelingModule, model_config=run)}
    layers = DefaultModelConfig(
        fcnet_hiddens=list(config.rllib.hidden), fcnet_activation=config.rllib.activation
    )
    return {"model_config": layers}
