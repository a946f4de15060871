"""How the result hangs on what was assumed: costs and latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from apex_trader.evaluation.curves import CurvePoint
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import show, show_figure
from apex_trader.evaluation.report.section import Block, Chart, Section, Table, Words
from apex_trader.evaluation.report.style import AGENT, GREY, finish

TITLE = "Costs and latency"
TEXT = (
    "The agent's net return, had trading cost more or less, or taken longer: each point is a "
    "backtest of its own, in which the agent sees its account and decides again. The dashed line "
    "is what all other figures here assume; above 0 is a gain."
)
Axis = Callable[[CurvePoint], float]


def curves_section(data: ReportData) -> Section:
    """Cost and latency curves."""
    found = data.assessment
    if found is None:
        why = "Not computed: this report was made without other costs and latencies."
        return Section.absent("curves", TITLE, why)
    fee, latency = data.assumed or (math.nan, math.nan)
    blocks = _blocks("costs", "fee an order, basis points", found.costs, _fee, fee * 1e4)
    blocks += _blocks("latency", "latency, seconds", found.latency, _latency, latency)
    if found.adverse:
        blocks.append(_adverse(found.adverse, data))
    return Section("curves", TITLE, TEXT, blocks)


def _fee(point: CurvePoint) -> float:
    return point.fee * 1e4


def _latency(point: CurvePoint) -> float:
    return point.latency


def _blocks(
    key: str, title: str, points: Sequence[CurvePoint], axis: Axis, assumed: float
) -> list[Block]:
    drawn = sorted((p for p in points if math.isfinite(axis(p))), key=axis)
    if not drawn:
        return [Words(f"No curve over {title}: it was not computed.")]
    x, net = np.array([axis(p) for p in drawn]), np.array([p.net_return for p in drawn])
    figure = curve_figure(title, x, net, assumed)
    return [Chart(key, figure, curve_text(title, x, net)), _table(key, title, drawn, axis)]


def curve_figure(title: str, x: np.ndarray, net: np.ndarray, assumed: float) -> go.Figure:
    """Net return [k] over one assumption [k], which is ``assumed`` elsewhere (NaN: unknown)."""
    figure = go.Figure()
    figure.add_scatter(x=x, y=net, name="agent", mode="lines+markers", showlegend=False,
                       line={"color": AGENT, "width": 2.2})  # fmt: skip
    figure.add_hline(y=0.0, line={"color": GREY, "width": 1})
    if math.isfinite(assumed):
        figure.add_vline(x=assumed, line={"color": GREY, "width": 1, "dash": "dash"},
                         annotation_text="assumed here")  # fmt: skip
    figure.update_xaxes(title=title)
    figure.update_yaxes(tickformat="+.2~%", title="net return")
    return finish(figure, 320)


def curve_text(title: str, x: np.ndarray, net: np.ndarray) -> str:
    """The curve in words: its ends, and where it crosses 0."""
    ends = f"Over {title}: {net[0]:+.2%} at {x[0]:g}, {net[-1]:+.2%} at {x[-1]:g}."
    crossed = np.flatnonzero(np.diff(np.sign(net)) != 0)
    if not len(crossed):
        word = "gains" if net[0] > 0 else "loses" if net[0] < 0 else "earns nothing"
        return f"{ends} The agent {word} all along it."
    k = int(crossed[0])
    return f"{ends} It crosses 0 between {x[k]:g} and {x[k + 1]:g}."


def _table(key: str, title: str, points: Sequence[CurvePoint], axis: Axis) -> Table:
    rows = [
        [f"{axis(p):g}", f"{p.net_return:+.3%}", show(p.sharpe, "{:.2f}"), f"{p.trades:,}",
         f"{p.unfilled:.2%}"]
        for p in points
    ]  # fmt: skip
    head = [title, "net return", "Sharpe (365 d)", "orders filled", "decisions nobody would fill"]
    return Table(key, head, rows)


def _adverse(adverse: Mapping[str, Mapping[str, Mapping[str, float]]], data: ReportData) -> Table:
    """Net return of every policy at the configured fee and at adverse ones."""
    names = list(dict.fromkeys(name for figures in adverse.values() for name in figures))
    rows = []
    for name in names:
        base = data.figures.get(name, {}).get("net_return")
        nets = [figures.get(name, {}).get("net_return") for figures in adverse.values()]
        rows.append([name, *(show_figure(net, "{:+.3%}") for net in (base, *nets))])
    head = ["net return at a fee an order of", "as assumed", *adverse]
    return Table("adverse", head, rows, "Baselines that know the fee choose anew at each.")
