"""Results of runs that benchmarks train: read again only where they are of the same run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.trained import result_of

#: A run in miniature: it writes its first word as the result into the folder that it is told.
RUN = (
    "import json, pathlib, sys; place = pathlib.Path(sys.argv[2].partition('=')[2]); "
    "place.mkdir(exist_ok=True); "
    "(place / 'result.json').write_text(json.dumps({'word': sys.argv[1]}))"
)


def command(word: str) -> list[str]:
    return [sys.executable, "-c", RUN, word]


def test_a_result_that_is_there_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "runs" / "market-0"
    assert result_of(command("one"), folder, "first") == {"word": "one"}
    assert "first: exit 0" in capsys.readouterr().out
    assert result_of(command("one"), folder, "first") == {"word": "one"}
    assert capsys.readouterr().out == "", "nothing ran"


def test_a_result_of_other_settings_is_not_taken_for_this_one(tmp_path: Path):
    folder = tmp_path / "market-0"
    result_of(command("one"), folder, "first")
    with pytest.raises(SystemExit, match=r"second.*market-0.*other settings.*one.*folder"):
        result_of(command("two"), folder, "second")


def test_a_run_without_a_result_names_its_log(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"third left no result: see .*market-0\.log"):
        result_of([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "market-0", "third")
