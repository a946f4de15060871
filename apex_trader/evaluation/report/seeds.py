"""How much of the result is the seed's: the same run, begun with other random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from apex_trader.evaluation.report.data import ReportData, Seed
from apex_trader.evaluation.report.format import show_figure
from apex_trader.evaluation.report.section import Block, Chart, Section, Table
from apex_trader.evaluation.report.style import AGENT, GREY, finish

TEXT = (
    "The same configuration trained with other seeds and judged on the same days, net. What "
    "differs between them is chance in training: one seed alone proves nothing, and the best one "
    "is not the result. The median is."
)


def seeds_section(data: ReportData) -> Section:
    """Spread over seeds."""
    if len(data.seeds) < 2:
        why = (
            "One seed alone: how much of this result is chance in training is not known. Train the "
            "same run with other seeds (python -m apex_trader.train -m … seed=1,2,3,4,5)."
        )
        return Section.absent("seeds", "Spread over seeds", why)
    values = _net(data.seeds)
    says = (
        f"Median of {len(values)} seeds {np.median(values):+.2%}, from {values.min():+.2%} to "
        f"{values.max():+.2%}; {(values > 0).sum()} gained."
    )
    blocks: list[Block] = [Chart("seeds", seeds_figure(data.seeds), says), _table(data.seeds)]
    return Section("seeds", "Spread over seeds", TEXT, blocks)


def seeds_figure(seeds: Sequence[Seed]) -> go.Figure:
    """Net return of every seed and of the baselines, which have none."""
    figure = go.Figure()
    values = _net(seeds)
    figure.add_scatter(x=[str(seed.seed) for seed in seeds], y=values, mode="markers", name="agent",
                       marker={"size": 12, "color": AGENT})  # fmt: skip
    figure.add_hline(y=float(np.median(values)), line={"color": AGENT, "dash": "dash"},
                     annotation_text="median")  # fmt: skip
    for name, figures in list(seeds[0].figures.items())[1:]:
        if "hold" in name:
            figure.add_hline(y=figures["net_return"], line={"color": GREY, "dash": "dot"},
                             annotation_text=name, annotation_position="bottom right")  # fmt: skip
    figure.add_hline(y=0.0, line={"color": GREY, "width": 1})
    figure.update_xaxes(type="category", title="seed")
    figure.update_yaxes(tickformat="+.2~%", title="net return")
    return finish(figure, 320)


def _net(seeds: Sequence[Seed]) -> np.ndarray:
    """[s] the agents' net returns."""
    return np.array([next(iter(seed.figures.values()))["net_return"] for seed in seeds])


def _table(seeds: Sequence[Seed]) -> Table:
    shown = (("net_return", "net return", "{:+.3%}"), ("sharpe", "Sharpe (365 d)", "{:.2f}"),
             ("max_drawdown", "max drawdown", "{:.2%}"),
             ("trades_per_day", "orders a day", "{:,.1f}"),
             ("exposure", "exposure", "{:.1%}"))  # fmt: skip
    rows = [
        [str(seed.seed), *(
            show_figure(next(iter(seed.figures.values())).get(key), form, "not enough data")
            for key, _, form in shown
        )]
        for seed in seeds
    ]  # fmt: skip
    return Table("seeds", ["seed", *(label for _, label, _ in shown)], rows)
