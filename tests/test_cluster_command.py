"""The cluster files as Ray reads them, and the command's word on a user's mistakes."""

from __future__ import annotations

import copy
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from apex_trader.cluster import check_file, ensure_token, submit_command
from apex_trader.errors import ApexError, ConfigError

PROJECT = Path(__file__).parents[1]
FILES = ["cluster.yaml", "cluster.onprem.yaml"]


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest) -> Path:
    return PROJECT / request.param


@pytest.fixture
def content(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(.+)$", (PROJECT / "constraints.txt").read_text(), re.M)
    assert found is not None
    return found[1]


def test_ray_takes_the_file(content: dict[str, Any]):
    prepared = prepare_config(copy.deepcopy(content))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]


def test_every_start_command_turns_the_token_on(content: dict[str, Any]):
    for kind in ("head", "worker"):
        commands = content[f"{kind}_start_ray_commands"]
        assert any("ray start" in command for command in commands)
        assert all(c.startswith("export RAY_AUTH_MODE=token;") for c in commands)
    assert content["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_the_dashboard_hears_its_own_host_alone(content: dict[str, Any]):
    assert "--dashboard-host=127.0.0.1" in " ".join(content["head_start_ray_commands"])


def test_ssh_alone_is_open_on_aws():
    group = yaml.safe_load((PROJECT / "cluster.yaml").read_text())["provider"]["security_group"]
    assert {(p["FromPort"], p["ToPort"], p["IpProtocol"]) for p in group["IpPermissions"]} == {
        (22, 22, "tcp")
    }


def test_images_hold_the_ray_and_the_python_that_the_project_is_tested_with():
    docker = yaml.safe_load((PROJECT / "cluster.yaml").read_text())["docker"]
    python = re.search(r'requires-python = ">=3\.(\d+)"', (PROJECT / "pyproject.toml").read_text())
    assert python is not None
    base = f"rayproject/ray:{pinned('ray')}-py3{python[1]}"
    assert docker["head_image"] == f"{base}-gpu"
    assert docker["worker_image"] == f"{base}-cpu"
    assert f"python3.{python[1]}" in (PROJECT / "tools" / "cluster_host.sh").read_text()


def test_workers_are_spot_hosts_that_start_from_none_and_the_head_has_the_gpu():
    types = yaml.safe_load((PROJECT / "cluster.yaml").read_text())["available_node_types"]
    assert types["head"]["resources"]["GPU"] == 1
    assert "worker" not in types["head"]["resources"]
    assert types["worker"]["min_workers"] == 0
    market = types["worker"]["node_config"]["InstanceMarketOptions"]
    assert market == {"MarketType": "spot"}


def test_code_is_mounted_and_nothing_else(content: dict[str, Any]):
    own = {k: v for k, v in content["file_mounts"].items() if k.startswith("~/apex-trader/")}
    assert all((PROJECT / place).exists() for place in own.values())
    assert set(content["file_mounts"]) - set(own) == {"~/.ray/auth_token"}
    assert {"./apex_trader", "./actors", "./learner", "./conf", "./tools"} <= set(own.values())


def test_a_file_that_is_not_filled_in_is_refused(file: Path):
    with pytest.raises(ApexError, match="filled in first"):
        check_file(str(file))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ApexError, match=r"nowhere\.yaml cannot be read"):
        check_file("nowhere.yaml")


def test_a_file_of_something_else_is_refused(tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text("name: eth_full\n")
    with pytest.raises(ApexError, match="no provider"):
        check_file(str(other))


def test_the_token_is_made_once_and_is_nobody_elses(tmp_path: Path):
    token = tmp_path / ".ray" / "auth_token"
    assert ensure_token(token)
    text = token.read_text()
    assert re.fullmatch(r"[0-9a-f]{64}", text)
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    token.chmod(0o644)
    assert not ensure_token(token)
    assert token.read_text() == text
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_what_the_head_is_told_to_run():
    command = submit_command(["eth_minutes", "seed=1", "market.store=s3://bucket/a b"], "now")
    words = shlex.split(command)
    assert words[:2] == ["bash", "~/apex-trader/tools/cluster_run.sh"]
    assert words[2] == "$HOME/apex-runs/eth_minutes/now"
    assert words[3:6] == ["+experiment=eth_minutes", "cluster.address=auto",
                          "cluster.actor_resource=worker"]  # fmt: skip
    assert words[6:] == ["seed=1", "market.store=s3://bucket/a b"]


@pytest.mark.parametrize("settings", [[], ["seed=1"]])
def test_submit_without_an_experiment_is_refused(settings: list[str]):
    with pytest.raises(ApexError, match="which experiment"):
        submit_command(settings)


def test_an_unknown_experiment_or_setting_is_refused_before_anything_is_asked_of_the_cluster():
    with pytest.raises(ConfigError, match="eth_full"):
        submit_command(["eth_ful"])
    with pytest.raises(ConfigError):
        submit_command(["eth_full", "learner.batch=1"])
    with pytest.raises(ApexError, match="names the run's folder itself"):
        submit_command(["eth_full", "hydra.run.dir=here"])


def test_a_mistake_is_one_line_and_exit_code_2():
    done = subprocess.run([sys.executable, "-m", "apex_trader.cluster", "up", "nowhere.yaml"],
                          cwd=PROJECT, text=True, capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: nowhere.yaml cannot be read")
