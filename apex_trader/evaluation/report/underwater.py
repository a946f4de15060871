"""How far each account was below its highest point."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import is_ceiling
from apex_trader.evaluation.report.resample import thin, times
from apex_trader.evaluation.report.section import Chart, Section
from apex_trader.evaluation.report.style import finish, lines_of
from apex_trader.evaluation.statistics import drawdown

TEXT = (
    "How far each account was below its highest point so far, net. Unit: share of that point; 0 is "
    "a new high."
)


def underwater_section(data: ReportData) -> Section:
    """Drawdown of all policies."""
    shown = [record for record in data.records if not is_ceiling(record.name)]
    deepest = [f"{record.name} {drawdown(record).min():.2%}" for record in shown]
    chart = Chart("underwater", underwater_figure(shown), f"Deepest: {', '.join(deepest)}.")
    return Section("underwater", "Under water", TEXT, (chart,))


def underwater_figure(records: Sequence[Record]) -> go.Figure:
    """Drawdown from the running peak."""
    figure = go.Figure()
    for record, line in zip(records, lines_of(records), strict=True):
        values = drawdown(record)
        pick = thin(values)
        fill = "tozeroy" if record is records[0] else "none"
        figure.add_scatter(x=times(record.ts[pick]), y=values[pick], fill=fill, name=record.name,
                           mode="lines", line={**line, "width": 1})  # fmt: skip
    deepest = min(float(drawdown(record).min()) for record in records)
    figure.update_xaxes(type="date")
    figure.update_yaxes(
        tickformat=".2~%", title="below the peak", range=[1.05 * min(deepest, -1e-3), 0]
    )
    return finish(figure, 320)
