"""What tests of the commands and of the notebook share: one tiny run, trained once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import synthesize
from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.train import train

#: Seconds on one core: minute bars, small networks, a budget of a few updates.
SMALL = [
    "+experiment=quickstart",
    "runtime=serial",
    "market.synthetic=''",
    "periods={extractor: 0.25, validation: 0.17, test: 0.34}",
    "state={schema: eth_minutes, window: 32}",
    "pretrain={steps: 6, evaluate_every: 3, validation_rows: 128, baseline_rows: 200}",
    "pretrain.batch_size=32",
    "network.encoder.stack={strides: [8], channels: [4], features: 8}",
    "network.encoder={hidden_features: 8, vector_features: 8, fusion: 16, width: 8}",
    "network.hidden=16",
    "cnn={trunk: 32, stack: {strides: [8], channels: [8], features: 16}}",
    "rollout={lanes: 8, branches: 2, collect_steps: 4, episode_steps: 4}",
    "replay={capacity: 20000, shards: 2, batch_size: 16, prefetch: 1, min_size: 128}",
    "replay={max_insert: 32, error_buffer: 72}",
    "learner={batch_size: 16, publish_every: 5, metrics_every: 5}",
    # what hardly costs is traded even by an agent that knows as little as this one
    "trading.fee=1e-7",
    "train={updates: 20, evaluate_every: 10, checkpoint_every: 10, resident_days: 2}",
    "wandb.mode=disabled",
]

#: Who is judged on a planted market: the agent, and everything that it has to beat.
JUDGED = {
    "agent", "flat", "buy and hold", "sell and hold", "moving averages", "pivot trend", "random",
    "logistic regression", "hindsight optimum", "oracle", "filter optimum",
}  # fmt: skip


def write_small_market(folder: Path) -> Path:
    """Six days of minute bars and just enough history behind them, in a store at ``folder``."""
    synthesize("mean_reversion", MarketStore(str(folder)), seed=7, clock="1m", days=6,
               history_days=40, minute_days=15)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def small_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_market(tmp_path_factory.mktemp("small") / "market")


@pytest.fixture(scope="session")
def small_run(small_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that came to its end. Nobody may change it."""
    torch.set_num_threads(1)
    config = compose_config(SMALL)
    config = replace(config, market=replace(config.market, store=str(small_market)))
    folder = tmp_path_factory.mktemp("small") / "run"
    train(config, RunFolder(folder))
    return folder
