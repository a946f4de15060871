"""The command that builds the W&B workspace, as far as it goes without an account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apex_trader.errors import ApexError
from apex_trader.runtime.config import WandbConfig
from apex_trader.wandb_workspace import Request


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as somebody who is not logged in to W&B."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"),
                    "WANDB_CONFIG_DIR": str(tmp_path)}  # fmt: skip
    command = [sys.executable, "-m", "apex_trader.wandb_workspace", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[1])  # fmt: skip


@pytest.mark.slow
def test_the_views_are_written_without_a_login(tmp_path: Path):
    target = tmp_path / "views.json"
    done = run(tmp_path, "project=mine", "entity=team", f"save={target}")
    assert done.returncode == 0, done.stderr
    views = json.loads(target.read_text(encoding="utf-8"))
    assert [view["displayName"] for view in views] == [
        "Training", "Replay health", "Evaluation", "System"
    ]  # fmt: skip
    assert {(view["entity"], view["project"]) for view in views} == {("team", "mine")}


@pytest.mark.slow
def test_without_a_login_it_says_what_to_do_and_never_asks(tmp_path: Path):
    done = run(tmp_path, "project=mine", "entity=team")
    assert done.returncode == 2
    assert "nobody is logged in to W&B" in done.stderr
    assert "WANDB_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_understood_is_said():
    with pytest.raises(ApexError, match="is not understood"):
        Request.parse(["projct=mine"])
    with pytest.raises(ApexError, match="project"):
        Request.parse(["project="])
    assert Request.parse([]).project == WandbConfig().project, "that of runs"
