"""How long the agent stayed in a position, and what came of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import duration, plural
from apex_trader.evaluation.report.section import Chart, Section
from apex_trader.evaluation.report.style import GAIN, LOSS, finish
from apex_trader.evaluation.statistics import closed_trades

TEXT = (
    "Round trips of the agent by the time from fill to fill (bins widen), split by whether "
    "they gained or lost after their own costs. Unit: number of round trips."
)
#: Edges of the bins: seconds that people know, so that bins compare between reports.
EDGES = np.array(
    [0, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 259_200, 604_800]
)


def holding_section(data: ReportData) -> Section:
    """Holding times of the agent's round trips."""
    trades = closed_trades(data.agent)
    if not len(trades):
        return Section.absent("holding", "How long it held", "No position was opened.")
    gains = int((trades["gain"] > 0).sum())
    says = (
        f"{plural(len(trades), 'round trip')}, {gains:,} with a net gain; median holding "
        f"{duration(float(trades['seconds'].median()))}."
    )
    return Section(
        "holding", "How long it held", TEXT, (Chart("holding", holding_figure(trades), says),)
    )


def holding_figure(trades: pd.DataFrame) -> go.Figure:
    """Counts by bin of holding time."""
    bins = np.clip(np.searchsorted(EDGES, trades["seconds"], side="right") - 1, 0, len(EDGES) - 1)
    used = np.arange(bins.min(), bins.max() + 1)
    names = [_bin_text(k) for k in used]
    figure = go.Figure()
    for name, chosen, colour in (
        ("gain", trades["gain"] > 0, GAIN), ("loss", trades["gain"] <= 0, LOSS),
    ):  # fmt: skip
        counts = np.bincount(bins[chosen], minlength=len(EDGES))[used]
        figure.add_bar(x=names, y=counts, name=name, marker_color=colour)
    figure.update_layout(barmode="stack", bargap=0.08)
    figure.update_xaxes(title="time in position", type="category")
    figure.update_yaxes(title="round trips", rangemode="tozero")
    return finish(figure, 340)


def _bin_text(number: int) -> str:
    if number == len(EDGES) - 1:
        return f"{_edge(EDGES[-1])} and more"
    return f"{_edge(EDGES[number])} – {_edge(EDGES[number + 1])}"


def _edge(seconds: float) -> str:
    return duration(float(seconds)).replace(".0 ", " ")
