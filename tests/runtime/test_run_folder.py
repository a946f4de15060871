"""A run's folder: written whole or not at all, and never over another run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.runtime.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.create()
    return made


def begun(folder: RunFolder) -> RunFolder:
    folder.config.write_text("seed: 0\n")
    (folder.checkpoints / "step-000010").mkdir()
    return folder


def test_a_folder_with_a_run_in_it_is_refused_with_the_way_to_continue(folder):
    begun(folder)
    with pytest.raises(
        ApexError, match=f"holds a run already: continue it with resume={folder.path}"
    ):
        RunFolder(folder.path).create()


def test_a_failed_start_does_not_block_the_next_one(folder):
    """Configuration and metrics are there, but nothing to continue from."""
    folder.config.write_text("seed: 0\n")
    folder.metrics.write_text('{"of": "the failed start"}\n')
    again = RunFolder(folder.path)
    folder._lock.close()
    again.create()
    assert not again.metrics.exists()


def test_two_runs_cannot_begin_in_one_folder(folder):
    folder.config.write_text("seed: 0\n")
    folder.metrics.write_text("{}\n")
    with pytest.raises(ApexError, match="another run is beginning"):
        RunFolder(folder.path).create()
    assert folder.metrics.exists()


def test_one_process_at_a_time_goes_on_with_a_run(folder):
    begun(folder)
    with pytest.raises(ApexError, match="going on in"):
        RunFolder.open(folder.path).claim()
    folder.release()
    second = RunFolder.open(folder.path)
    second.claim()
    with pytest.raises(ApexError, match="going on in"):
        folder.claim()
    second.release()
    second.release()
    folder.claim()


def test_opening_says_what_is_wrong(tmp_path):
    with pytest.raises(ApexError, match="does not exist"):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(ApexError, match="holds no run: give the folder"):
        RunFolder.open(tmp_path)


def test_an_existing_run_opens(folder):
    assert RunFolder.open(begun(folder).path).config == folder.config


def test_a_file_is_there_whole_or_as_it_was(folder):
    folder.write_text(folder.result, "first")

    with pytest.raises(UnicodeEncodeError):
        folder.write_text(folder.result, "half \ud800 written")
    assert folder.result.read_text() == "first"
    assert [p.name for p in folder.path.iterdir() if p.name.startswith(".result")] == []


def test_json_has_null_where_it_has_no_number(folder):
    value = {
        "nan": math.nan, "inf": np.float64("inf"), "int": np.int64(3),
        "array": np.array([1.5, np.nan]),
        "nested": {1: (True, None, np.bool_(False))},
    }  # fmt: skip
    folder.write_json(folder.result, value)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    assert json.loads(folder.result.read_text(), parse_constant=refuse) == {
        "nan": None, "inf": None, "int": 3, "array": [1.5, None],
        "nested": {"1": [True, None, False]},
    }  # fmt: skip
    assert folder.read_json(folder.result)["int"] == 3


def test_readings_are_the_whole_lines_of_a_run_that_may_be_writing_one(folder):
    assert folder.readings() == []
    folder.metrics.write_text('{"group": "eval", "eval/updates": 1.0}\n{"group": "ev')
    assert folder.readings() == [{"group": "eval", "eval/updates": 1.0}]
