"""The real pipeline, set up for an audit and driven a step at a time.

Nothing here is a copy: parts and wiring are those of ``runtime.serial``. Only sizes change, so
that a few days and a few batches are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actors.rollout import RolloutResult
from apex_trader.errors import ApexError
from apex_trader.experience import Sample
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.serial import SerialRun
from apex_trader.runtime.session import Session
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.segment import Segment

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

#: Decision rows whose states are perturbed.
ROWS = 64
#: Largest batch of an audit's updates: the connections are those of any batch.
_BATCH = 128
_SHARD = 32_768
_MINIMAL_STEPS = 20


def audited(config: Config) -> Config:
    """The configuration with sizes that suit an audit; what is connected to what stays."""
    batch = min(config.learner.batch_size, _BATCH)
    shards = config.replay.shards
    return replace(
        config,
        runtime="serial",
        resume="",
        wandb=replace(config.wandb, mode="disabled"),
        learner=replace(config.learner, batch_size=batch, compile="off", cuda_graph="off"),
        replay=replace(
            config.replay,
            capacity=min(config.replay.capacity, shards * _SHARD),
            batch_size=batch,
            prefetch=min(config.replay.prefetch, 4),
            min_size=min(config.replay.min_size, shards * batch),
            max_insert=min(config.replay.max_insert, 4096, config.replay.shard_capacity, _SHARD),
            error_buffer=_patience(config),
        ),
        pretrain=replace(
            config.pretrain,
            steps=min(config.pretrain.steps, _MINIMAL_STEPS),
            batch_size=min(config.pretrain.batch_size, 64),
            evaluate_every=_MINIMAL_STEPS,
            validation_rows=min(config.pretrain.validation_rows, 256),
            baseline_rows=0,
        ),
    )


def _patience(config: Config) -> float:
    """A buffer in which a whole shard can be filled before the first sample."""
    replay = config.replay
    return replay.max_sample + replay.samples_per_insert * max(_SHARD, replay.max_insert)


def restrict(data: MarketData, days: int) -> None:
    """Keep so many of the agent's days, evenly spread, one extractor day, and no judged days."""
    periods = data.periods
    data.periods = replace(
        periods,
        extractor=periods.extractor[-1:],
        agent=spread(periods.agent, days),
        validation=(),
        test=(),
    )


def spread(days: Sequence[int], count: int) -> tuple[int, ...]:
    """At most ``count`` of the days, evenly spread."""
    if len(days) <= count:
        return tuple(days)
    return tuple(days[int(i)] for i in np.linspace(0, len(days) - 1, count))


class AuditedRun(SerialRun):
    """A serial run whose steps are called by the probes, each of them on the real wiring."""

    def prepare(self, agent: Agent | None) -> None:
        """Build every part: with a run's extractor and weights, else with minimal ones."""
        if agent is None:
            self._fit_extractor()
        else:
            self.pretrain.extractor = agent.extractor
        self._build(None)
        if agent is not None:
            self.learner.network.load_state_dict(dict(agent.weights))
            self.learner.target.load_state_dict(dict(agent.weights))
            self._publish()

    @property
    def needs_cnn(self) -> bool:
        """Whether the state has CNN columns."""
        return self._needs_cnn()

    def cnn_rows(self, number: int) -> NDArray[np.float16] | None:
        """CNN rows of a segment as this run makes them; None without CNN columns."""
        return self._cnn_rows(number) if self.needs_cnn else None

    def collect(self) -> RolloutResult:
        """One delivery of the rollout, not yet in the replay."""
        return self.rollout.collect(latest_version=self.publisher.version)

    def deliver(self, result: RolloutResult) -> None:
        """Transitions and tags to the shards, as the run delivers them."""
        self._insert(result)

    def draw(self, shard: int) -> Sample | None:
        """One batch of a shard, if its rate limiter gives one."""
        self._introduce_shards()
        samples = self.shards[shard].sample(1, self.learner.updates)
        return samples[0] if samples else None

    def learn(self, sample: Sample) -> None:
        """One update, whose priorities go back to the shard."""
        self._update(self.shards[sample.shard], sample)

    def publish(self) -> None:
        """The learner's weights to the actors."""
        self._publish()


@dataclass
class Pipeline:
    """What the probes work on.

    rows [r]: decision rows of the first agent's segment that can be decided, the same in that
    segment's own tables. account [r, 8]: features of accounts that are long, short and flat.
    """

    config: Config
    data: MarketData
    run: AuditedRun

    @classmethod
    def build(
        cls,
        config: Config,
        data: MarketData,
        session: Session,
        agent: Agent | None,
    ) -> Pipeline:
        """The parts of a run over ``data``, whose agent's days are the ones to probe."""
        run = AuditedRun(config, data, session)
        run.prepare(agent)
        return cls(config, data, run)

    @property
    def tables(self) -> MarketTables:
        """The actors' tables of the active segments."""
        return self.run.rollout.market.tables

    @cached_property
    def number(self) -> int:
        """Registry number of the segment whose rows are probed."""
        return self.run.active.current[0]

    @property
    def segment(self) -> Segment:
        """That segment; it is the first in the actors' tables."""
        return self.data.segment(self.number)

    @cached_property
    def rows(self) -> I64:
        """[r] rows to probe."""
        path = self.run.rollout.market.path
        start = np.flatnonzero(path.startable[: path.first_row[1]])
        if not len(start):
            raise ApexError("no row of the probed day can be decided: choose other days")
        return start[np.linspace(0, len(start) - 1, min(ROWS, len(start))).astype(np.int64)]

    @cached_property
    def account(self) -> F32:
        """[r, 8] account features to ask Q-values with."""
        random = np.random.default_rng([self.config.seed, 7])
        account = random.uniform(-1.0, 1.0, (len(self.rows), 8)).astype(np.float32)
        account[:, 0] = np.arange(len(self.rows)) % 3 - 1
        return account

    @cached_property
    def mirror(self) -> Tensor:
        """[r] bool: every second state is turned upside down."""
        return torch.arange(len(self.rows)) % 2 == 1

    @cached_property
    def own_tables(self) -> MarketTables:
        """Tables of the probed segment alone, numbered as ``rows``."""
        return self.tables_of(self.segment, self.run.cnn_rows(self.number))

    @property
    def arena_row(self) -> int:
        """Where the probed segment begins in the learner's arena, which loads it when needed."""
        first = np.zeros(1, np.int32)
        (row,) = self.run.arena.rows(np.array([self.number], np.int32), first)
        return int(row[0])

    def states(self, tables: MarketTables, mirrored: bool = False) -> Tensor:
        """[r, market_size] states of the probed rows."""
        mirror = self.mirror if mirrored else None
        return gather(tables, torch.from_numpy(self.rows), mirror)

    def tables_of(self, segment: Segment, cnn: NDArray[np.float16] | None) -> MarketTables:
        """Tables of one segment, written as the run writes them."""
        tables = MarketTables.from_segments([segment], self.data.schema)
        version = self.run.extractor_version
        if cnn is not None and version is not None:
            tables.write_cnn(0, cnn, version)
        return tables
