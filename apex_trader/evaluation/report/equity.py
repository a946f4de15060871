"""Net equity against the baselines, with the band that chance alone would fill."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.report.data import Band, ReportData
from apex_trader.evaluation.report.format import is_ceiling
from apex_trader.evaluation.report.resample import thin, times
from apex_trader.evaluation.report.section import Block, Chart, Section, Words
from apex_trader.evaluation.report.style import AGENT, finish, lines_of, see_through
from apex_trader.time import DAY

TEXT = (
    "Return of each account since the start, net of all costs. Unit: share of the starting equity. "
    "Dotted: the agent before costs, which nobody can earn. Ceilings "
    "(optima that know the future or the market's hidden law) are drawn when clicked in the legend."
)


def equity_section(data: ReportData) -> Section:
    """Equity of all policies."""
    ends = [f"{record.name} {record.equity[-1] - 1:+.2%}" for record in data.records]
    chart = Chart("equity", equity_figure(data), f"Net return at the end: {', '.join(ends)}.")
    blocks: list[Block] = [chart, Words(_band_text(data.band))]
    return Section("equity", "Equity", TEXT, blocks)


def equity_figure(data: ReportData) -> go.Figure:
    """Net equity of every record, the agent's before costs, and its band."""
    figure = go.Figure()
    if data.band is not None:
        _add_band(figure, data.band)
    for record, line in zip(data.records, lines_of(data.records), strict=True):
        _add_line(figure, record, record.equity - 1, record.name, line)
    agent = data.agent
    dotted = {"color": AGENT, "width": 1, "dash": "dot"}
    _add_line(figure, agent, agent.gross - 1, f"{agent.name}, before costs", dotted)
    for trace in figure.data:
        if is_ceiling(trace.name or ""):
            trace.visible = "legendonly"  # they would press all others into one line
    figure.update_xaxes(type="date")
    figure.update_yaxes(tickformat="+.2~%", title="net return since the start")
    return finish(figure)


def _add_line(
    figure: go.Figure, record: Record, values: np.ndarray, name: str, line: dict[str, object]
) -> None:
    pick = thin(values)
    figure.add_scatter(x=times(record.ts[pick]), y=values[pick], name=name, mode="lines", line=line)


def _add_band(figure: go.Figure, band: Band) -> None:
    x = times(band.days + DAY)
    figure.add_scatter(x=x, y=band.high, mode="lines", line={"width": 0}, showlegend=False,
                       hoverinfo="skip")  # fmt: skip
    figure.add_scatter(x=x, y=band.low, mode="lines", line={"width": 0}, fill="tonexty",
                       fillcolor=see_through(AGENT, 0.15), name="agent, 95% band",
                       hoverinfo="skip")  # fmt: skip


def _band_text(band: Band | None) -> str:
    if band is None:
        return "No band: not enough data for one (it draws whole days anew, and needs several)."
    start = "holds" if band.low[-1] <= 0.0 <= band.high[-1] else "does not hold"
    meaning = (
        "these days cannot tell the agent from luck" if start == "holds"
        else "chance alone does not explain it, if days to come are like these"
    )  # fmt: skip
    return (
        f"The band: where 95% of {band.draws:,} accounts come to whose days are the agent's own, "
        "drawn anew in blocks (stationary bootstrap, Politis & Romano 1994). At the end it is "
        f"{band.low[-1]:+.2%} … {band.high[-1]:+.2%} and {start} 0: {meaning}."
    )
