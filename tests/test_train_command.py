"""The training command as a stranger types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apex_trader import train
from apex_trader.runtime.compose import compose_config, save_config
from apex_trader.runtime.run_folder import RunFolder
from tests.conftest import SMALL

PROJECT = Path(__file__).parents[1]


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """Exit code of the command, started in an empty folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    with pytest.raises(SystemExit) as caught:
        train.main()
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["+experiment=quikstart"], "did you mean quickstart"),
        (["learner.batchsize=3"], "did you mean learner.batch_size"),
        (["+experiment=quickstart", "state.schema=eth_ful"], "one of eth_full, eth_minutes"),
        (["+experiment=quickstart", "trading.fee=-1"], "trading.fee=-1"),
        (["+experiment=quickstart", "seed=x"], "seed='x' cannot be used: a whole number"),
        (["+experiment=quickstart", "learner.batch_size=abc"], "a whole number"),
        (["quickstart"], "+experiment=quickstart"),
        (["resume=nowhere"], "nowhere holds no run (the folder does not exist)"),
        (["seed=1,2"], "add -m"),
    ],
)
def test_a_mistake_ends_in_one_line_and_leaves_nothing_behind(
    arguments, said, tmp_path, monkeypatch, capsys
):
    assert command(arguments, monkeypatch, tmp_path) == 2
    out = capsys.readouterr()
    assert out.err.startswith("error: ")
    assert said in out.err
    assert out.err.count("\n") == 1
    assert out.out == ""
    assert list(tmp_path.iterdir()) == []


def test_changes_on_resume_are_checked_against_the_runs_own_settings(tmp_path, monkeypatch, capsys):
    """128 is the run's batch size; against the defaults alone it would be refused."""
    run = RunFolder(tmp_path / "run")
    run.create()
    save_config(run, compose_config(["+experiment=quickstart"]))
    from apex_trader.runtime.compose import check_overrides

    check_overrides([f"resume={run.path}", "learner.batch_size=128"])
    assert command([f"resume={run.path}", "learner.batch_size=64"], monkeypatch, tmp_path) == 2
    assert "replay.batch_size=128" in capsys.readouterr().err


def started(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, "-m", "apex_trader.train", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["+experiment=eth_minutes", "hydra.run.dir=mine"], ["resume=run", "market.synthetic=''"]],
)
def test_a_market_that_is_not_there_is_said_in_one_line_and_nothing_is_made(words, tmp_path):
    """In a process of its own: Hydra takes its process's logging over."""
    run = RunFolder(tmp_path / "run")
    run.create()
    save_config(run, compose_config(["+experiment=quickstart"]))
    before = sorted(tmp_path.rglob("*"))
    done = started([*words, "market.store=nowhere"], tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "market store nowhere has no" in done.stderr
    assert "python -m apex_trader.data import" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_help_shows_how_to_run_it_and_what_can_be_set(tmp_path):
    done = started(["--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("+experiment=quickstart", "resume=", "seed=", "learner:", "batch_size:"):
        assert text in done.stdout, text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_comes_to_its_report(small_market, tmp_path):
    """From the command line to result.json and a page that tells how to make them again."""
    folder = tmp_path / "run"
    arguments = [*SMALL, f"market.store={small_market}", f"hydra.run.dir={folder}"]
    done = started(arguments, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    run = RunFolder(folder)
    assert run.result.exists()
    assert "python -m apex_trader.train" in run.report.read_text()
