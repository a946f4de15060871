"""The whole pipeline on Ray, small: to its budget, with every part at work, and resumable."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import psutil
import pytest

from apex_trader.runtime.config import ClusterConfig, Config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.train import train
from learner.checkpoint import CheckpointManager
from tests.conftest import JUDGED
from tests.runtime.documented import undocumented

pytestmark = [pytest.mark.ray, pytest.mark.slow]

UPDATES = 400
CLUSTER = ClusterConfig(
    actors=1, cpus=2, actor_cpus=0.5, shard_cpus=0.1, learner_cpus=0.5, object_store_mb=128
)


def readings(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def ray_processes() -> set[int]:
    """Processes that Ray started below this one."""
    return {p.pid for p in psutil.Process().children(recursive=True) if "ray" in p.name().lower()}


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    """The tiny run on a small cluster, long enough for a few readings, which take seconds."""
    rhythm = replace(tiny.train, updates=UPDATES, evaluate_every=200, checkpoint_every=200,
                     rotate_every=200)  # fmt: skip
    return replace(tiny, runtime="ray", cluster=CLUSTER, train=rhythm)


@pytest.fixture(scope="module")
def finished(config: Config, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that came to its end."""
    folder = RunFolder(tmp_path_factory.mktemp("ray") / "run")
    train(config, folder)
    return folder


def test_it_runs_to_its_budget_and_is_judged(finished: RunFolder):
    checkpoint = CheckpointManager(str(finished.checkpoints)).latest()
    assert checkpoint is not None
    assert checkpoint.json("run.json")["updates"] == UPDATES
    result = json.loads(finished.result.read_text())
    assert result["runtime"] == "ray"
    assert set(result["backtest"]) == JUDGED
    assert finished.report.is_file()


def test_every_group_of_metrics_is_there_and_explained(finished: RunFolder):
    found = readings(finished)
    assert {r["group"] for r in found} == {
        "pretrain", "actors", "replay", "learner", "eval", "system",
    }  # fmt: skip
    assert undocumented({name for reading in found for name in reading}) == []
    last = {k: v for reading in found for k, v in reading.items()}
    assert last["replay/rejected_inserts"] == 0
    assert last["system/restarts"] == 0


def test_no_reading_of_a_part_lacks_its_figures(finished: RunFolder):
    """At the end too, when nothing was learned or delivered since the last reading."""
    found = readings(finished)
    assert all("learner/loss" in r for r in found if r["group"] == "learner")
    assert all("actors/trades_per_day" in r for r in found if r["group"] == "actors")


def test_every_evaluation_judged_a_checkpoint_and_the_best_of_them_is_marked(finished: RunFolder):
    """Although the learner goes on while its weights are judged."""
    judged = {r["eval/updates"]: r["eval/net_return"] for r in readings(finished)
              if r["group"] == "eval"}  # fmt: skip
    best = CheckpointManager(str(finished.checkpoints)).best()
    assert best is not None
    assert len(set(judged.values())) > 1, "nothing was to choose from"
    assert best.value == max(judged.values())
    assert judged[float(best.name.removeprefix("step-"))] == best.value


def test_priorities_came_back_to_the_shards(finished: RunFolder):
    checkpoint = CheckpointManager(str(finished.checkpoints)).latest()
    assert checkpoint is not None
    shards = [checkpoint.state(f"replay-{k}.pt") for k in range(2)]
    assert sum(shard["counters"]["updates"] for shard in shards) > 0
    assert sum(shard["counters"]["rejected_inserts"] for shard in shards) == 0


def test_nothing_is_left_running(finished: RunFolder):
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in ray_processes()], timeout=20)
    assert [p.name() for p in alive] == []


def test_a_checkpoint_of_a_cluster_goes_on_in_one_process(finished: RunFolder, config: Config):
    """Both runtimes write the same parts: what Ray began, the serial runtime ends."""
    longer = replace(config.train, updates=UPDATES + 20)
    serial = replace(config, runtime="serial", train=longer, resume=str(finished.path))
    before = len(readings(finished))
    train(serial, finished)
    after = readings(finished)[before:]
    checkpoint = CheckpointManager(str(finished.checkpoints)).latest()
    assert checkpoint is not None
    assert checkpoint.json("run.json")["updates"] == UPDATES + 20
    assert min(r["learner/updates"] for r in after if "learner/updates" in r) > UPDATES
    assert not any(r["group"] == "pretrain" for r in after)
