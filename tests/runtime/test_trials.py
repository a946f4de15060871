"""What a run notes of itself, and what the next one is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apex_trader.evaluation.ledger import Ledger
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.trips import TRIP
from apex_trader.runtime.config import Config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trials import SEEN, configuration_hash, look, note_touch, trial_id
from apex_trader.time import DAY, parse_time

FIRST = parse_time("2024-01-01")
DAYS = [FIRST + k * DAY for k in range(4)]


def record(days: list[int]) -> Record:
    """One decision a day."""
    n, ts = np.zeros(len(days)), np.array(days, np.int64)
    return Record("agent", ts, n, n.astype(np.uint8), n, n + 1.0, n + 1.0, n, n, n, n > 0,
                  n.astype(np.int32), {}, np.zeros(0, TRIP))  # fmt: skip


@pytest.fixture
def config(tiny: Config, tmp_path: Path) -> Config:
    return replace(tiny, evaluation=replace(tiny.evaluation, ledger=str(tmp_path / "ledger")))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def test_a_configuration_is_what_is_learned_from_not_where_or_by_which_luck(tiny: Config):
    same = [
        replace(tiny, seed=9, name="other", runtime="ray"),
        replace(tiny, market=replace(tiny.market, store="elsewhere")),
        replace(tiny, periods=replace(tiny.periods, test=0.3)),
    ]
    assert {configuration_hash(c) for c in same} == {configuration_hash(tiny)}
    other = [
        replace(tiny, trading=replace(tiny.trading, fee=0.01)),
        replace(tiny, learner=replace(tiny.learner, learning_rate=0.1)),
        replace(tiny, market=replace(tiny.market, reference="")),
    ]
    assert len({configuration_hash(c) for c in [tiny, *other]}) == 4


def test_a_run_keeps_its_id(folder: RunFolder):
    assert trial_id(folder) == "run"
    made = trial_id(folder, make=True)
    assert made == trial_id(folder) == trial_id(folder, make=True)


def test_a_second_look_is_told_of_the_first(config: Config, folder: RunFolder):
    first = look(config, folder, DAYS, used=[])
    assert first.notes == []
    assert note_touch(first, config, folder, "best", record(DAYS[:2]), [], "train") == []
    second = look(config, folder, DAYS, used=[])
    (note,) = second.notes
    assert note.startswith(f"{SEEN}: 2024-01-01 … 2024-01-02, 2 days of the 4 judged")
    assert [t["command"] for t in second.describe()["touches_before"]] == ["train"]
    assert look(config, folder, DAYS[2:], used=[]).notes == []


def test_days_that_the_run_was_made_with_are_no_test(config: Config, folder: RunFolder):
    looks = look(config, folder, DAYS, used=DAYS)
    assert note_touch(looks, config, folder, "best", record(DAYS), DAYS, "backtest") == []
    ledger = Ledger(config.evaluation.ledger)
    assert ledger.touches(config.market.primary, DAYS) == []
    note_touch(looks, config, folder, "best", record(DAYS), DAYS[:3], "backtest")
    (touch,) = ledger.touches(config.market.primary, DAYS)
    assert touch.days == (DAYS[3],)


def test_a_ledger_that_cannot_be_written_is_said_and_stops_nothing(
    config: Config, folder: RunFolder, tmp_path: Path
):
    (tmp_path / "ledger").write_text("a file, not a folder")
    looks = look(config, folder, DAYS, used=[])
    (note,) = note_touch(looks, config, folder, "best", record(DAYS), [], "train")
    assert "Not in the ledger" in note
    assert "evaluation.ledger" in note
