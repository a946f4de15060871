"""The report as W&B panels, with W&B's own client and without an account."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from apex_trader.evaluation.report import sections_of
from apex_trader.evaluation.report.section import charts, tables
from apex_trader.runtime.metrics import STEP_AXES, WandbSink
from apex_trader.runtime.wandb_panels import panels, spelled_out
from apex_trader.runtime.wandb_views import CHARTS, TABLES, VIEWS, Figures

#: Charts that a report of a few days lacks.
OF_LONG_PERIODS = {"return_months"}


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """Nobody is logged in to W&B, and no setting says what to do about it."""
    for name in [n for n in os.environ if n.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("no_account")
def test_every_chart_and_table_is_a_panel_of_the_run(data, tmp_path: Path):
    """Written by the real client, offline; the numbers are the report's own."""
    sections = sections_of(data)
    sink = WandbSink(
        tmp_path, project="apex-trader", name="test", group=None, tags=[], mode="offline", config={}
    )
    sink.show(panels(sections))
    sink.close({})
    media = next((tmp_path / "wandb").glob("offline-run-*")) / "files" / "media"
    drawn = {path.name.rpartition("_")[0].rpartition("_")[0]: path
             for path in (media / "plotly" / CHARTS).iterdir()}  # fmt: skip
    assert set(drawn) == {chart.key for chart in charts(sections)}
    equity = json.loads(drawn["equity"].read_text(encoding="utf-8"))
    (agent,) = [trace for trace in equity["data"] if trace.get("name") == "agent"]
    assert agent["y"][-1] == data.agent.equity[-1] - 1
    assert {p.name.split(".")[0].rpartition("_")[0].rpartition("_")[0]
            for p in (media / "table" / TABLES).iterdir()} == {
        table.key for table in tables(sections)
    }  # fmt: skip


def test_panels_are_in_no_group_of_metrics():
    assert not {CHARTS, TABLES} & set(STEP_AXES)


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint8"])
def test_packed_numbers_are_spelled_out(dtype):
    values = np.arange(12, dtype=dtype).reshape(3, 4)
    figure = go.Figure(go.Heatmap(z=values, x=values[0]))
    plain = spelled_out(figure).to_plotly_json()["data"][0]
    assert plain["z"] == values.tolist()
    assert plain["x"] == values[0].tolist()


def test_every_chart_that_a_view_shows_is_one_of_the_reports(data):
    known = {chart.key for chart in charts(sections_of(data))} | OF_LONG_PERIODS
    shown = {
        key
        for view in VIEWS
        for group in view.groups
        for panel in group.panels
        if isinstance(panel, Figures)
        for key in panel.charts
    }
    assert shown <= known
    assert len(shown) > 12
