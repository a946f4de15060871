"""The whole pipeline in one process, from a market to a report: repeatable and resumable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actors.evaluation import Evaluator
from apex_trader.errors import ApexError, ConfigError
from apex_trader.experience import STRATA
from apex_trader.models.falling import falling
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.display import Display
from apex_trader.runtime.load_agent import load_agent
from apex_trader.runtime.rhythm import Rhythm
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.serial import SerialRun
from apex_trader.train import train
from learner.checkpoint import CheckpointManager, CheckpointWarning
from tests.conftest import JUDGED
from tests.runtime.documented import documented, undocumented

pytestmark = pytest.mark.slow

#: Readings that tell of the machine and not of the run.
CLOCKS = ("seconds", "per_second", "cpu_percent", "memory_mb", "time", "wait_share")

Run = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def run(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the tiny configuration, changed, in a new folder."""

    def start(**changes: Any) -> RunFolder:
        place = tmp_path_factory.mktemp("run")
        folder = RunFolder(place / "folder")
        # a ledger of its own: a run knows of others on the same market, and its result says so
        evaluation = replace(tiny.evaluation, ledger=str(place / "ledger"))
        train(replace(tiny, **{"evaluation": evaluation, **changes}), folder)
        return folder

    return start


@pytest.fixture(scope="module")
def finished(run: Run) -> RunFolder:
    """A run that came to its end."""
    return run()


def readings(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def without_clocks(folder: RunFolder) -> list[dict[str, Any]]:
    """All readings, less what differs from one machine or minute to the next."""
    return [
        {k: v for k, v in reading.items() if not k.endswith(CLOCKS)}
        for reading in readings(folder)
        if reading["group"] != "system"
    ]


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    latest = CheckpointManager(str(folder.checkpoints)).latest()
    assert latest is not None
    return latest.state("learner.pt")["network"]


def final(folder: RunFolder) -> int:
    latest = CheckpointManager(str(folder.checkpoints)).latest()
    assert latest is not None
    return int(latest.json("run.json")["updates"])


def test_a_run_leaves_figures_a_report_and_a_checkpoint(finished: RunFolder):
    result = json.loads(finished.result.read_text())
    assert set(result["backtest"]) == JUDGED
    assert result["backtest"]["flat"]["net_return"] == 0.0
    assert result["synthetic"]
    assert any("Synthetic market" in note for note in result["notes"])
    assert finished.report.stat().st_size > 10_000
    assert final(finished) == 40
    assert result["agent"]["checkpoint"] in {p.name for p in finished.checkpoints.iterdir()}
    assert finished.config.is_file()


def test_every_part_of_the_pipeline_was_at_work(finished: RunFolder):
    """Readings of every group, experience of every day, and a learner that learned."""
    found = readings(finished)
    assert {r["group"] for r in found} == {
        "pretrain", "actors", "replay", "learner", "eval", "system",
    }  # fmt: skip
    last = {k: v for reading in found for k, v in reading.items()}
    assert last["learner/updates"] == 40
    assert last["replay/inserted"] >= 128
    assert last["learner/grad_norm"] > 0
    assert last["learner/mirrored_share"] == pytest.approx(0.5, abs=0.1)
    # the last rotation lets a day go
    assert max(r.get("learner/arena_resident", 0) for r in found) >= 2


def test_every_metric_of_the_run_is_explained(finished: RunFolder):
    """And what is explained is there, but for what only Ray has or what need not happen."""
    names = {name for reading in readings(finished) for name in reading if "/" in name}
    assert undocumented(names) == []
    may_lack = {"actors/wait_share", "learner/wait_share", "system/restarts"}
    may_lack |= {f"learner/td_{name}" for name in STRATA}
    may_lack |= {f"actors/action_{name}" for name in ("sell", "buy")}
    may_lack |= {name for name in documented() if name.startswith("stream/")}
    assert documented() - names <= may_lack


def test_the_same_seed_gives_the_same_run(run: Run, finished: RunFolder):
    again = run()
    assert again.result.read_bytes() == finished.result.read_bytes()
    assert without_clocks(again) == without_clocks(finished)
    for name, tensor in weights(finished).items():
        assert torch.equal(tensor, weights(again)[name]), name


Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def watched(run: Run) -> tuple[RunFolder, dict[int, Weights]]:
    """A run of another seed, and the weights that were evaluated on validation, by updates."""
    seen: dict[int, Weights] = {}
    evaluate = Evaluator.evaluate

    def remembering(self: Evaluator, weights: Weights, version: int) -> dict[str, float]:
        seen[version] = {name: tensor.clone() for name, tensor in weights.items()}
        return evaluate(self, weights, version)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "evaluate", remembering)
        return run(seed=1), seen


