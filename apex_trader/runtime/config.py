"""The whole configuration of a run, assembled from the parts' own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from actors.config import RolloutConfig
from actors.replay.config import ReplayConfig
from apex_trader.errors import ApexError, ConfigError
from apex_trader.evaluation.confidence.config import ConfidenceConfig
from apex_trader.evaluation.config import EvaluationConfig
from apex_trader.execution.config import RiskConfig, TradeConfig
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.stream.config import StreamConfig
from apex_trader.models.config import CNNConfig, DuelingConfig, PretrainConfig
from apex_trader.runtime.folds import WalkForwardConfig
from apex_trader.runtime.periods import PeriodsConfig
from apex_trader.runtime.rllib_config import RllibConfig
from apex_trader.state.schema import SCHEMAS, Schema
from apex_trader.time import CLOCKS, DAY, SECOND
from apex_trader.trading.config import RewardConfig, TradingConfig
from learner.arena import has_cnn
from learner.config import LearnerConfig

Runtime = Literal["ray", "serial"]
#: Who learns: the parts of this project, or a peer under the same evaluation.
System = Literal["apex", "rllib_dqn"]


@dataclass(frozen=True)
class MarketConfig:
    """Where the market comes from.

    store: folder or URL of the market store (``python -m apex_trader.data import … --store DIR``).
    primary, reference: "exchange:SYMBOL" of what is traded and of what is watched beside it;
        an empty reference leaves its columns out (a declared class, not zeros in silence).
    synthetic: name of a generator; its market is written to the run's own store first. Empty for
        a store that is there.
    parameters: the generator's parameters (``python -m apex_trader.data synthesize --list``).
    """

    store: str = "data/market"
    primary: str = "binance:ETHUSDT"
    reference: str = "binance:BTCUSDT"
    synthetic: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.primary:
            raise ConfigError("market.primary", self.primary, 'a market such as "binance:ETHUSDT"')
        for name in ("primary", "reference"):
            value = getattr(self, name)
            if value and value.count(":") != 1:
                raise ConfigError(f"market.{name}", value, 'written as "exchange:SYMBOL"')


@dataclass(frozen=True)
class StateConfig:
    """What a state is made of.

    schema: "eth_full" (15,798 market features, decides every 5 s) or "eth_minutes" (9,798, every
        minute). window: rows of each window. without: blocks left out, for ablations.
    decide_every: seconds from one decision to the next, 0 leaves the schema's; fewer decisions
        make long periods cheaper. Whole bars of the fastest clock that ``without`` leaves, of which
        some make up the CNN's shortest horizon: on "eth_full" divisors of 30, on "eth_minutes" 60
        or 300; with no CNN block left, divisors of a day.
    min_coverage: share of each block's rows that must be there for a decision.
    """

    schema: Literal["eth_full", "eth_minutes"] = "eth_full"
    window: int = 300
    without: tuple[str, ...] = ()
    decide_every: float = 0.0
    min_coverage: float = 0.9

    def __post_init__(self) -> None:
        if not 16 <= self.window <= 4096:
            raise ConfigError("state.window", self.window, "16 to 4096 rows")
        if not 0.0 < self.min_coverage <= 1.0:
            raise ConfigError("state.min_coverage", self.min_coverage, "above 0, at most 1")
        if not (math.isfinite(self.decide_every) and self.decide_every >= 0):
            raise ConfigError("state.decide_every", self.decide_every, "seconds, or 0")
        self._check_interval(self.build())

    def build(self) -> Schema:
        """The schema."""
        from dataclasses import replace

        schema = replace(SCHEMAS[self.schema](self.window), min_coverage=self.min_coverage)
        if self.decide_every:
            schema = replace(schema, decision_interval=round(self.decide_every * SECOND))
        return schema.without(*self.without) if self.without else schema

    def _check_interval(self, schema: Schema) -> None:
        """A decision comes when bars of the fastest clock close, and the CNN's horizons at
        decisions. Which clocks and whether a CNN there are, ``without`` says too."""
        if not schema.clocks:
            raise ConfigError("state.without", self.without, "some blocks on a clock of bars left")
        clock, cnn = CLOCKS[schema.fast_clock], has_cnn(schema)
        spans, reach = (schema.horizons, min(schema.horizons)) if cnn else ((DAY,), DAY)
        if cnn and reach % clock:
            raise ConfigError(
                "state.without", self.without,
                f"a block on a clock faster than {schema.fast_clock} left, or cnn_hidden and "
                f"cnn_predictions left out too: the CNN looks {reach / SECOND:g} s ahead",
            )  # fmt: skip
        interval = self.decide_every * SECOND or schema.decision_interval
        if interval % clock or any(span % interval for span in spans):
            what = "the CNN's shortest horizon" if cnn else "a day"
            own = not SCHEMAS[self.schema](self.window).decision_interval % clock
            raise ConfigError(
                "state.decide_every", self.decide_every,
                f"a multiple of {clock / SECOND:g} s that divides {reach / SECOND:g} s, {what}, "
                f"in {schema.name}" + (", or 0" if own else ""),
            )  # fmt: skip


@dataclass(frozen=True)
class ExecutionConfig:
    """When an order is filled.

    latency: seconds from decision to market. max_fill_wait: seconds after that in which a trade
        must come, or the order is not filled. bar_fill: with bars only, "next_open", the open of
        the first bar that starts at or after the latency; or "this_open", the optimistic price at
        the decision itself, labelled so in every report.
    """

    latency: float = 1.0
    max_fill_wait: float = 3.0
    bar_fill: Literal["next_open", "this_open"] = "next_open"

    def __post_init__(self) -> None:
        for name in ("latency", "max_fill_wait"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"execution.{name}", value, "seconds, 0 or more")

    def micros(self, name: Literal["latency", "max_fill_wait"]) -> int:
        """A duration in microseconds."""
        seconds: float = getattr(self, name)
        return round(seconds * SECOND)


@dataclass(frozen=True)
class TrainConfig:
    """Budget and rhythm of a run.

    updates: learner updates to do. seconds: training ends after so many, 0 for no such limit.
    evaluate_every: updates between greedy runs on validation days. evaluate_days: how many of them,
        evenly spread; 0 for all.
    train_days: training days on which the same weights are run as well, to compare; at most as many
        as there are validation days, 0 for none. They choose no checkpoint.
    checkpoint_every: updates between checkpoints. One is made when no experience is on its way, so
        it may be of a few updates more than the multiple; the last is of the end of the run.
    keep: complete checkpoints kept besides the best.
    pretrain_every: updates between refits of the extractor, 0 for one fit before training. A refit
        supplies a new version to every part while the run goes on.
    resident_days: training days held in memory at a time; they rotate when there are more.
    rotate_every: updates between two rotations.
    threads: torch threads of each process.
    """

    updates: int = 100_000
    seconds: float = 0.0
    evaluate_every: int = 2_000
    evaluate_days: int = 16
    train_days: int = 1
    checkpoint_every: int = 2_000
    keep: int = 3
    pretrain_every: int = 0
    resident_days: int = 32
    rotate_every: int = 2_000
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("updates", "evaluate_every", "checkpoint_every", "keep", "resident_days",
                     "rotate_every", "threads"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"train.{name}", getattr(self, name), "a whole number, 1 or more")
        for name in ("pretrain_every", "evaluate_days", "train_days"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name}", getattr(self, name), "0 or more")
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ConfigError("train.seconds", self.seconds, "0 (no limit) or more")


@dataclass(frozen=True)
class ClusterConfig:
    """How the parts are spread with runtime=ray.

    address: of the Ray cluster to join; "local" starts one on this machine, "auto" joins the one
        that runs here. actors: rollout actors. cpus: CPUs that a local cluster declares; 0 for
        the machine's, or what the parts reserve where that is more. actor_cpus, shard_cpus,
        learner_cpus: CPUs each part reserves; they may be fractions. learner_gpus: GPUs of the
        learner. actor_resource: a resource of Ray's of which each rollout reserves a little, so
        that it runs on the hosts that have it ("worker" in cluster.yaml), and such hosts are
        started for it; empty for any host. object_store_mb: object store of a local cluster.
        restarts: how often each part is restarted after a crash.
    """

    address: str = "local"
    actors: int = 2
    cpus: int = 0
    actor_cpus: float = 1.0
    shard_cpus: float = 0.5
    learner_cpus: float = 1.0
    learner_gpus: float = 0.0
    actor_resource: str = ""
    object_store_mb: int = 1024
    restarts: int = 10

    def __post_init__(self) -> None:
        if self.actors < 1:
            raise ConfigError("cluster.actors", self.actors, "1 or more")
        for name in ("cpus", "actor_cpus", "shard_cpus", "learner_cpus", "learner_gpus",
                     "restarts"):  # fmt: skip
            if getattr(self, name) < 0:
                raise ConfigError(f"cluster.{name}", getattr(self, name), "0 or more")
        if self.object_store_mb < 80:
            raise ConfigError("cluster.object_store_mb", self.object_store_mb, "80 or more")


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases. mode: "auto" (online with an API key, offline without), "online",
    "offline" or "disabled". project, group, tags: as in W&B."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "apex-trader"
    group: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """A run. Every group's fields are explained in its own class.

    name: of the experiment. seed: of every random choice. agent: who learns: "apex", the parts of
    this project, or "rllib_dqn", RLlib's DQN as a peer under the same evaluation (docs/rllib.md).
    runtime: "ray", or "serial" for the same parts in one process. resume: folder of a run to
    continue. exchange, stream: how a live market is reached (rollout.source=stream); which
    exchange it is, the markets' names say. trade, risk: of ``python -m apex_trader.trade`` alone.
    """

    name: str = "custom"
    seed: int = 0
    agent: System = "apex"
    runtime: Runtime = "ray"
    resume: str = ""
    market: MarketConfig = field(default_factory=MarketConfig)
    periods: PeriodsConfig = field(default_factory=PeriodsConfig)
    state: StateConfig = field(default_factory=StateConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    trading: TradingConfig = field(default_factory=TradingConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    network: DuelingConfig = field(default_factory=DuelingConfig)
    cnn: CNNConfig = field(default_factory=CNNConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    rllib: RllibConfig = field(default_factory=RllibConfig)
    exchange: ExchangeConfig = field(default_factory=ExchangeConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    walk_forward: WalkForwardConfig = field(default_factory=WalkForwardConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    trade: TradeConfig = field(default_factory=TradeConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "0 or more")
        if self.replay.batch_size != self.learner.batch_size:
            raise ConfigError(
                "replay.batch_size", self.replay.batch_size,
                f"the same as learner.batch_size={self.learner.batch_size}",
            )  # fmt: skip
        interval = self.state.build().decision_interval / SECOND
        if self.rollout.source == "stream":
            self._check_stream()
        if self.walk_forward.folds:
            self._check_folds()
        if self.agent == "rllib_dqn":
            self._check_rllib()
        wait = self.execution.latency + self.execution.max_fill_wait
        if wait > interval:
            raise ConfigError(
                "execution.max_fill_wait", self.execution.max_fill_wait,
                f"with the latency at most the decision interval of {interval:g} s, so that no "
                "order is pending at the next decision",
            )  # fmt: skip

    @property
    def decisions_per_update(self) -> float:
        """Decisions for each update, by the replay's samples an insert."""
        return self.learner.batch_size / self.replay.samples_per_insert

    def _check_rllib(self) -> None:
        """Refuse what RLlib's DQN cannot do, where it would be left out in silence."""
        only: dict[str, tuple[Any, Any, str]] = {
            "runtime": (self.runtime, "ray", "on which RLlib runs"),
            "rollout.source": (self.rollout.source, "replay", "since RLlib steps recorded days"),
            "learner.huber_delta": (self.learner.huber_delta, 1.0, "which RLlib's loss has"),
            "train.pretrain_every": (
                self.train.pretrain_every, 0,
                "since RLlib's replay holds the states of the extractor that made them",
            ),
        }  # fmt: skip
        for name, (value, wanted, reason) in only.items():
            if value != wanted:
                raise ConfigError(name, value, f"{wanted} with agent=rllib_dqn, {reason}")
        fewest = self.rllib.lanes * self.rllib.n_step
        if self.decisions_per_update < fewest:
            raise ConfigError(
                "rllib.envs", self.rllib.envs,
                "so few, with rllib.env_runners, that each takes rllib.n_step="
                f"{self.rllib.n_step} decisions an update: {self.decisions_per_update:g} "
                f"(learner.batch_size / replay.samples_per_insert) are fewer than {fewest}",
            )  # fmt: skip
        if self.rllib.capacity < self.replay.min_size:
            raise ConfigError(
                "rllib.capacity", self.rllib.capacity,
                f"at least replay.min_size={self.replay.min_size}, with which learning begins",
            )  # fmt: skip

    def _check_folds(self) -> None:
        if self.rollout.source == "stream":
            raise ConfigError(
                "walk_forward.folds", self.walk_forward.folds, "0 for a live market: it has no past"
            )
        for name in ("validation_start", "test_start"):
            if getattr(self.periods, name):
                raise ConfigError(
                    f"periods.{name}", getattr(self.periods, name),
                    "empty with walk_forward.folds: each fold has dates of its own",
                )  # fmt: skip

    def _check_stream(self) -> None:
        if self.market.synthetic:
            raise ConfigError(
                "rollout.source", self.rollout.source, "replay for a synthetic market: it has no "
                "exchange"
            )  # fmt: skip
        self.exchange.check_streaming()
        if self.stream.watermark > self.execution.latency:
            raise ConfigError(
                "stream.watermark", self.stream.watermark,
                f"at most execution.latency={self.execution.latency:g}: decisions wait for it",
            )  # fmt: skip


def check_blocks(config: Config) -> None:
    """Raise ApexError early when the state asks for CNN columns that nothing will supply."""
    schema = config.state.build()
    if has_cnn(schema) and config.periods.extractor == 0:
        raise ApexError(
            "periods.extractor=0 leaves no days to fit the CNN on, but the state has CNN columns: "
            "set periods.extractor above 0, or leave the columns out with "
            "state.without=[cnn_hidden,cnn_predictions]"
        )
    if config.reward.cnn_potential and not schema.has("cnn_predictions"):
        raise ConfigError(
            "reward.cnn_potential", config.reward.cnn_potential,
            "0 where state.without leaves out cnn_predictions, which it is made of",
        )  # fmt: skip
