"""Curves of the training that made the agent."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.resample import thin
from apex_trader.evaluation.report.section import Chart, Section
from apex_trader.evaluation.report.style import AGENT, finish

TEXT = (
    "Metrics of the run over its own steps; docs/metrics.md says what each is and its unit. They "
    "tell whether it learned, not whether it earns."
)
#: Height in pixels of a row of curves; a curve of fewer points shows each of them.
PANEL, FEW = 230, 40


def training_section(data: ReportData) -> Section:
    """Every training curve."""
    if not data.training:
        return Section.absent("training", "Training", "No metrics of the training are at hand.")
    count = sum(len(frame.columns) for frame in data.training.values())
    chart = Chart("training", training_figure(data.training), f"{count} curves, a panel each.")
    return Section("training", "Training", TEXT, (chart,))


def training_figure(training: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Every training curve, a panel each."""
    curves = [(axis, name, frame[name].dropna()) for frame in training.values()
              for axis in [frame.index.name] for name in frame.columns]  # fmt: skip
    rows = -(-len(curves) // 3)
    figure = make_subplots(rows=rows, cols=3, subplot_titles=[name for _, name, _ in curves],
                           vertical_spacing=min(0.3, 90 / (PANEL * rows)))  # fmt: skip
    for i, (axis, _, values) in enumerate(curves):
        place = {"row": i // 3 + 1, "col": i % 3 + 1}
        shown = values.iloc[thin(values.to_numpy(float))]
        figure.add_scatter(x=shown.index.to_numpy(), y=shown.to_numpy(), showlegend=False, **place,
                           mode="lines+markers" if len(values) < FEW else "lines",
                           line={"color": AGENT, "width": 1.5}, marker={"size": 4})  # fmt: skip
        figure.update_xaxes(title={"text": axis, "font": {"size": 10}, "standoff": 4}, nticks=6,
                            **place)  # fmt: skip
    figure.update_yaxes(nticks=5)
    figure.update_annotations(font_size=11)
    return finish(figure, PANEL * max(rows, 1) + 40)
