"""The report of a run: what goes in, and the page in the run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from apex_trader.evaluation.ledger import Ledger, Touch
from apex_trader.runtime.config import ExecutionConfig
from apex_trader.runtime.report import CURVES, costs_text, fills_text, history_of, training_curves
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trials import Looks
from apex_trader.state.schema import SCHEMAS
from apex_trader.time import DAY, parse_time
from apex_trader.trading.config import TradingConfig
from tests.runtime.documented import undocumented


@pytest.mark.slow
def test_a_run_writes_a_page_with_every_part_that_it_has(small_run: Path):
    page = (small_run / "report.html").read_text(encoding="utf-8")
    for key in ("equity", "underwater", "price_busiest", "actions", "reward_terms", "training",
                "costs", "latency", "return_hours"):  # fmt: skip
        assert f'id="spec-{key}"' in page, key
    assert "python -m apex_trader.backtest" in page
    assert "Synthetic market" in page
    assert "touched" in page


def test_the_curves_of_the_report_are_metrics_that_runs_log():
    assert undocumented(CURVES) == []


@pytest.mark.slow
def test_curves_stand_on_their_own_axes(small_run: Path):
    curves = training_curves(RunFolder(small_run))
    assert curves["learner"].index.name == "learner/updates"
    assert "learner/loss" in curves["learner"]


def test_what_the_ledger_knew_is_told(tmp_path: Path):
    day = parse_time("2024-03-01")
    touch = Touch("t", "runs/a", "step-000001", "x:ETH", (day, day + DAY), "train", 0.01, None,
                  2e-4, day, "ann")  # fmt: skip
    looks = Looks(Ledger(str(tmp_path)), [], [touch], [])
    history = history_of(looks)
    assert history is not None
    assert (history.trials, history.ledger) == (0, str(tmp_path))
    (look,) = history.touches
    assert (look.time, look.who, look.net_return) == ("2024-03-01 00:00", "ann", 0.01)
    assert "2 days" in look.days
    assert history_of(None) is None


@pytest.mark.parametrize(
    ("trading", "said"),
    [
        (
            TradingConfig(fee=0.0005),
            "fee 0.0500% of each transaction's value, no slippage, funding",
        ),
        (TradingConfig(slippage_bps=2.0), "2 bp slippage"),
        (TradingConfig(instrument="spot"), "no funding"),
        (TradingConfig(funding=False), "no funding"),
    ],
)
def test_costs_are_said_in_full_those_that_are_none_too(trading, said):
    assert said in costs_text(trading)


def test_fills_are_said_as_they_are_made():
    minutes, seconds = SCHEMAS["eth_minutes"](32), SCHEMAS["eth_full"](32)
    usual = ExecutionConfig(latency=1.0, max_fill_wait=3.0)
    assert fills_text(usual, minutes) == "open of the first 1m bar 1 s after the decision"
    assert fills_text(usual, seconds).startswith("first trade 1 s or more after the decision")
    assert "OPTIMISTIC" in fills_text(ExecutionConfig(bar_fill="this_open"), minutes)
