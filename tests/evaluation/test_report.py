"""The report: one self-contained page that a stranger can read."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.policies import hold_baselines
from apex_trader.evaluation.report import (
    FIGURES,
    MAX_POINTS,
    ReportData,
    equity_figure,
    render,
    show_figure,
    training_figure,
)
from apex_trader.evaluation.statistics import summarize
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import RewardConfig, TradingConfig

SECTIONS = (
    "Figures", "Equity", "Under water", "Price, position and fills", "What it did",
    "Where the reward came from", "Training", "What the state was made of",
)  # fmt: skip
TRADING = TradingConfig()


@pytest.fixture(scope="module")
def data(tools) -> ReportData:
    path = path_of(tools.walk(5, days=2, rows=600))
    agent = replace(tools.scripted(path, 5), name="agent")
    policies = [agent, *hold_baselines(Actions.of(TRADING))]
    records = [run_continuous(path, p, TRADING, RewardConfig()) for p in policies]
    index = pd.Index(np.arange(0, 1_000, 20), name="learner/updates")
    curves = pd.DataFrame(
        {"learner/loss": np.exp(-index / 300.0), "learner/q_mean": np.sin(index / 99.0)}, index
    )
    return ReportData(
        title="quickstart: synthetic:ETHUSDT",
        facts={"test period": "two days", "costs": "0.02% a transaction"},
        notes=["Synthetic market, not a real one.", "<script>alert(1)</script> & co"],
        records=records,
        figures={record.name: summarize(record) for record in records},
        actions=Actions.of(TRADING).names,
        training={"learner": curves},
        coverage={"primary_1m": (2_400, 2_400, 0), "ticks": (3_000, 0, 3_000)},
    )


@pytest.fixture(scope="module")
def page(data) -> str:
    return render(data)


def own(page: str) -> str:
    """The page less the chart library's own code."""
    return re.sub(r"<style>.*?</style><script>.*?</script></head>", "", page, flags=re.DOTALL)


def test_every_section_is_there_in_order(page):
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert tuple(heads) == SECTIONS


def test_the_page_fetches_nothing(page):
    """No file, style, picture or script from elsewhere: it can be mailed and kept."""
    markup = own(page)
    assert re.findall(r"(?:src|href)\s*=", markup) == []
    assert "@import" not in markup
    assert "url(" not in markup
    assert re.findall(r"https?://", markup) == []
    assert re.search(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", page) is None


def test_charts_come_with_their_library(page):
    assert page.count("Plotly.newPlot(") >= 6
    assert "Plotly.newPlot=" in page or "plotly.js v" in page


def test_text_from_outside_is_text(page):
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in page


def test_every_policy_has_its_column_and_every_figure_its_row(data, page):
    table = page[page.index("<h2>Figures") : page.index("<h2>Equity")]
    for record in data.records:
        assert f"<th>{record.name}</th>" in table
    for _, label, _ in FIGURES:
        assert f"<td>{label}</td>" in table
    assert "+0.000%" in table
    assert "nan" not in table


def test_ratios_of_a_short_test_are_not_made_up(page):
    row = re.search(r"<tr><td>Sharpe.*?</tr>", page)
    assert row is not None
    assert row.group().count("not enough data") == 4


def test_a_policy_without_trades_has_none_that_won(page):
    row = re.search(r"<tr><td>winning round trips.*?</tr>", page)
    assert row is not None
    assert row.group().count("<td>none</td>") == 1  # flat


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (0.01234, "{:+.3%}", "+1.234%"),
        (math.nan, "{:.2f}", "–"),
        (None, "{:.2f}", "–"),
        (42.4, "duration", "42 s"),
        (90.0, "duration", "1.5 min"),
        (7_200.0, "duration", "2.0 h"),
        (3 * 86_400.0, "duration", "3.0 d"),
    ],
)
def test_figures_are_shown_in_their_units(value, form, shown):
    assert show_figure(value, form) == shown


def test_an_account_that_never_moved_has_no_ratio_however_long_it_was_watched(data):
    """Too few days is one reason, an equity without any deviation another."""
    figures = {name: {**f, "days": 30.0} for name, f in data.figures.items()}
    row = re.search(r"<tr><td>Sharpe.*?</tr>", render(replace(data, figures=figures)))
    assert row is not None
    assert "not enough data" not in row.group()
    assert row.group().count("<td>–</td>") == 4


def test_fills_that_are_not_drawn_are_said_to_be_left_out(data, monkeypatch):
    assert "are drawn" not in own(render(data))
    monkeypatch.setattr("apex_trader.evaluation.report.MAX_POINTS", 20)
    fills = int(data.records[0].traded.sum())
    assert f"Of {fills:,} the last 40 are drawn." in render(data)


def test_long_records_are_thinned_but_keep_their_ends(data):
    agent = data.records[0]
    times = 8
    long = replace(
        agent,
        **{name: np.tile(getattr(agent, name), times)
           for name in ("ts", "mark", "equity", "gross", "position", "traded", "action")},
    )  # fmt: skip
    line = equity_figure([long]).data[0]
    assert len(agent) * times > MAX_POINTS >= len(line.y)
    assert line.y[0] == long.equity[0] - 1
    assert line.y[-1] == long.equity[-1] - 1


def test_every_training_curve_has_a_panel_on_its_own_axis(data):
    figure = training_figure(data.training)
    assert len(figure.data) == 2
    assert [a.text for a in figure.layout.annotations] == ["learner/loss", "learner/q_mean"]
    assert figure.layout.xaxis.title.text == "learner/updates"


def test_an_account_that_never_traded_renders_too(data):
    flat = next(r for r in data.records if r.name == "flat")
    page = render(replace(data, records=[flat], training={}, coverage={}))
    assert "no position was opened" in page
    assert "<h2>Training" not in page
    assert "<h2>What the state" not in page
