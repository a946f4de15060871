"""What the agent was rewarded for."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.resample import thin, times
from apex_trader.evaluation.report.section import Chart, Section
from apex_trader.evaluation.report.style import finish, line_styles

TEXT = (
    "Running sum of every reward term, in units of reward (log return × reward.scale). The agent "
    "learns from these; it is judged on net equity alone. Potentials are not in here: they sum to "
    "nothing over an episode."
)


def terms_section(data: ReportData) -> Section:
    """Reward terms of the agent."""
    sums = ", ".join(f"{name} {values.sum():+.3g}" for name, values in data.agent.terms.items())
    chart = Chart("reward_terms", terms_figure(data.agent), f"Sums: {sums}.")
    return Section("terms", "Where the reward came from", TEXT, (chart,))


def terms_figure(record: Record) -> go.Figure:
    """Running sum of every reward term."""
    figure = go.Figure()
    styles = line_styles(len(record.terms))
    for (name, values), line in zip(record.terms.items(), styles, strict=True):
        total = np.cumsum(values)
        pick = thin(total)
        figure.add_scatter(x=times(record.ts[pick]), y=total[pick], name=name, mode="lines",
                           line={**line, "width": 1.6})  # fmt: skip
    figure.update_xaxes(type="date")
    figure.update_yaxes(title="sum since the start")
    return finish(figure, 340)
