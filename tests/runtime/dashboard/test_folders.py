"""Which trading run is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apex_trader.errors import ApexError
from apex_trader.runtime.dashboard.board import Board
from apex_trader.runtime.dashboard.folders import watched
from apex_trader.runtime.trade_session import TradeFolder
from tests.runtime.dashboard.conftest import begin_run


def test_a_run_shows_the_trading_run_that_was_begun_last(tmp_path: Path):
    first = begin_run(tmp_path, "b")
    known = watched(tmp_path)
    assert known.current() == first
    second = begin_run(tmp_path, "a")
    os.utime(second.about, (first.about.stat().st_mtime + 5,) * 2)
    (tmp_path / "trades" / "empty").mkdir()
    assert known.current() == second
    assert watched(first.path).current() == first


def test_a_run_without_trading_runs_waits_for_one(tmp_path: Path):
    begin_run(tmp_path / "other")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("name: x\n")
    board = Board(watched(tmp_path / "run"))
    with board.look() as standing:
        assert standing.view is None
        assert not standing.error
        nothing = standing.version
    begun = begin_run(tmp_path / "run")
    with board.look() as standing:
        assert standing.view is not None
        assert standing.view.folder == begun
        assert standing.version != nothing


def test_a_folder_that_is_none_is_named_with_what_to_give(tmp_path: Path):
    with pytest.raises(ApexError, match="neither a run nor a trading run: give"):
        watched(tmp_path)
    with pytest.raises(ApexError, match="does not exist"):
        watched(tmp_path / "nowhere")


def test_what_cannot_be_read_is_said_and_looked_at_again(folder: TradeFolder):
    board, about = Board(watched(folder.path)), folder.about.read_text()
    folder.about.write_text(about[:20])
    with board.look() as standing:
        assert standing.view is None
        assert "trade.json" in standing.error
    folder.about.write_text(about)
    with board.look() as standing:
        assert standing.view is not None
        version = standing.version
    with board.look() as standing:
        assert standing.version == version


def test_a_run_that_begins_anew_in_the_same_folder_is_shown_anew(folder: TradeFolder):
    board = Board(watched(folder.path))
    with board.look() as standing:
        assert standing.view is not None
        assert len(standing.view.decisions) > 0
    for path in folder.journal.iterdir():
        path.unlink()
    fresh = folder.about.with_name("new")
    fresh.write_text(folder.about.read_text())
    fresh.rename(folder.about)
    with board.look() as standing:
        assert standing.view is not None
        assert len(standing.view.decisions) == 0