def equal(one: Weights, other: Weights) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_averaged_weights_choose_the_checkpoint_and_are_what_is_traded(
    watched: tuple[RunFolder, dict[int, Weights]], tiny: Config
):
    folder, seen = watched
    manager, schema = CheckpointManager(str(folder.checkpoints)), tiny.state.build()
    both = [name for name in manager.names() if int(name.removeprefix("step-")) in seen]
    assert both
    for name in both:
        saved = manager.load(name).state("learner.pt")
        assert not equal(saved["average"], saved["network"])
        assert equal(seen[int(name.removeprefix("step-"))], saved["average"])
        assert equal(dict(load_agent(folder, schema, name).weights), saved["average"])


def test_another_seed_gives_another_run(
    watched: tuple[RunFolder, dict[int, Weights]], finished: RunFolder
):
    other = weights(watched[0])
    same = [name for name, tensor in weights(finished).items() if torch.equal(tensor, other[name])]
    assert len(same) < len(other) / 2


def test_a_finished_run_goes_on_with_a_larger_budget(
    run: Run, tiny: Config, monkeypatch: pytest.MonkeyPatch
):
    folder = run(train=replace(tiny.train, updates=20))
    assert final(folder) == 20
    before = readings(folder)
    longer = replace(tiny, train=replace(tiny.train, updates=40), resume=str(folder.path))
    phases = {}
    monkeypatch.setattr(
        Display, "phase", lambda _, name, total, done=0.0: phases.update({name: (total, done)})
    )
    train(longer, folder)
    assert phases["training"] == (40, 20), "the time left is that of what is left"
    assert final(folder) == 40
    after = readings(folder)[len(before) :]
    for axis in ("learner/updates", "actors/decisions", "replay/inserted", "system/seconds"):
        old = max(r[axis] for r in before if axis in r)
        new = [r[axis] for r in after if axis in r]
        assert new == sorted(new), axis
        assert new[0] >= old, f"{axis} counts on"
    rates = [r["learner/updates_per_second"] for r in after if "learner/updates" in r]
    assert rates[0] < 20 * rates[-1], "updates of an earlier sitting do not count as this one's"
    assert not any(r["group"] == "pretrain" for r in after), "the extractor is not fitted again"
    assert "resume: ''" in folder.config.read_text()


def last_rate(folder: RunFolder) -> float:
    """The heads' learning rate in the last update, as a share of the full one."""
    latest = CheckpointManager(str(folder.checkpoints)).latest()
    assert latest is not None
    group = latest.state("learner.pt")["optimizer"]["param_groups"][0]
    return float(group["lr"]) / float(group["full_rate"])


def test_rates_that_fall_over_the_budget_fall_over_that_of_the_resumed_run(run: Run, tiny: Config):
    """As they would have, had it been the budget from the beginning."""
    falls = replace(tiny.learner, decay_updates=None)
    folder = run(learner=falls, train=replace(tiny.train, updates=20))
    assert last_rate(folder) == pytest.approx(falling(19 / 20))
    longer = load_config(folder, ["train.updates=30"])
    train(replace(longer, resume=str(folder.path)), folder)
    assert last_rate(folder) == pytest.approx(falling(29 / 30), rel=1e-6)
    assert falling(29 / 30) > 1.04 * falling(29 / 20)


class _StoppedError(Exception):
    """The process ended here."""


def stop_after_checkpoint(monkeypatch: pytest.MonkeyPatch, at_least: int) -> None:
    """The run is killed at its first checkpoint of that many updates, before anything else."""
    events = SerialRun._events

    def events_and_stop(self: SerialRun, rhythm: Rhythm) -> None:
        events(self, rhythm)
        if self.progress.marks.get("saved", 0) == self.learner.updates >= at_least:
            raise _StoppedError

    monkeypatch.setattr(SerialRun, "_events", events_and_stop)


