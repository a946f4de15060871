"""A cluster of several hosts: start it, run training on it, look at it, end it.

    python -m apex_trader.cluster up     cluster.yaml
    python -m apex_trader.cluster submit cluster.yaml EXPERIMENT [setting=value …]
    python -m apex_trader.cluster attach cluster.yaml     # a shell on the head
    python -m apex_trader.cluster status cluster.yaml     # hosts, resources, runs
    python -m apex_trader.cluster down   cluster.yaml

``make up``, ``make submit`` and so on call this. docs/cluster.md explains the rest.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from apex_trader.errors import ApexError
from apex_trader.runtime.command import run_command
from apex_trader.runtime.compose import check_overrides

#: Where Ray looks for the token on every host.
TOKEN = Path("~/.ray/auth_token")
#: What the cluster files hold where the user has something to fill in.
UNFILLED = ("HEAD_ADDRESS", "WORKER_ADDRESS", "USER", "ami-FILL-IN")
#: Runs on the head's disk, in the home of the cluster's user.
RUNS = "$HOME/apex-runs"
STATUS = (
    "RAY_AUTH_MODE=token ~/apex-venv/bin/ray status; cd ~/apex-runs 2>/dev/null && "
    "for log in */*.log; do run=${log%.log}; if [ -e $run.exit ]; "
    "then echo $run: ended with $(cat $run.exit); "
    "elif kill -0 $(cat $run.pid) 2>/dev/null; then echo $run: running; "
    "else echo $run: lost; fi; done; true"
)


def main() -> None:
    """The command."""
    sys.exit(run_command(lambda: _command(sys.argv[1:])))


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m apex_trader.cluster", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("action", choices=("up", "submit", "attach", "status", "down"))
    parser.add_argument("cluster", help="the cluster's file")
    parser.add_argument("settings", nargs="*", help="submit: experiment, then settings")
    given = parser.parse_args(arguments)
    check_file(given.cluster)
    match given.action:
        case "up":
            ensure_token()
            return _ray("up", "--yes", given.cluster)
        case "submit":
            return _ray("exec", given.cluster, submit_command(given.settings))
        case "status":
            return _ray("exec", given.cluster, STATUS)
        case "down":
            return _ray("down", "--yes", given.cluster)
        case _:
            return _ray("attach", given.cluster)


def check_file(path: str) -> dict[str, Any]:
    """A cluster's file, read. ApexError when there is none, or something is left to fill in."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        content: dict[str, Any] = yaml.safe_load(text)
    except OSError as error:
        raise ApexError(
            f"{path} cannot be read: {error.strerror}. Give cluster.yaml, cluster.onprem.yaml or "
            "a copy of one (CLUSTER=FILE)"
        ) from None
    except yaml.YAMLError as error:
        raise ApexError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or "provider" not in content:
        raise ApexError(f"{path} is no cluster's file: it has no provider")
    left = sorted(_values(content) & set(UNFILLED))
    if left:
        raise ApexError(f"{path} is to be filled in first: {', '.join(left)} (docs/cluster.md)")
    if content["provider"].get("type") == "aws" and importlib.util.find_spec("boto3") is None:
        raise ApexError("AWS needs boto3 on this machine: pip install boto3")
    return content


def _values(content: Any) -> set[str]:
    if isinstance(content, dict):
        return set().union(*map(_values, content.values()))
    if isinstance(content, list):
        return set().union(*map(_values, content))
    return {content} if isinstance(content, str) else set()


def ensure_token(path: Path = TOKEN) -> bool:
    """Make the token that all hosts share, unless there is one; whether it was made.

    Nobody else on this machine may read it, nor one that was there.
    """
    place = path.expanduser()
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        place.chmod(0o600)
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    print(f"made {place}, the token of your clusters", file=sys.stderr)
    return True


def submit_command(settings: Sequence[str], moment: str | None = None) -> str:
    """What the head is told to do for an experiment and further settings.

    moment: names the run's folder, by default the present. ApexError or ConfigError for whatever
    training would refuse.
    """
    if not settings or "=" in settings[0]:
        raise ApexError("which experiment is to run? make submit EXPERIMENT=eth_minutes")
    experiment, *changes = settings
    own = ["cluster.address=auto", "cluster.actor_resource=worker"]
    arguments = [f"+experiment={experiment}", *own, *changes]
    check_overrides(arguments)
    if any(change.startswith(("hydra.", "-")) for change in changes):
        raise ApexError("submit names the run's folder itself: give no hydra.… and no options")
    stamp = moment or time.strftime("%Y-%m-%d_%H-%M-%S")
    run = f'"{RUNS}"/{experiment}/{stamp}'
    return f"bash ~/apex-trader/tools/cluster_run.sh {run} {shlex.join(arguments)}"


def _ray(*arguments: str) -> int:
    """Ray's own command, of this environment."""
    ray = Path(sys.executable).with_name("ray")
    return subprocess.run([str(ray), *arguments], check=False).returncode


if __name__ == "__main__":
    main()
