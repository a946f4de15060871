"""The parts of a run, made from its configuration. Serial and Ray runtimes use the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from actors.market import RolloutMarket
from apex_trader.errors import ApexError, ConfigError
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.models.flat import FlatQNetwork, QNetwork
from apex_trader.runtime.config import Config
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.potentials import potential_weights
from learner.arena import DeviceArena, Loader, SlotShape
from learner.update import Learner

#: Streams of the run's seed, one a part, so that no two parts draw the same numbers.
NETWORK, MIRROR, ROTATION, EXPLORATION, CONFIDENCE = range(5)


def exploration_seed(seed: int, sitting: int, incarnation: int) -> int:
    """Seed of a rollout that does not go on from a saved stream of random numbers.

    sitting: how often the run was resumed. incarnation: how often the rollout was restarted in this
    sitting. Without them it would explore the same once more.
    """
    sequence = np.random.SeedSequence([seed, EXPLORATION, sitting, incarnation])
    return int(sequence.generate_state(1, np.uint64)[0])


def make_network(config: Config, schema: Schema, trading: TradingConfig) -> DuelingQNetwork:
    """The Q-network with its initial weights, the same in every process of a run."""
    seed = int(np.random.SeedSequence([config.seed, NETWORK]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    return DuelingQNetwork(
        schema, Actions.of(trading).size, config.network, generator, order_costs(config, trading)
    )


def order_costs(config: Config, trading: TradingConfig) -> NDArray[np.float32]:
    """[3, actions] what each action's order costs at once, as reward, by position held + 1."""
    leg = trading.exposure * 0.5 * trading.round_trip_cost
    legs = np.abs(Actions.of(trading).wanted - np.arange(-1, 2)[:, None])
    costs: NDArray[np.float32] = (-config.reward.scale * config.reward.core * leg * legs).astype(
        np.float32
    )
    return costs


def judged_network(config: Config, schema: Schema, trading: TradingConfig) -> QNetwork:
    """A network for the weights of a run's agent, whoever trained them."""
    if config.agent == "rllib_dqn" and config.rllib.network == "mlp":
        actions = Actions.of(trading).size
        return FlatQNetwork(schema, actions, config.rllib.hidden, config.rllib.activation)
    return make_network(config, schema, trading)


def outcomes(config: Config) -> int | None:
    """Of how many actions an experience holds the outcomes; None: of the one taken."""
    return Actions.of(config.trading).size if config.rollout.outcomes == "all" else None


def make_arena(
    config: Config, schema: Schema, segments: int, loader: Loader, device: torch.device
) -> DeviceArena:
    """The learner's arena: room for the resident days, within the byte budget."""
    return DeviceArena(
        schema,
        config.learner.arena_bytes,
        device,
        shape=SlotShape.of_day(schema),
        segments=segments,
        loader=loader,
    )


def check_arena(config: Config, schema: Schema, days: int) -> None:
    """Raise ConfigError, before any work is done, when the arena cannot hold the resident days.

    days: of the agent. Where they rotate, batches that are under way may still need the day that
    went, beside those that stay.
    """
    resident = min(config.train.resident_days, days)
    needed = (resident + (days > resident)) * SlotShape.of_day(schema).nbytes(schema)
    if config.learner.arena_bytes < needed:
        raise ConfigError(
            "learner.arena_bytes", config.learner.arena_bytes,
            f"at least {needed}, for train.resident_days={resident} of {schema.name}: or lower "
            "train.resident_days",
        )  # fmt: skip


def make_learner(
    config: Config, schema: Schema, trading: TradingConfig, arena: DeviceArena
) -> Learner:
    """The learner over an arena."""
    return Learner(
        make_network(config, schema, trading),
        arena,
        config.learner.for_budget(config.train.updates),
        np.random.default_rng([config.seed, MIRROR]),
        potentials=potential_weights(config.reward),
        action_mirror=Actions.of(trading).mirror if trading.mirrors else None,
        all_actions=config.rollout.outcomes == "all",
    )


def rollout_market(
    config: Config,
    segments: Sequence[Segment],
    numbers: Sequence[int],
    tables: MarketTables,
    agent_from: int,
) -> RolloutMarket:
    """Segments to roll out on; no episode starts before ``agent_from`` (µs), the embargo's end."""
    market = RolloutMarket.build(segments, numbers, tables, config.rollout.extrema_radius)
    path = market.path
    allowed = path.startable & (path.arrays.ts >= agent_from)
    if not allowed.any():
        raise ApexError(
            "none of the agent's days has a row to start from after the embargo: give it more "
            "days (a lower periods.extractor, validation or test, or a longer market)"
        )
    return replace(market, path=replace(path, startable=allowed))


def choose_device(config: Config) -> torch.device:
    """The learner's device: a GPU when one is there, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