def test_a_run_killed_after_a_checkpoint_ends_as_if_it_had_not_been(
    tiny: Config, finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Bit for bit: network, replay, accounts and counters go on where they stood."""
    folder = RunFolder(tmp_path / "run")
    evaluation = replace(tiny.evaluation, ledger=str(tmp_path / "ledger"))
    tiny = replace(tiny, evaluation=evaluation)
    with monkeypatch.context() as patch:
        stop_after_checkpoint(patch, at_least=20)
        with pytest.raises(_StoppedError):
            train(tiny, folder)
    assert 20 <= final(folder) < 40
    train(replace(tiny, resume=str(folder.path)), folder)
    assert final(folder) == 40
    expected = weights(finished)
    for name, tensor in weights(folder).items():
        assert torch.equal(tensor, expected[name]), name
    assert folder.result.read_bytes() == finished.result.read_bytes()


def test_a_second_run_in_the_same_folder_is_refused(tiny: Config, finished: RunFolder):
    before = finished.result.read_bytes()
    with pytest.raises(ApexError, match="holds a run already: continue it with resume="):
        train(tiny, RunFolder(finished.path))
    assert finished.result.read_bytes() == before


def test_resuming_where_there_is_no_run_says_so(tiny: Config, tmp_path: Path):
    with pytest.raises(ApexError, match="holds no run"):
        train(replace(tiny, resume=str(tmp_path)), RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_resuming_with_another_state_is_refused(tiny: Config, finished: RunFolder):
    other = replace(tiny.state, without=("regime",))
    config = replace(tiny, state=other, resume=str(finished.path))
    saved = finished.config.read_bytes()
    with pytest.raises(ConfigError, match=r"state\.without.*started with"):
        train(config, RunFolder(finished.path))
    assert finished.config.read_bytes() == saved


def test_a_missing_market_is_said_before_anything_is_made(tiny: Config, tmp_path: Path):
    folder = tmp_path / "runs" / "new"
    missing = replace(tiny.market, store=str(tmp_path / "nowhere"))
    with pytest.raises(ApexError, match="has no synthetic:ETHUSDT"):
        train(replace(tiny, market=missing), RunFolder(folder))
    assert not (tmp_path / "nowhere").exists()
    assert not (folder / "config.yaml").exists()


def all_parts(folder: RunFolder) -> dict[str, Any]:
    """Every state in the latest checkpoint: replay, accounts, random streams, counters."""
    latest = CheckpointManager(str(folder.checkpoints)).latest()
    assert latest is not None
    return {name: latest.state(name) for name in latest.parts if name.endswith(".pt")}


def differing(a: Any, b: Any, place: str = "") -> list[str]:
    """Places where two states differ, but for the seconds they took."""
    if isinstance(a, dict):
        missing = [f"{place}/{key}" for key in a.keys() ^ b.keys()]
        return missing + [d for key in a.keys() & b.keys()
                          for d in differing(a[key], b[key], f"{place}/{key}")]  # fmt: skip
    if isinstance(a, torch.Tensor | np.ndarray):
        return [] if np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) else [place]
    if isinstance(a, list | tuple):
        return [d for x, y in zip(a, b, strict=True) for d in differing(x, y, place)]
    return [] if place.endswith("/seconds") or a == b or (a != a and b != b) else [place]


def test_resuming_is_exact_after_refits_and_rotations_and_with_several_shards(
    tiny: Config, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In every part of the last checkpoint, whichever checkpoint the run went on from."""
    config = replace(
        tiny,
        replay=replace(tiny.replay, shards=3),
        learner=replace(tiny.learner, decay_updates=None),
        train=replace(tiny.train, pretrain_every=15, rotate_every=11, checkpoint_every=7),
    )
    expected = all_parts(run(replay=config.replay, learner=config.learner, train=config.train))
    for at_least in (7, 25):
        folder = RunFolder(tmp_path / str(at_least))
        with monkeypatch.context() as patch:
            stop_after_checkpoint(patch, at_least)
            with pytest.raises(_StoppedError):
                train(config, folder)
        assert at_least <= final(folder) < 40
        train(replace(config, resume=str(folder.path)), folder)
        assert final(folder) == 40, "not an update more than the budget, in the middle of a round"
        assert differing(all_parts(folder), expected) == []


def test_an_arena_too_small_for_the_resident_days_is_refused_before_any_work(
    tiny: Config, tmp_path: Path
):
    small = replace(tiny, learner=replace(tiny.learner, arena_bytes=6_000_000))
    with pytest.raises(ConfigError, match=r"learner\.arena_bytes.*train\.resident_days=2"):
        train(small, RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_run_goes_on_without_its_best_and_its_newest_checkpoint(run: Run, tiny: Config):
    """Someone made room: it resumes from what is whole, and judges what there is at the end."""
    folder = run(train=replace(tiny.train, evaluate_every=10))
    manager = CheckpointManager(str(folder.checkpoints))
    best = manager.best()
    assert best is not None
    names = manager.names()
    (folder.checkpoints / names[-1] / "learner.pt").unlink()
    shutil.rmtree(folder.checkpoints / best.name)
    longer = replace(tiny.train, updates=60)
    with pytest.warns(CheckpointWarning):
        train(replace(tiny, train=longer, resume=str(folder.path)), folder)
    assert final(folder) == 60
    best = manager.best()
    assert best is not None
    assert best.name in manager.names()


def test_the_agent_is_judged_without_one_of_the_cnn_blocks(run: Run, tiny: Config):
    folder = run(state=replace(tiny.state, without=("cnn_hidden",)))
    assert json.loads(folder.result.read_text())["agent"]["extractor"]
