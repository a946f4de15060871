"""A run calibrates confidence on days that chose nothing, and backtests use what it kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import apex_trader
from apex_trader.errors import ApexError, MismatchError
from apex_trader.evaluation.confidence.confidence import Calibrated, Uncalibrated
from apex_trader.runtime.calibration import (
    calibrate_agent,
    confidence_file,
    confidence_of,
    load_confidence,
    save_confidence,
    unfit_days,
    weights_digest,
)
from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.time import DAY, parse_time
from apex_trader.train import train
from tests.conftest import SMALL

FIRST = parse_time("2024-01-01")
#: Of seven days: extractor, agent, one to choose on, three to calibrate on, test.
CALIBRATED = [
    *SMALL,
    "periods={extractor: 0.5, validation: 0.5, calibration: 0.67, test: 0.17}",
    "train={updates: 20, evaluate_every: 10, checkpoint_every: 10, resident_days: 1}",
    "confidence={horizon: 20, min_days: 2, min_orders: 1, draws: 100, gate: 0.55}",
    "trading.fee=0.000001",  # so that an agent that has learned next to nothing trades
]


@pytest.fixture(scope="module")
def run(small_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that came to its end, with a calibration. Nobody may change it."""
    config = compose_config(CALIBRATED)
    config = replace(config, market=replace(config.market, store=str(small_market)))
    folder = tmp_path_factory.mktemp("calibrated") / "run"
    train(config, RunFolder(folder))
    return folder


@pytest.fixture(scope="module")
def loaded(run: Path) -> apex_trader.run.Run:
    return apex_trader.load_run(run)


def test_result_shows_gated_and_ungated_side_by_side_and_which_days_served_what(run):
    result = json.loads((run / "result.json").read_text())
    assert list(result["backtest"])[:2] == ["agent", "agent, gated"]
    agent, gated = result["backtest"]["agent"], result["backtest"]["agent, gated"]
    assert gated["exposure"] <= agent["exposure"]
    confidence = result["confidence"]
    assert confidence["calibrated"]
    assert (confidence["gate"], confidence["horizon_decisions"]) == (0.55, 20)
    fitted = confidence["fitted"]
    first, *_, last = fitted["days"]
    assert result["periods"]["calibration"] == f"{first} … {last}, 3 days"
    assert result["periods"]["validation"].endswith("1 day")
    assert confidence["passed"] <= confidence["asked"]
    assert "agent, gated" in (run / "report.html").read_text()


def test_calibration_days_chose_no_checkpoint(run, loaded):
    chosen = loaded.data.evaluation_numbers()
    calibrated = loaded.data.numbers(loaded.data.periods.calibration)
    assert len(chosen) == 1
    assert len(calibrated) == 3
    assert not set(chosen) & set(calibrated)
    evaluations = [
        json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()
        if '"eval"' in line
    ]  # fmt: skip
    assert {e["eval/episodes"] for e in evaluations} == {1.0}


def test_a_backtest_uses_the_runs_own_calibration_and_calibrates_anew_for_other_costs(loaded):
    data, trading, folder = loaded.data, loaded.data.trading, loaded.folder
    saved = load_confidence(folder, data, loaded.agent)
    assert isinstance(saved, Calibrated)
    assert confidence_of(loaded.config, data, loaded.agent, trading, folder) == saved
    assert calibrate_agent(loaded.config, data, loaded.agent, trading) == saved
    dear = replace(trading, fee=0.002)
    other = confidence_of(loaded.config, data, loaded.agent, dear, folder)
    assert isinstance(other, Calibrated)
    assert other.confidence.conditions["trading"]["fee"] == 0.002
    assert load_confidence(folder, data, loaded.agent) == saved


def test_a_backtest_judges_the_gate_again(loaded):
    judged = loaded.backtest()
    result = loaded.result["backtest"]["agent, gated"]
    assert judged["figures"]["agent, gated"]["net_return"] == pytest.approx(result["net_return"])
    open_gate = loaded.backtest(**{"confidence.gate": 0.0})["records"]
    assert (open_gate["agent, gated"].equity == open_gate["agent"].equity).all()


def test_a_calibration_of_other_weights_is_an_error(loaded, tmp_path):
    saved = load_confidence(loaded.folder, loaded.data, loaded.agent)
    assert saved is not None
    elsewhere = RunFolder(tmp_path)
    save_confidence(elsewhere, saved)
    assert load_confidence(elsewhere, loaded.data, loaded.agent) == saved
    weights = {name: value + 1.0 for name, value in loaded.agent.weights.items()}
    changed = replace(loaded.agent, weights=weights)
    with pytest.raises(MismatchError, match=r"step-.*\.json was calibrated for weights"):
        load_confidence(elsewhere, loaded.data, changed)
    confidence_file(elsewhere, loaded.agent.checkpoint).write_text("{")
    with pytest.raises(ApexError, match="cannot be read"):
        load_confidence(elsewhere, loaded.data, loaded.agent)


def test_a_run_with_one_validation_day_says_that_nothing_was_calibrated(small_run):
    result = json.loads((small_run / "result.json").read_text())
    assert result["confidence"]["calibrated"] is False
    assert "no validation day was kept for it" in result["confidence"]["reason"]
    assert any("No order was refused" in note for note in result["notes"])
    assert "agent, gated" not in result["backtest"]
    assert not (small_run / "confidence").exists()


@pytest.mark.parametrize("part", ["extractor", "agent", "validation", "test"])
def test_days_that_served_anything_else_calibrate_nothing(part):
    days = (FIRST, FIRST + DAY)
    assert unfit_days(days, Agent({}, None, 1, "step-000001", {})) == ""
    used = Agent({}, None, 1, "step-000001", {part: [FIRST]})
    assert unfit_days(days, used) == f"the run used 2024-01-01, 1 day as {part} days"


def test_days_that_a_run_chose_its_checkpoint_on_are_not_calibrated_on(loaded):
    """As of a run that was made when all validation days chose."""
    all_days = {"validation": loaded.data.periods.validation + loaded.data.periods.calibration}
    old = replace(loaded.agent, days=all_days)
    found = calibrate_agent(loaded.config, loaded.data, old, loaded.data.trading)
    assert isinstance(found, Uncalibrated)
    assert "as validation days" in found.reason


def test_weights_differ_by_any_bit(loaded):
    weights = {name: value.clone() for name, value in loaded.agent.weights.items()}
    digest = weights_digest(weights)
    assert weights_digest(loaded.agent.weights) == digest
    next(iter(weights.values())).view(-1)[0] += 1e-6
    assert weights_digest(weights) != digest
