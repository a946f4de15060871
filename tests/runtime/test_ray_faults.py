"""What a run on Ray survives: the death of any part, in one run with rotation and a refit."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from apex_trader.runtime.config import Config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.train import train
from learner.checkpoint import CheckpointManager
from tests.runtime.test_ray_run import CLUSTER

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.faults]

PARTS = ("RolloutActor", "ShardActor", "LearnerActor", "EvaluatorActor", "SegmentServer")
UPDATES = 500


def readings(folder: RunFolder, group: str) -> list[dict[str, Any]]:
    if not folder.metrics.exists():
        return []
    lines = map(json.loads, folder.metrics.read_text().splitlines())
    return [line for line in lines if line["group"] == group]


def kill(part: str) -> bool:
    """SIGKILL to one of the processes that this test's own cluster started."""
    for process in psutil.Process().children(recursive=True):
        try:
            if f"ray::{part}" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                return True
        except (psutil.Error, ProcessLookupError):
            continue
    return False


def kill_each(folder: RunFolder, killed: list[str]) -> None:
    while len(readings(folder, "learner")) < 2:
        time.sleep(0.1)
    for part in PARTS:
        if kill(part):
            killed.append(part)
        time.sleep(1.0)


@pytest.fixture(scope="module")
def survivor(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run, each of whose parts was killed once."""
    folder = RunFolder(tmp_path_factory.mktemp("faults") / "run")
    rhythm = replace(
        tiny.train, updates=UPDATES, evaluate_every=200, checkpoint_every=100, rotate_every=50,
        resident_days=1, pretrain_every=250,
    )  # fmt: skip
    killed: list[str] = []
    killer = threading.Thread(target=kill_each, args=(folder, killed), daemon=True)
    killer.start()
    train(replace(tiny, runtime="ray", cluster=CLUSTER, train=rhythm), folder)
    killer.join()
    assert killed == list(PARTS)
    return folder


def test_it_goes_on_to_its_end(survivor: RunFolder):
    checkpoint = CheckpointManager(str(survivor.checkpoints)).latest()
    assert checkpoint is not None
    assert checkpoint.step == UPDATES
    assert survivor.result.is_file()
    assert readings(survivor, "eval")[-1]["eval/updates"] == UPDATES


def test_each_death_counts_once(survivor: RunFolder):
    """Ray takes seconds to revive a part; that it does not answer then is the same death."""
    restarts = max(r.get("system/restarts", 0) for r in readings(survivor, "system"))
    assert 2 <= restarts <= len(PARTS)


def test_the_replay_holds_the_active_days_alone(survivor: RunFolder):
    checkpoint = CheckpointManager(str(survivor.checkpoints)).latest()
    assert checkpoint is not None
    active = set(checkpoint.state("rotation.pt")["current"])
    for k in range(2):
        state = checkpoint.state(f"replay-{k}.pt")
        first, last = state["store"]["first"], state["store"]["sequence"]
        slots = [s % len(state["tree"]["bits"]) for s in range(first, last)]
        held = state["tree"]["bits"][slots] != 0
        assert set(state["store"]["segment"][held].tolist()) <= active


def test_a_refit_reached_the_learner(survivor: RunFolder):
    assert len(list(survivor.extractors.iterdir())) >= 2
