"""What a sitting writes down of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.resume import recorded_changes
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session
from learner.checkpoint import json_part

ACTOR = {"actors/trades_per_day": 3.0}
SHARD = {"replay/size": 100.0}
LEARNER = {"learner/updates": 7.0, "learner/loss": 0.5}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def logged(config: Config, folder: RunFolder, **parts: Any) -> dict[str, dict[str, Any]]:
    """The readings of one call, by group."""
    with Session(config, folder, config.state.build()) as session:
        session.log_training(Progress(decisions=50, inserted=40), **parts)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    return {line["group"]: line for line in lines}


def test_a_reading_holds_the_figures_of_every_part(tiny: Config, folder: RunFolder):
    found = logged(tiny, folder, actors=[ACTOR, ACTOR], shards=[SHARD, SHARD], learner=LEARNER)
    assert found["actors"]["actors/trades_per_day"] == 3.0
    assert found["actors"]["actors/decisions"] == 50
    assert found["replay"]["replay/size"] == 200
    assert found["learner"]["learner/loss"] == 0.5


def test_a_part_without_figures_has_no_reading(tiny: Config, folder: RunFolder):
    """A row of a step axis alone would be a row of NaN to whoever plots it."""
    found = logged(tiny, folder, actors=[], shards=[SHARD], learner={})
    assert set(found) == {"replay", "system"}


def saved_run(config: Config, folder: RunFolder) -> Config:
    """A run with a checkpoint; the configuration that resumes it."""
    with Session(config, folder, config.state.build()) as session:
        session.checkpoints.save(
            5,
            {"run.json": json_part({"time": 0.0, "updates": 5})},
            {"schema": config.state.build().fingerprint},
        )
    return replace(config, resume=str(folder.path))


def test_a_run_that_is_going_on_cannot_be_resumed_beside_itself(tiny: Config, folder: RunFolder):
    """Each would remove what the other is writing, and cut off its metrics."""
    config = saved_run(tiny, folder)
    left = folder.checkpoints / ".tmp-1-step-000006"
    with Session(config, RunFolder(folder.path), config.state.build()) as first:
        left.mkdir()  # a checkpoint that the first is writing
        with pytest.raises(ApexError, match="going on"):
            Session(config, RunFolder(folder.path), config.state.build())
        assert left.is_dir()
        assert first.sitting == 1
    with Session(config, RunFolder(folder.path), config.state.build()) as then:
        assert then.resumed() is not None


def test_what_a_resumed_run_was_given_anew_is_kept_with_where_it_was(
    tiny: Config, folder: RunFolder
):
    again = saved_run(tiny, folder)
    Session(again, folder, tiny.state.build()).folder.release()
    assert recorded_changes(folder) == []
    faster = replace(again, learner=replace(tiny.learner, learning_rate=0.01))
    Session(faster, folder, tiny.state.build()).folder.release()
    assert recorded_changes(folder) == [(5, ["learner.learning_rate=0.01"])]
    # gone on with it unchanged, it is not told twice
    Session(faster, folder, tiny.state.build()).folder.release()
    assert len(recorded_changes(folder)) == 1


def test_a_budget_below_what_was_done_is_refused_and_leaves_the_run_as_it_was(
    tiny: Config, folder: RunFolder
):
    again = saved_run(tiny, folder)
    before = folder.config.read_bytes()
    less = replace(again, train=replace(tiny.train, updates=4))
    with pytest.raises(ConfigError, match="at least 5, which the run has done"):
        Session(less, folder, tiny.state.build())
    assert folder.config.read_bytes() == before
