"""What a run on Ray survives: the death of any part, in one run with rotation and a refit.

Nothing here waits for a time: the run goes on until what is told of it has happened.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from apex_trader.runtime.config import Config
from apex_trader.runtime.ray_learner import Learning
from apex_trader.runtime.ray_restarts import Restarts
from apex_trader.runtime.resume import resume_command
from apex_trader.runtime.rhythm import Budget
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.train import train
from learner.checkpoint import CheckpointManager
from tests.runtime.processes import CODES, kill_part, start, wait_for
from tests.runtime.test_ray_run import CLUSTER

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1200)]

#: What Ray calls the process of a part, and what the run does.
PARTS = {
    "RolloutActor": "rollout 0", "ShardActor": "shard", "LearnerActor": "learner",
    "EvaluatorActor": "evaluator", "SegmentServer": "segment server",
    "WeightBoard": "weight board",
}  # fmt: skip
#: Seconds after which a run that should have come to something has hung.
LIMIT = 600.0


@dataclass
class Story:
    """What happened in a run: deaths that it counted, restarts, refits; and whether it is told."""

    folder: RunFolder
    deaths: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    swaps: list[int] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)
    failure: str = ""


def readings(folder: RunFolder, group: str) -> list[dict[str, Any]]:
    if not folder.metrics.exists():
        return []
    lines = folder.metrics.read_text().splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [line for line in found if line["group"] == group]


def until(what: str, happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT
    while not happened():
        if time.monotonic() > limit:
            raise TimeoutError(f"in {LIMIT:g} s there was no {what}")
        time.sleep(0.1)


def kill_each(story: Story) -> None:
    """Kill every part, the next as soon as the last one's death is known; wait for a refit."""
    try:
        until("learning", lambda: len(readings(story.folder, "learner")) >= 2)
        for number, part in enumerate(PARTS, start=1):
            until(part, lambda part=part: kill_part(part))
            until(f"restart of {part}", lambda n=number: len(story.deaths) >= n)
        until("part back", lambda: len(story.back) >= len(PARTS))
        refits = len(story.swaps)
        until("refit after all that", lambda: len(story.swaps) > refits)
        logged = len(readings(story.folder, "system"))
        until("reading after all that", lambda: len(readings(story.folder, "system")) > logged + 1)
    except TimeoutError as error:
        story.failure = str(error)
    finally:
        story.told.set()


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as context:
        yield context


def listen(story: Story, patch: pytest.MonkeyPatch) -> None:
    """Note deaths and refits, and let the run go on until the story is told."""
    lost, back, swapped = Restarts.lost, Restarts.back, Learning._swapped

    def note_lost(self: Restarts, part: str, known: int | None = None) -> bool:
        counted = lost(self, part, known)
        if counted:
            story.deaths.append(part)
        return counted

    def note_back(self: Restarts, part: str) -> None:
        if part in self.down:
            story.back.append(part)
        back(self, part)

    def note_swap(self: Learning, updates: int) -> None:
        story.swaps.append(updates)
        swapped(self, updates)

    patch.setattr(Restarts, "lost", note_lost)
    patch.setattr(Restarts, "back", note_back)
    patch.setattr(Learning, "_swapped", note_swap)
    patch.setattr(Budget, "spent", lambda self, updates: story.told.is_set())


@pytest.fixture(scope="module")
def story(
    tiny: Config, tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch
) -> Story:
    """A run, each of whose parts was killed once."""
    story = Story(RunFolder(tmp_path_factory.mktemp("faults") / "run"))
    listen(story, patch)
    rhythm = replace(
        tiny.train, updates=10_000_000, evaluate_every=200, checkpoint_every=100, rotate_every=50,
        resident_days=1, pretrain_every=250,
    )  # fmt: skip
    killer = threading.Thread(target=kill_each, args=(story,), daemon=True)
    killer.start()
    train(replace(tiny, runtime="ray", cluster=CLUSTER, train=rhythm), story.folder)
    killer.join()
    assert not story.failure
    return story


def test_it_goes_on_to_its_end(story: Story):
    checkpoint = CheckpointManager(str(story.folder.checkpoints)).latest()
    assert checkpoint is not None
    assert story.folder.result.is_file()
    assert readings(story.folder, "learner")[-1]["learner/updates"] == checkpoint.step
    assert readings(story.folder, "eval")[-1]["eval/updates"] == checkpoint.step


def test_each_death_of_each_part_counts_once(story: Story):
    """Ray takes seconds to revive a part; that it does not answer then is the same death."""
    died = [next(p for p in PARTS.values() if part.startswith(p)) for part in story.deaths]
    assert sorted(died) == sorted(PARTS.values())
    logged = [r["system/restarts"] for r in readings(story.folder, "system")
              if "system/restarts" in r]  # fmt: skip
    assert logged == sorted(logged)
    assert logged[-1] == len(PARTS)


def test_the_replay_holds_the_active_days_alone(story: Story):
    checkpoint = CheckpointManager(str(story.folder.checkpoints)).latest()
    assert checkpoint is not None
    active = set(checkpoint.state("rotation.pt")["current"])
    for k in range(2):
        state = checkpoint.state(f"replay-{k}.pt")
        first, last = state["store"]["first"], state["store"]["sequence"]
        slots = [s % len(state["tree"]["bits"]) for s in range(first, last)]
        held = state["tree"]["bits"][slots] != 0
        assert set(state["store"]["segment"][held].tolist()) <= active


def test_a_refit_reached_the_learner(story: Story):
    assert story.swaps
    assert len(list(story.folder.extractors.iterdir())) >= 2


def of_session(leader: int) -> list[str]:
    """Names of the processes that a stopped command left in its session."""
    names = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                names.append(process.name())
        except (psutil.Error, ProcessLookupError):
            continue
    return names


@pytest.mark.parametrize("number", CODES)
def test_a_signal_saves_ends_the_cluster_and_says_how_to_go_on(
    tiny: Config, tmp_path: Path, number: int
):
    """Ctrl-C reaches every process of the terminal; SIGTERM the command alone."""
    config = replace(tiny, runtime="ray", cluster=CLUSTER)
    process, folder = start(config, tmp_path)
    wait_for(process, folder / "metrics.jsonl", "learner")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == CODES[signal.Signals(number)], err
    assert "Traceback" not in err
    latest = CheckpointManager(str(folder / "checkpoints")).latest()
    assert latest is not None
    assert latest.step > 0
    assert f"{folder} holds a checkpoint of update {latest.step:,}" in out
    assert out.rstrip().endswith(f"go on with: {resume_command(folder)}")
    until("end of the cluster", lambda: of_session(process.pid) == [])
    more = replace(tiny.train, updates=latest.step + 20)
    train(replace(tiny, train=more, resume=str(folder)), RunFolder(folder))
    assert (folder / "result.json").is_file()
