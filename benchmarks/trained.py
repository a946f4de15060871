"""Runs of ``train``, each in a process and a folder of its own."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

#: What every run has: one process, nothing sent anywhere.
ALONE = ("runtime=serial", "wandb.mode=disabled")


def result_of(command: list[str], folder: Path, name: str) -> dict[str, Any]:
    """What a run wrote at its end into its folder; it is made first, where that is not there.

    command: with its program and all settings but the folder. What it prints goes to a log beside
    the folder. SystemExit, naming the log, when it leaves no result.
    """
    path = folder.absolute() / "result.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        words = folder.absolute().with_suffix(".log")
        started = time.perf_counter()
        with words.open("w") as log:
            done = subprocess.run(
                [*command, f"hydra.run.dir={path.parent}"], stdout=log, stderr=log, check=False
            )
        print(f"{name}: exit {done.returncode}, {time.perf_counter() - started:.0f} s", flush=True)
        if not path.exists():
            raise SystemExit(f"{name} left no result: see {words}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found
