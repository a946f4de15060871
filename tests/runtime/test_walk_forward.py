"""A walk-forward test from training to its result, stopped and resumed on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from apex_trader.errors import ApexError
from apex_trader.evaluation.ledger import Ledger
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.folds import WalkForwardConfig
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.walk_forward import walk_forward
from apex_trader.train import train

pytestmark = pytest.mark.slow

TWO = WalkForwardConfig(folds=2, share=0.25, embargo=0)


@pytest.fixture(scope="module")
def config(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Config:
    ledger = str(tmp_path_factory.mktemp("ledger"))
    evaluation = replace(tiny.evaluation, ledger=ledger, logistic_days=0)
    periods = replace(tiny.periods, validation=0.25)
    rhythm = replace(tiny.train, updates=10, evaluate_every=10, checkpoint_every=10)
    return replace(tiny, walk_forward=TWO, evaluation=evaluation, periods=periods, train=rhythm)


@pytest.fixture(scope="module")
def finished(config: Config, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Stopped behind its first fold, and resumed."""
    folder = RunFolder(tmp_path_factory.mktemp("walk") / "run")

    def stops(fold: Config, place: RunFolder) -> None:
        if place.path.name == "fold-2":
            raise KeyboardInterrupt
        train(fold, place)

    with pytest.raises(KeyboardInterrupt):
        walk_forward(config, folder, stops, say=lambda text: None)
    assert not folder.result.exists()
    first = (folder.path / "fold-1" / "result.json").stat().st_mtime_ns
    train(replace(config, resume=str(folder.path)), folder)
    assert (folder.path / "fold-1" / "result.json").stat().st_mtime_ns == first
    return folder


def test_every_fold_is_a_run_and_all_are_one_result(finished: RunFolder):
    result = json.loads(finished.result.read_text())
    folds = result["walk_forward"]["folds"]
    assert [fold["run"] for fold in folds] == ["fold-1", "fold-2"]
    assert [fold["tested"] for fold in folds] == ["2024-01-05, 1 day", "2024-01-06, 1 day"]
    assert len(result["walk_forward"]["days"]) == 2
    assert "2 of at least 5 days" in result["evaluation"]["sharpe"]["sharpe"]["missing"]
    alone = [fold["figures"]["agent"]["net_return"] for fold in folds]
    assert 0.0 not in alone, "its agents trade"
    whole = result["backtest"]["agent"]["net_return"]
    assert 1.0 + whole == pytest.approx((1.0 + alone[0]) * (1.0 + alone[1]), rel=1e-6)
    for name in ("fold-1", "fold-2"):
        assert (finished.path / name / "report.html").is_file()
    page = finished.report.read_text(encoding="utf-8")
    assert "Over 2 test days of 2 folds" in page
    assert "walk_forward.folds=2" in page
    assert 'id="spec-folds_equity"' in page


def test_no_fold_knows_the_days_behind_its_test(finished: RunFolder):
    first = load_config(RunFolder.open(finished.path / "fold-1"))
    assert (first.periods.test_start, first.periods.end) == ("2024-01-05", "2024-01-06")
    assert first.walk_forward.folds == 0


def test_the_ledger_knows_one_trial_a_fold_and_one_look_at_each_test(
    config: Config, finished: RunFolder
):
    ledger = Ledger(config.evaluation.ledger)
    trials = ledger.trials(config.market.primary)
    assert len(trials) == 2
    assert len({trial.configuration for trial in trials}) == 1
    days = json.loads(finished.result.read_text())["walk_forward"]["days"]
    touches = ledger.touches(config.market.primary, days)
    assert [len(touch.days) for touch in touches] == [1, 1]


def test_folds_are_not_begun_over_folds(config: Config, finished: RunFolder):
    with pytest.raises(ApexError, match="continue it with resume="):
        train(config, RunFolder(Path(finished.path)))


def test_a_resumed_walk_keeps_its_folds(config: Config, finished: RunFolder):
    other = replace(config, resume=str(finished.path), walk_forward=replace(TWO, share=0.5))
    with pytest.raises(ApexError, match=r"walk_forward\.share"):
        train(other, finished)


def test_folds_of_different_settings_are_not_joined(config: Config, finished: RunFolder):
    faster = replace(config.learner, learning_rate=0.01)
    other = replace(config, resume=str(finished.path), learner=faster)
    before = finished.config.read_bytes()
    with pytest.raises(ApexError, match=r"fold 1 ended with learner\.learning_rate="):
        train(other, finished)
    assert finished.config.read_bytes() == before


def test_a_market_with_too_few_days_for_the_folds_leaves_no_run(config: Config, tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(ApexError, match="days"):
        walk_forward(
            replace(config, walk_forward=replace(TWO, folds=9)), folder, train, say=lambda t: None
        )
    assert not folder.config.exists()
