"""The run's market for RLlib's environments: the same tables, shared by all of one process."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import ray
import torch
from gymnasium.utils import RecordConstructorArgs

from actors.potentials import Potentials
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import tables_with_cnn
from apex_trader.runtime.parts import rollout_market
from apex_trader.runtime.ray_learner import WeightBoard
from apex_trader.runtime.ray_part import Handle
from apex_trader.runtime.ray_segments import Market
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.environment import (
    ENVIRONMENT_ID,
    F32,
    F64,
    I64,
    MarketState,
    Potential,
    gathered,
)
from apex_trader.trading.path import MarketPath

#: What RLlib calls the environment, and the market in its ``env_config``.
ENVIRONMENT, MARKET = "apex_trader", "market"


class MarketBoard(WeightBoard):
    """Where the driver posts a reference to the active days, and environments look for it."""


class SharedMarket:
    """The active days, loaded once in a process, and again after they rotated.

    A copy, which RLlib makes of its configuration here and there, has loaded nothing yet.

    Args:
        board: a ``MarketBoard`` on which the driver has posted a ``Market``.
        config: of the run. trading: with the market's own rules.
        agent_from: no episode starts before it (µs), the embargo's end.
    """

    def __init__(
        self, board: Handle, config: Config, trading: TradingConfig, agent_from: int
    ) -> None:
        self.config, self.trading = config, trading
        self._board, self._agent_from = board, agent_from
        #: Counts the days' rotations; 0 before the first are there.
        self.version = 0
        self._loaded: tuple[MarketPath, MarketState, Potential] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._board, self.config, self.trading, self._agent_from)

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedMarket:
        return type(self)(self._board, self.config, self.trading, self._agent_from)

    def newest(self) -> tuple[MarketPath, MarketState, Potential]:
        """Path, states and weighted potential of the days that are active now."""
        version, posted = ray.get(self._board.newest.remote(self.version))
        if posted:
            self._loaded, self.version = self._load(ray.get(posted[0])), version
        assert self._loaded is not None
        return self._loaded

    def _load(self, market: Market) -> tuple[MarketPath, MarketState, Potential]:
        torch.set_num_threads(self.config.train.threads)
        segments, tables = load_tables(market, self.config.state.build())
        path = rollout_market(self.config, segments, market.numbers, tables, self._agent_from).path
        potentials = Potentials(tables, self.config.reward)

        def potential(rows: I64, position: F32) -> F64:
            return potentials.pivot(rows, position) + potentials.cnn(rows, position)

        return path, gathered(tables), potential


def load_tables(market: Market, schema: Schema) -> tuple[list[Segment], MarketTables]:
    """Segments out of the object store, and their tables."""
    segments, rows = market.load()
    with warnings.catch_warnings():  # arrays of the object store are read-only, and only copied
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return segments, tables_with_cnn(segments, schema, rows, market.version)


class FollowingEnv(gymnasium.Wrapper[F32, Any, F32, Any], RecordConstructorArgs):
    """An environment that begins each episode in the days that are active then."""

    def __init__(self, env: gymnasium.Env[F32, Any], market: SharedMarket) -> None:
        RecordConstructorArgs.__init__(self, market=market)
        gymnasium.Wrapper.__init__(self, env)
        self._market, self._version = market, market.version

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[F32, dict[str, Any]]:
        """See ``TradingEnv.reset``."""
        market = self._market.newest()
        if self._market.version != self._version:
            self._version = self._market.version
            self.get_wrapper_attr("set_market")(*market)
        return self.env.reset(seed=seed, options=options)


def make_environment(context: dict[str, Any]) -> gymnasium.Env[F32, Any]:
    """What RLlib is told to make its environments with; context: its ``env_config``."""
    shared: SharedMarket = context[MARKET]
    path, states, potential = shared.newest()
    config = shared.config
    env = gymnasium.make(
        ENVIRONMENT_ID, path=path, market_state=states, trading=shared.trading,
        reward=config.reward, max_steps=longest_episode(config),
        potential=potential, gamma=config.rollout.gamma, disable_env_checker=True,
    )  # fmt: skip
    return FollowingEnv(env, shared)


def longest_episode(config: Config) -> int | None:
    """Decisions after which an episode is cut; None lets it run to its day's end or a gap."""
    cuts = [n for n in (config.rollout.episode_steps, config.rllib.episode_steps) if n]
    return min(cuts, default=None)
