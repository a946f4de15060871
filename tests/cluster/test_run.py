"""A cluster of three hosts: who may join, where a run's parts live, and what a lost host costs."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.cluster.hosts import HOME
from tests.conftest import SMALL

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]

SETTINGS = [
    *SMALL[2:], "periods.test=0.17", f"market.store={HOME}/market", "cluster.actors=2",
    "cluster.actor_cpus=0.5", "cluster.shard_cpus=0.1", "cluster.learner_cpus=0.5",
    "train={updates: 100000000, seconds: 45, evaluate_every: 100000, checkpoint_every: 2000}",
    "train.rotate_every=100000",
]  # fmt: skip


def test_a_worker_with_another_token_is_refused(cluster: Cluster):
    command = (
        f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN={'0' * 64} timeout 60 "
        f"~/apex-venv/bin/ray start --address={cluster.hosts.address(1)}:6379"
    )
    refused = cluster.hosts.run(3, command, timeout=90)
    assert refused.returncode != 0
    assert "InvalidAuthToken" in refused.stdout + refused.stderr


def test_nobody_else_can_read_the_token_of_a_host(cluster: Cluster):
    for host in (1, 2, 3):
        assert cluster.hosts.run(host, "stat -c %a ~/.ray/auth_token").stdout == "600\n"


def test_a_run_rolls_out_on_the_workers_and_outlives_one_of_them(
    cluster: Cluster, small_market: Path
):
    shutil.copytree(small_market, cluster.hosts.disk(1) / "market")  # the head alone has the data
    run = cluster.start("submit", str(cluster.file), "quickstart", *SETTINGS)
    try:
        _until(run, "rollout on each worker", lambda: all(_rollouts(cluster, k) for k in (2, 3)))
        assert not _rollouts(cluster, 1)
        folder = next(cluster.hosts.disk(1).glob("apex-runs/quickstart/*.log")).with_suffix("")
        metrics = folder / "metrics.jsonl"
        _until(run, "learning", lambda: metrics.exists() and '"learner"' in metrics.read_text())
        cluster.hosts.power_off(3)
        out, _ = run.communicate(timeout=400)
    finally:
        run.kill()
    assert run.returncode == 0, out[-4000:]
    assert json.loads((folder / "result.json").read_text())["runtime"] == "ray"
    assert "rollout" in out
    assert "died and is started again" in out


def _rollouts(cluster: Cluster, host: int) -> int:
    found = cluster.hosts.run(host, "ps -eo args").stdout.splitlines()
    return sum(line.startswith("ray::RolloutActor") for line in found)


def _until(run: subprocess.Popen[str], what: str, happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + 240
    while not happened():
        assert run.poll() is None, run.communicate()[0][-4000:]
        assert time.monotonic() < limit, f"no {what}"
        time.sleep(1)
