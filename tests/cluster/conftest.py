"""A cluster of three hosts, brought up by cluster.onprem.yaml as a user would fill it in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from apex_trader.cluster import ensure_token
from tests.cluster.hosts import PROJECT, Hosts, hosts, missing

#: Seconds that the workers may take to join.
JOIN_LIMIT = 240.0


@dataclass
class Cluster:
    """file: filled in. home: of the user who brought it up. hosts: 1 is the head."""

    file: Path
    home: Path
    hosts: Hosts

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``python -m apex_trader.cluster`` with the user's home."""
        return subprocess.Popen(
            [sys.executable, "-m", "apex_trader.cluster", *arguments], cwd=PROJECT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(self.home)},
        )  # fmt: skip

    def on_head(self, command: str) -> str:
        """What a command with the token prints on the head."""
        return self.hosts.run(1, f"export RAY_AUTH_MODE=token; {command} 2>&1").stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with hosts(3) as made:
        yield _bring_up(made)


def _bring_up(made: Hosts) -> Cluster:
    text = (PROJECT / "cluster.onprem.yaml").read_text()
    for blank, value in {
        "HEAD_ADDRESS": made.address(1), "WORKER_ADDRESS": f"{made.address(2)}, {made.address(3)}",
        "USER": "root", "~/.ssh/id_ed25519": str(made.key),
    }.items():  # fmt: skip
        text = text.replace(f" {blank}\n", f" {value}\n").replace(f"[{blank}]", f"[{value}]")
    home = made.folder / "user"
    ensure_token(home / ".ray" / "auth_token")
    file = made.folder / "cluster.yaml"
    file.write_text(text.replace("apex-trader-onprem", made.tag))
    cluster = Cluster(file, home, made)
    process = cluster.start("up", str(file))
    out, _ = process.communicate(timeout=180)
    assert process.returncode == 0, out
    until = time.monotonic() + JOIN_LIMIT
    while "/2000.0 worker" not in (status := cluster.on_head("~/apex-venv/bin/ray status")):
        assert time.monotonic() < until, status
        time.sleep(2)
    return cluster
