"""What the agent chose, and the positions that came of it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import is_ceiling
from apex_trader.evaluation.report.section import Chart, Section
from apex_trader.evaluation.report.style import AGENT, GAIN, GREY, LOSS, finish

TEXT = (
    "Left: how often the agent chose each action, share of its decisions. Right: the share of time "
    "that each policy was short, flat and long."
)


def actions_section(data: ReportData) -> Section:
    """Action mix and time in position."""
    shares = action_shares(data)
    said = ", ".join(f"{n} {s:.1%}" for n, s in zip(data.actions, shares, strict=True))
    chart = Chart("actions", actions_figure(data, shares), f"The agent's actions: {said}.")
    return Section("actions", "What it chose", TEXT, (chart,))


def action_shares(data: ReportData) -> np.ndarray:
    """[A] share of the agent's decisions that chose each action."""
    counts = np.bincount(data.agent.action, minlength=len(data.actions))
    return np.asarray(counts / max(len(data.agent), 1))


def actions_figure(data: ReportData, shares: np.ndarray) -> go.Figure:
    """Bars of both."""
    figure = make_subplots(
        cols=2, column_widths=[0.35, 0.65],
        subplot_titles=("actions chosen", "time in each position"),
    )  # fmt: skip
    figure.add_bar(x=list(data.actions), y=shares, marker_color=AGENT, name="actions",
                   showlegend=False, texttemplate="%{y:.1%}", row=1, col=1)  # fmt: skip
    names = [record.name for record in data.records if not is_ceiling(record.name)]
    held = [data.figures[name] for name in names]
    long = np.array([figures["long"] for figures in held])
    short = np.array([figures["short"] for figures in held])
    for name, values, colour in (
        ("short", short, LOSS), ("flat", 1.0 - long - short, GREY), ("long", long, GAIN),
    ):  # fmt: skip
        figure.add_bar(y=names, x=values, name=name, orientation="h", marker_color=colour,
                       row=1, col=2)  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_yaxes(tickformat=".0%", title="share of decisions", col=1)
    figure.update_xaxes(tickformat=".0%", title="share of time", range=[0, 1], col=2)
    figure.update_yaxes(autorange="reversed", automargin=True, col=2)
    finish(figure, max(320, 150 + 24 * len(names)))
    return figure.update_layout(margin_t=70, legend={"y": 1.1})
