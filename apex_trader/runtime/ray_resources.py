"""The Ray cluster that a run joins or starts, and what its parts reserve there."""

from __future__ import annotations

import math
import os

import ray

from apex_trader.errors import ApexError
from apex_trader.runtime.config import Config
from apex_trader.runtime.display import Display

#: CPUs that segment server, evaluator, pretraining and stream reserve, each.
HELPER_CPUS = 0.1
#: Settings by which the parts of each agent reserve less.
_LOWER = {
    "apex": "cluster.actors, cluster.actor_cpus or replay.shards",
    "rllib_dqn": "rllib.env_runners or cluster.actor_cpus",
}


def connect(config: Config, display: Display) -> None:
    """Join the configured cluster, or start one on this machine.

    Raises ApexError when the CPUs of a local cluster are too few for the parts.
    """
    cluster = config.cluster
    if cluster.address == "local":
        ray.init(
            num_cpus=local_cpus(config, display),
            object_store_memory=cluster.object_store_mb * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    else:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")


def reserved_cpus(config: Config) -> float:
    """CPUs that the parts reserve together."""
    cluster = config.cluster
    if config.agent == "rllib_dqn":  # it learns in the driver; segments, CNN and board help
        return config.rllib.env_runners * cluster.actor_cpus + 3 * HELPER_CPUS
    shards = config.replay.shards * cluster.shard_cpus
    actors = cluster.actors * cluster.actor_cpus
    helpers = 3 + (config.rollout.source == "stream")
    return actors + shards + cluster.learner_cpus + helpers * HELPER_CPUS


def local_cpus(config: Config, display: Display) -> int:
    """CPUs that a local cluster declares: those configured, else enough for every part.

    Raises ApexError when those configured are too few: the parts would wait for ever.
    """
    configured, need = config.cluster.cpus, math.ceil(reserved_cpus(config))
    there = os.cpu_count() or 1
    if configured and configured < need:
        raise ApexError(
            f"the parts reserve {need} CPUs and cluster.cpus is {configured}: lower "
            f"{_LOWER[config.agent]}, or raise cluster.cpus"
        )
    if not configured and need > there:
        display.say(f"the parts reserve {need} CPUs and share this machine's {there}")
    return configured or max(there, need)
