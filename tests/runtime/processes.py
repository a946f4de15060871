"""Processes of a run, to be stopped from outside: the training command, parts of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from apex_trader.runtime.compose import save_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.run_folder import RunFolder

PROJECT = Path(__file__).parents[2]
#: Signal → exit code of a run that it stopped.
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def start(config: Config, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """The training command on a configuration that takes hours, as its own process group."""
    endless = replace(config.train, updates=10_000_000, checkpoint_every=1_000_000,
                      evaluate_every=1_000_000)  # fmt: skip
    prepared = RunFolder(folder / "run")
    prepared.create()
    save_config(prepared, replace(config, train=endless))
    code = (
        "import sys; from apex_trader.runtime.command import run_command;"
        "from apex_trader.runtime.compose import load_config;"
        "from apex_trader.runtime.run_folder import RunFolder; from apex_trader.train import train;"
        "run = RunFolder(sys.argv[1]);"
        "sys.exit(run_command(lambda: train(load_config(run), run)))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(prepared.path)], cwd=PROJECT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    return process, prepared.path


def wait_for(process: subprocess.Popen[str], metrics: Path, group: str) -> None:
    """Until the run has logged a reading of that group."""
    while process.poll() is None:
        if metrics.exists() and f'"group": "{group}"' in metrics.read_text():
            return
        time.sleep(0.05)
    pytest.fail(f"the run ended by itself: {process.communicate()}")


def kill_part(part: str) -> bool:
    """SIGKILL to one of the processes of a part that this test's own cluster started."""
    for process in psutil.Process().children(recursive=True):
        try:
            if f"ray::{part}" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                return True
        except (psutil.Error, ProcessLookupError):
            continue
    return False
