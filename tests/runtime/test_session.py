"""What a sitting writes down of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apex_trader.runtime.config import Config
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session

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
