"""Ctrl-C and SIGTERM: the first saves and ends, the second ends at once, and says how to go on."""

from __future__ import annotations

import os
import shlex
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from apex_trader.runtime.config import Config
from apex_trader.runtime.resume import resume_command
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.serial import SerialRun
from apex_trader.runtime.stop import Stopped, StopSignals
from apex_trader.train import train
from learner.checkpoint import CheckpointManager
from tests.runtime.processes import CODES, start, wait_for


@pytest.fixture(autouse=True)
def signals_are_heard():
    """Whoever started the tests in the background made them deaf to Ctrl-C, as shells do, and Ray
    leaves a handler of its own where another test has run it."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def signals():
    stop = StopSignals()
    stop.install()
    yield stop
    stop.restore()


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # Python runs the handler between two instructions


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_what_has_nothing_to_save(signals: StopSignals, number: int):
    with pytest.raises(Stopped) as stopped:
        send(number)
    assert stopped.value.code == CODES[signal.Signals(number)]


@pytest.mark.parametrize("number", CODES)
def test_the_first_signal_lets_work_come_to_a_state_worth_saving(
    signals: StopSignals, number: int, capfd: pytest.CaptureFixture[str]
):
    saved = []

    def work() -> None:
        with signals.deferred():
            send(number)
            saved.append(signals.requested)

    with pytest.raises(Stopped):
        work()
    assert saved == [number]
    assert "once more ends at once" in capfd.readouterr().err


def test_a_second_signal_ends_at_once_and_a_third_is_the_systems(signals: StopSignals):
    def work() -> None:
        with signals.deferred():
            send(signal.SIGINT)
            send(signal.SIGTERM)
            pytest.fail("the work went on")

    with pytest.raises(Stopped) as stopped:
        work()
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_error_of_the_work_is_not_hidden_by_a_signal(signals: StopSignals):
    def work() -> None:
        with signals.deferred():
            send(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def test_the_signals_go_back_to_whom_they_belonged():
    before = {number: signal.getsignal(number) for number in CODES}
    stop = StopSignals()
    stop.install()
    signal.signal(signal.SIGTERM, lambda *_: None)  # as ray.init does
    stop.install()
    with pytest.raises(Stopped):
        send(signal.SIGTERM)
    assert {number: signal.getsignal(number) for number in CODES} == before


def test_a_signal_that_the_shell_ignores_stays_ignored(monkeypatch: pytest.MonkeyPatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stop = StopSignals()
        stop.install()
        send(signal.SIGINT)
        stop.restore()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_is_taken_over():
    before = signal.getsignal(signal.SIGINT)
    worker = threading.Thread(target=StopSignals().install)
    worker.start()
    worker.join()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("name", ["mine", "my runs/a,b", "it's", "seed=1", "100%", "a b's\\c", "ü"])
def test_the_command_that_goes_on_survives_shell_and_hydra(tmp_path: Path, name: str):
    words = shlex.split(resume_command(tmp_path / name))
    assert words[:3] == ["python", "-m", "apex_trader.train"]
    (override,) = OverridesParser.create().parse_overrides(words[3:])
    assert override.key_or_group == "resume"
    assert override.value() == str(tmp_path / name)


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    latest = CheckpointManager(str(folder.checkpoints)).latest()
    assert latest is not None
    return latest.state("learner.pt")["network"]


def alone(config: Config, ledger: Path) -> Config:
    """With a ledger of its own: one run's look at the test days is not told to the other."""
    return replace(config, evaluation=replace(config.evaluation, ledger=str(ledger)))


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 13])
def test_a_stopped_run_goes_on_to_the_same_end(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
):
    """Also where it had not made an update yet: then its extractor is what is saved."""
    whole, folder = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    train(alone(tiny, tmp_path / "one"), whole)
    tiny = alone(tiny, tmp_path / "other")
    collect = SerialRun._collect

    def collect_and_signal(self: SerialRun) -> None:
        collect(self)
        if self.learner.updates >= at and self.session.stop.requested is None:
            send(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(SerialRun, "_collect", collect_and_signal)
        with pytest.raises(Stopped):
            train(tiny, folder)
    latest = CheckpointManager(str(folder.checkpoints)).latest()
    assert latest is not None
    assert at <= latest.step < 40
    assert latest.json("run.json")["sitting"] == 0
    assert not folder.result.exists()
    train(replace(tiny, resume=str(folder.path)), folder)
    resumed = CheckpointManager(str(folder.checkpoints)).latest()
    assert resumed is not None
    assert resumed.json("run.json")["sitting"] == 1
    expected = weights(whole)
    for name, tensor in weights(folder).items():
        assert torch.equal(tensor, expected[name]), name
    assert folder.result.read_bytes() == whole.result.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", CODES)
def test_a_signal_saves_ends_and_says_how_to_go_on(tiny: Config, tmp_path: Path, number: int):
    process, folder = start(tiny, tmp_path)
    wait_for(process, folder / "metrics.jsonl", "learner")
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == CODES[signal.Signals(number)], err
    assert "Traceback" not in err
    latest = CheckpointManager(str(folder / "checkpoints")).latest()
    assert latest is not None
    assert f"{folder} holds a checkpoint of update {latest.step:,}" in out
    assert out.rstrip().endswith(f"go on with: {resume_command(folder)}")


@pytest.mark.slow
def test_stopped_while_the_extractor_is_fitted_there_is_nothing_to_go_on_from(
    tiny: Config, tmp_path: Path
):
    long = replace(tiny, pretrain=replace(tiny.pretrain, steps=1_000_000))
    process, folder = start(long, tmp_path)
    wait_for(process, folder / "metrics.jsonl", "pretrain")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert f"stopped before the first checkpoint: begin anew in {folder}" in out
