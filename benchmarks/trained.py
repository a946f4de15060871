"""Runs of ``train``, each in a process and a folder of its own."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

#: What every run has: one process, nothing sent anywhere.
ALONE = ("runtime=serial", "wandb.mode=disabled")


class TrainedRun(Protocol):
    """One run of a benchmark's table."""

    def result(self) -> dict[str, Any]:
        """What it wrote at its end; made first, where it is not there."""
        ...


def add_run_options(parser: argparse.ArgumentParser, folder: str) -> None:
    """How the runs are made and where they lie, by default in ``folder``."""
    parser.add_argument("--jobs", type=int, default=2, help="runs beside each other")
    parser.add_argument("--folder", type=Path, default=Path(folder))
    parser.add_argument("--set", nargs="*", default=(), help="settings of the runs, name=value")


def results_of(runs: Sequence[TrainedRun], jobs: int) -> list[dict[str, Any]]:
    """Every run's result, ``jobs`` of them made at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda run: run.result(), runs))


def result_of(command: list[str], folder: Path, name: str) -> dict[str, Any]:
    """What a run wrote at its end into its folder; it is made first, where that is not there.

    command: with its program and all settings but the folder. It goes to a log beside the folder,
    and what the run prints. SystemExit, naming the log, when the run leaves no result, or when the
    one that is there is of another command.
    """
    path, words = folder.absolute() / "result.json", folder.absolute().with_suffix(".log")
    asked = f"$ {shlex.join(command[1:])}"
    if path.exists():
        _check_same(asked, words, name)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        with words.open("w") as log:
            print(asked, file=log, flush=True)
            done = subprocess.run(
                [*command, f"hydra.run.dir={path.parent}"], stdout=log, stderr=log, check=False
            )
        print(f"{name}: exit {done.returncode}, {time.perf_counter() - started:.0f} s", flush=True)
        if not path.exists():
            raise SystemExit(f"{name} left no result: see {words}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _check_same(asked: str, words: Path, name: str) -> None:
    """SystemExit when the log begins with another command than the one that is asked for."""
    first = words.read_text().partition("\n")[0] if words.exists() else ""
    if first.startswith("$ ") and first != asked:
        raise SystemExit(
            f"{name}: the result beside {words} was made with other settings ({first[2:]}): choose "
            "another --folder, or remove it"
        )
