"""The dashboard's command line: what it takes, and what it says of a mistake."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from apex_trader.dashboard import Request
from apex_trader.errors import ApexError, ConfigError


def test_words():
    request = Request.parse(["run=a", "port=0", "host=0.0.0.0", "refresh=0.5"])
    assert request == Request("a", "0.0.0.0", 0, 0.5)
    assert Request.parse(["run=a"]) == Request("a", "127.0.0.1", 8050, 2.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "run"),
        (["run=a", "port=http"], "port"),
        (["run=a", "port=70000"], "port"),
        (["run=a", "refresh=0"], "refresh"),
        (["run=a", "refresh=soon"], "refresh"),
        (["run=a", "prot=1"], "did you mean port"),
        (["run=a", "risk.drawdown=0.1"], "changes nothing here"),
        (["a"], "name=value"),
    ],
)
def test_mistakes_are_named(words: list[str], said: str):
    with pytest.raises((ApexError, ConfigError), match=said):
        Request.parse(words)


@pytest.mark.slow
def test_a_folder_that_is_no_run_ends_with_one_line(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "apex_trader.dashboard", f"run={tmp_path}", "port=0"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "neither a run nor a trading run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_it_serves_until_it_is_interrupted_and_warns_where_others_can_look(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("name: x\n")
    words = [f"run={tmp_path}", "port=0", "host=0.0.0.0"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "apex_trader.dashboard", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # whoever was begun in the background has Ctrl-C ignored, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[0].startswith("warning: whoever can reach 0.0.0.0")
        port = int(lines[2].split("0.0.0.0:")[1].split("/")[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            assert b"apex-trader" in answer.read()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "ended" in out
        assert "Traceback" not in err
    finally:
        process.kill()
