"""The backtest command as a stranger types it."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from apex_trader import backtest
from apex_trader.errors import ApexError
from apex_trader.evaluation.ledger import Ledger
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.market_data import store_url
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.time import parse_time

pytestmark = pytest.mark.slow


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The command's exit code."""
    monkeypatch.setattr(sys, "argv", ["backtest", *arguments])
    with pytest.raises(SystemExit) as caught:
        backtest.main()
    return int(caught.value.code or 0)


def test_it_writes_a_result_and_a_report_and_leaves_the_run_as_it_was(
    small_run: Path, tmp_path, monkeypatch, capsys
):
    before = {p: p.read_bytes() for p in small_run.iterdir() if p.is_file()}
    out = tmp_path / "deep" / "out"
    assert command([f"run={small_run}", f"out={out}", "trading.fee=0.001"], monkeypatch) == 0
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "result.json"]
    result = json.loads((out / "result.json").read_text())
    held = result["backtest"]["buy and hold"]
    assert held["fee"] == pytest.approx(0.002, rel=0.1)  # entered and left
    assert "fee 0.1000% of each transaction" in (out / "report.html").read_text()
    assert {p: p.read_bytes() for p in before} == before
    said = capsys.readouterr().out
    assert "3 days, out of sample" in said
    assert str(out / "report.html") in said


def test_days_that_were_used_before_are_said_in_the_table_the_report_and_the_result(
    small_run: Path, tmp_path, monkeypatch, capsys
):
    words = [f"run={small_run}", f"out={tmp_path}", "from=2024-01-03", "to=2024-01-05"]
    assert command(words, monkeypatch) == 0
    assert "2024-01-03 … 2024-01-04, 2 days, IN SAMPLE in part" in capsys.readouterr().out
    warning = "IN SAMPLE: this run used 2024-01-03, 1 day of the 2 judged"
    assert json.loads((tmp_path / "result.json").read_text())["notes"][0].startswith(warning)
    assert warning in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the folder of a run, run=DIR"),
        (["run=nowhere"], "nowhere holds no run (the folder does not exist)"),
        (["nowhere"], "write name=value"),
        (["run={run}", "perod=test"], "did you mean period?"),
        (["run={run}", "period=tests"], "one of test, calibration, validation, agent, extractor"),
        (["run={run}", "form=2024-01-05"], "did you mean from?"),
        (["run={run}", "from=yesterday"], "'yesterday' is not a time"),
        (["run={run}", "from=2024-01-06", "to=2024-01-05"], "a day after from=2024-01-06"),
        (["run={run}", "from=2025-01-01"], "no day can be judged from 2025-01-01 on"),
        (["run={run}", "trading.fees=1"], "did you mean trading.fee"),
        (["run={run}", "rollout.n_step=3"], "rollout.n_step changes nothing here"),
        (["run={run}", "trading.fee=-1"], "trading.fee=-1.0 cannot be used"),
        (["run={run}", "trading.action_set=sell_buy"], "the agent was trained with 'target'"),
        (["run={run}", "state.schema=eth_full"], "the agent was trained with 'eth_minutes'"),
        (["run={run}", "market.store=nowhere"], "it is empty or not there"),
        (["run={run}", "market.primary=binance:ETH"], "it holds synthetic:BTCUSDT"),
        (["run={run}", "checkpoint=bst"], "no checkpoint 'bst'; there are: step-"),
        (["run={run}", "out={run}"], "holds a run, whose own result and report are there"),
        (["run={run}", "out={run}/config.yaml"], "cannot be written"),
    ],
)
def test_a_mistake_ends_in_one_line_and_leaves_nothing_behind(
    words, said, small_run: Path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    before = sorted(small_run.rglob("*"))
    assert command([word.format(run=small_run) for word in words], monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert sorted(small_run.rglob("*")) == before


def test_help_explains_every_word(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["backtest", "--help"])
    backtest.main()
    text = capsys.readouterr().out
    for word in ("run ", "period ", "from, to", "checkpoint ", "out "):
        assert f"\n{word}" in text, word


def test_a_span_runs_to_before_its_end():
    request = backtest.Request.parse(["run=x", "from=2024-01-05", "to=2024-01-07"])
    assert request.span == (parse_time("2024-01-05"), parse_time("2024-01-07"))
    assert backtest.Request.parse(["run=x"]).span is None
    with pytest.raises(ApexError, match="'seed' is not understood"):
        backtest.Request.parse(["run=x", "seed"])


def test_the_folder_of_a_judgement_says_which_days(small_run: Path, tmp_path, monkeypatch):
    run = shutil.copytree(small_run, tmp_path / "run")
    assert command([f"run={run}", "period=validation"], monkeypatch) == 0
    (made,) = (run / "backtests").iterdir()
    assert made.name.endswith("_validation")
    assert RunFolder(made).report.is_file()


def test_every_choice_that_the_ledger_knows_deflates_the_sharpe_ratio(
    small_run: Path, tmp_path, monkeypatch
):
    run = RunFolder(shutil.copytree(small_run, tmp_path / "run"))
    config = load_config(run)
    ledger = Ledger.of_store(store_url(config, run))
    (own,) = ledger.trials(config.market.primary)
    words = [f"run={run.path}", f"out={tmp_path / 'out'}"]

    def counted() -> int:
        assert command(words, monkeypatch) == 0
        result = json.loads((tmp_path / "out" / "result.json").read_text())
        return int(result["evaluation"]["sharpe"]["trials"])

    assert counted() == 1
    ledger.add(replace(own, id="again"))  # the same choice once more
    ledger.add(replace(own, id="other seed", seed=own.seed + 1))
    ledger.add(replace(own, id="other settings", configuration="other"))
    assert counted() == 3
