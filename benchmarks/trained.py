"""Runs of ``train``, each in a process and a folder of its own."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

#: What every run has: one process, nothing sent anywhere.
ALONE = ("runtime=serial", "wandb.mode=disabled")


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
