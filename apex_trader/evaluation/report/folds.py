"""Walk-forward: each fold trained on its own past and judged on what came after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import is_ceiling, show_figure
from apex_trader.evaluation.report.resample import times
from apex_trader.evaluation.report.section import Chart, Section, Table
from apex_trader.evaluation.report.style import AGENT, finish, line_styles
from apex_trader.evaluation.walk_forward import FoldResult, WalkForward
from apex_trader.time import DAY

TITLE = "Folds"
TEXT = (
    "Each fold was trained from scratch on its past and judged once on days after it. Returns are "
    "net of all costs. The line is the test days of all folds, one behind the other; between folds "
    "every account begins flat."
)


def folds_section(data: ReportData) -> Section:
    """The folds, where the report is of a walk-forward."""
    if data.walk_forward is None:
        why = "One division of the days, no walk-forward: the agent was judged on one period alone."
        return Section.absent("folds", TITLE, why)
    return walk_forward_section(data.walk_forward)


def walk_forward_section(walk: WalkForward) -> Section:
    """The fold table, the folds beside each other, and their test days as one account."""
    says = f"The agent gained in {walk.gained} of {len(walk.folds)} folds."
    ends = ", ".join(f"{n} {f['net_return']:+.2%}" for n, f in walk.figures.items())
    return Section(
        "folds", TITLE, TEXT,
        (Chart("folds", folds_figure(walk.folds), says), fold_table(walk.folds),
         Chart("folds_equity", chained_figure(walk), f"Over all test days: {ends}.")),
    )  # fmt: skip


def fold_table(folds: Sequence[FoldResult]) -> Table:
    """A row a fold."""
    names = list(folds[0].figures)
    head = ["fold", "trained on", "validated on", "tested on", *(f"{n}, net" for n in names),
            "agent, Sharpe"]  # fmt: skip
    rows = []
    for number, fold in enumerate(folds, 1):
        nets = [show_figure(_net(fold, name), "{:+.2%}") for name in names]
        sharpe = show_figure(_agent(fold).get("sharpe"), "{:.2f}", "not enough data")
        rows.append([str(number), fold.trained, fold.validated, fold.tested, *nets, sharpe])
    return Table("folds", head, rows)


def folds_figure(folds: Sequence[FoldResult]) -> go.Figure:
    """Net return by fold and policy, ceilings left out."""
    figure = go.Figure()
    names = [name for name in folds[0].figures if not is_ceiling(name)]
    colours = [AGENT, *(style["color"] for style in line_styles(len(names) - 1))]
    tested = [f"{number}: {fold.tested}" for number, fold in enumerate(folds, 1)]
    for name, colour in zip(names, colours, strict=True):
        nets = [_net(fold, name) for fold in folds]
        figure.add_bar(x=tested, y=nets, name=name, marker_color=colour)
    figure.update_layout(barmode="group")
    figure.update_xaxes(type="category", title="fold: tested on")
    figure.update_yaxes(tickformat="+.1~%", title="net return")
    return finish(figure, 340)


def chained_figure(walk: WalkForward) -> go.Figure:
    """Net return since the first test day, at the end of each; ceilings left out."""
    figure = go.Figure()
    names = [name for name in walk.daily if not is_ceiling(name)]
    styles = [{"color": AGENT, "width": 2.2}, *line_styles(len(names) - 1)]
    for name, line in zip(names, styles, strict=True):
        grown = np.expm1(np.cumsum(walk.daily[name]))
        figure.add_scatter(x=times(walk.days + DAY), y=grown, name=name, mode="lines", line=line)
    figure.update_xaxes(type="date")
    figure.update_yaxes(tickformat="+.2~%", title="net return since the start")
    return finish(figure, 360)


def _agent(fold: FoldResult) -> Mapping[str, float | None]:
    return next(iter(fold.figures.values()))


def _net(fold: FoldResult, name: str) -> float:
    value = fold.figures.get(name, {}).get("net_return")
    return math.nan if value is None else float(value)
