"""A tiny market, extractor and network that a whole audit can be run on in seconds."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import synthesize
from apex_trader.runtime.audit import experience, walk
from apex_trader.runtime.audit import pipeline as sizes
from apex_trader.runtime.audit.findings import Findings
from apex_trader.runtime.audit.pipeline import Pipeline, audited, restrict
from apex_trader.runtime.audit.run import Audit
from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.market_data import CnnRows, MarketData
from apex_trader.runtime.parts import make_network
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session

torch.set_num_threads(1)

#: Everything that makes a run small.
TINY = (
    "market.primary=synthetic:ETHUSDT", "market.reference=synthetic:BTCUSDT", "state.window=32",
    "periods.validation=0", "periods.test=0", "periods.extractor=0.5",
    "network.encoder.stack.channels=[4,8]", "network.encoder.stack.features=16",
    "network.encoder.hidden_features=8", "network.encoder.vector_features=8",
    "network.encoder.fusion=16", "network.encoder.width=16", "network.hidden=16",
    "cnn.stack.channels=[4,8]", "cnn.stack.features=16", "cnn.trunk=16",
    "pretrain.steps=4", "learner.batch_size=32", "learner.arena_bytes=500000000",
    "replay.batch_size=32", "replay.shards=2", "replay.capacity=20000", "replay.min_size=1000",
    "replay.max_insert=2048", "wandb.mode=disabled",
    "rollout.movement_sigmas=1.5",  # rare moves may be missing from a short rollout: no hole then
)  # fmt: skip


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Two days of a synthetic market, one for the extractor and one for the agent."""
    folder = str(tmp_path_factory.mktemp("market"))
    synthesize(
        "mean_reversion", MarketStore(folder), seed=1, days=2, history_days=48, minute_days=30,
        trades_per_second=0.7,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def overrides(store):
    """The command line of a tiny run."""
    return [f"market.store={store}", *TINY]


@dataclass
class Bench:
    """Segments, extractor and CNN rows that every audit of the session shares."""

    config: Config
    data: MarketData
    segments: dict
    agent: Agent
    rows: dict

    def audit(self, config=None, change=lambda segment: segment, agent=True) -> Findings:
        """A whole audit: ``change`` is made to every segment; without ``agent`` it fits one."""
        config = audited(config or self.config)
        with tempfile.TemporaryDirectory() as scratch:
            data = MarketData(config, RunFolder(scratch))
            if (data.schema.fingerprint, config.market) == (
                self.data.schema.fingerprint,
                self.config.market,
            ):
                data.builder.build = lambda day: change(self.segments[day])
            segments = [data.segment(n) for n in data.numbers(data.periods.agent)]
            restrict(data, 1)
            with Session(config, RunFolder(Path(scratch) / "run"), data.schema) as session:
                chosen = self.agent if agent else None
                build = lambda: Pipeline.build(config, data, session, chosen)  # noqa: E731
                return Audit(config, data, segments, build).run(lambda text: None)


@pytest.fixture(scope="session")
def bench(overrides):
    config = compose_config(overrides)
    with tempfile.TemporaryDirectory() as scratch:
        data = MarketData(config, RunFolder(scratch))
        segments = {day: data.builder.build(day) for day in data.periods.all}
        session = Session(audited(config), RunFolder(Path(scratch) / "run"), data.schema)
        with session:
            restrict(data, 1)
            data.builder.build = segments.get
            line = Pipeline.build(audited(config), data, session, None)
    network = make_network(config, data.schema, data.trading).state_dict()
    agent = Agent(network, line.run.extractor, 0, "untrained")
    rows = {line.segment.key: line.run.cnn_rows(line.number)}
    return Bench(config, data, segments, agent, rows)


@pytest.fixture
def small(monkeypatch):
    """Fewer rows and steps to probe."""
    monkeypatch.setattr(sizes, "ROWS", 24)
    monkeypatch.setattr(walk, "STEPS", 240)
    monkeypatch.setattr(experience, "_ENOUGH", 1024)


@pytest.fixture
def same_rows(bench, monkeypatch):
    """CNN rows that were computed once, as long as nothing of them is changed."""
    of = CnnRows.of
    monkeypatch.setattr(
        CnnRows, "of", lambda self, segment: bench.rows.get(segment.key)
        if self.version == bench.agent.extractor.version else of(self, segment),
    )  # fmt: skip
