"""One self-contained HTML file that says what a run did, for people."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.statistics import MIN_DAYS, closed_trades, drawdown

#: A line of the charts has at most this many points.
MAX_POINTS = 4_000
#: Height in pixels of a row of training curves; a curve of fewer points shows each of them.
PANEL, FEW = 250, 40
COLOURS = ("#1f6feb", "#8b949e", "#2da44e", "#cf222e", "#bf8700", "#8250df", "#1b7c83")
FIGURES = (
    ("net_return", "net return", "{:+.3%}"),
    ("gross_return", "gross return", "{:+.3%}"),
    ("fee", "fees", "{:.3%}"),
    ("slippage", "slippage", "{:.3%}"),
    ("funding", "funding", "{:+.3%}"),
    ("max_drawdown", "max drawdown", "{:.3%}"),
    ("sharpe", "Sharpe (365 d)", "{:.2f}"),
    ("sortino", "Sortino (365 d)", "{:.2f}"),
    ("calmar", "Calmar", "{:.2f}"),
    ("trades", "orders filled", "{:,.0f}"),
    ("trades_per_day", "orders a day", "{:,.1f}"),
    ("turnover", "turnover a day", "{:,.2f}"),
    ("exposure", "exposure", "{:.1%}"),
    ("hit_rate", "winning round trips", "{:.1%}"),
    ("mean_holding_seconds", "mean holding", "duration"),
)
#: Figures that are missing for want of trades, where others are missing for want of days.
OF_TRADES = ("hit_rate", "mean_holding_seconds")


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    figures: policy → its ``summarize``. records: the agent first, then the baselines.
    notes: sentences that a reader must not miss (synthetic data, too few days, …).
    facts: the run in a few words (market, period, costs, extractor version …).
    training: group → frame of its metrics, indexed by its step axis.
    coverage: block → (required, delivered, cannot be provided) columns of the state.
    """

    title: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    records: Sequence[Record]
    figures: Mapping[str, Mapping[str, float]]
    actions: Sequence[str]
    training: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    coverage: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)


def render(data: ReportData) -> str:
    """The whole page."""
    agent = data.records[0]
    sections = [
        _figures_table(data),
        _section("Equity", EXPLAINED["equity"], equity_figure(data.records)),
        _section("Under water", EXPLAINED["underwater"], underwater_figure(data.records)),
        _section("Price, position and fills", _fills_text(agent), fills_figure(agent)),
        _section("What it did", EXPLAINED["behaviour"], behaviour_figure(agent, data.actions)),
        _section("Where the reward came from", EXPLAINED["terms"], terms_figure(agent)),
    ]
    if data.training:
        text = EXPLAINED["training"]
        sections.append(_section("Training", text, training_figure(data.training)))
    if data.coverage:
        sections.append(_coverage_table(data.coverage))
    return _page(data, "\n".join(sections))


#: A sentence below each heading, for who sees such a page for the first time.
EXPLAINED = {
    "figures": "Each policy traded the same period with the same fills and costs, on one account. "
    "Returns and costs are shares of the starting equity; ratios are of daily net returns. A "
    "position that is open at the end is valued net of the costs of leaving it.",
    "equity": "Net of all costs; dotted, the agent before costs.",
    "underwater": "How far each account was below its highest point so far.",
    "fills": "Every order of the agent that was filled, at the price known when it was decided.",
    "behaviour": "How often each action was chosen, and how long positions were held.",
    "terms": "What the agent was rewarded for, term by term; it is judged on net equity alone.",
    "training": "Metrics of the run over its own steps; docs/metrics.md explains each.",
    "coverage": "Features of a state by block: asked for, filled at some decision of the period, "
    "and those that this data source can never fill.",
}


def equity_figure(records: Sequence[Record]) -> go.Figure:
    """Net equity of every record, and the agent's before costs."""
    figure = go.Figure()
    for record, colour in zip(records, _colours(len(records)), strict=True):
        pick = _thin(len(record))
        figure.add_scatter(x=_times(record.ts[pick]), y=record.equity[pick] - 1, name=record.name,
                           line={"color": colour, "width": 1.5})  # fmt: skip
    agent = records[0]
    pick = _thin(len(agent))
    figure.add_scatter(x=_times(agent.ts[pick]), y=agent.gross[pick] - 1,
                       name=f"{agent.name}, before costs",
                       line={"color": COLOURS[0], "width": 1, "dash": "dot"})  # fmt: skip
    figure.update_yaxes(tickformat="+.2~%", title="return since the start")
    return figure


def underwater_figure(records: Sequence[Record]) -> go.Figure:
    """Drawdown from the running peak."""
    figure = go.Figure()
    for record, colour in zip(records, _colours(len(records)), strict=True):
        pick = _thin(len(record))
        fill = "tozeroy" if record is records[0] else "none"
        figure.add_scatter(x=_times(record.ts[pick]), y=drawdown(record)[pick], fill=fill,
                           name=record.name, line={"color": colour, "width": 1})  # fmt: skip
    deepest = min(float(drawdown(record).min()) for record in records)
    span = [1.05 * min(deepest, -1e-3), 0.0]
    figure.update_yaxes(tickformat=".2~%", title="below the peak", range=span)
    return figure


def _fills_text(record: Record) -> str:
    """The caption, which says so when there are more fills than are drawn."""
    change = np.diff(record.position, prepend=0.0)
    sides = [int((record.traded & (change > 0)).sum()), int((record.traded & (change < 0)).sum())]
    if max(sides) <= MAX_POINTS:
        return EXPLAINED["fills"]
    drawn = sum(min(side, MAX_POINTS) for side in sides)
    return f"{EXPLAINED['fills']} Of {sum(sides):,} the last {drawn:,} are drawn."


def fills_figure(record: Record) -> go.Figure:
    """The price with the agent's fills, and its position."""
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.75, 0.25])
    pick = _thin(len(record))
    figure.add_scatter(x=_times(record.ts[pick]), y=record.mark[pick], name="price", row=1, col=1,
                       line={"color": "#57606a", "width": 1})  # fmt: skip
    change = np.diff(record.position, prepend=0.0)
    for name, chosen, symbol, colour in (
        ("buy", record.traded & (change > 0), "triangle-up", COLOURS[2]),
        ("sell", record.traded & (change < 0), "triangle-down", COLOURS[3]),
    ):
        rows = np.flatnonzero(chosen)[-MAX_POINTS:]
        marker = {"symbol": symbol, "color": colour, "size": 7}
        figure.add_scatter(x=_times(record.ts[rows]), y=record.mark[rows], name=name, row=1, col=1,
                           mode="markers", marker=marker)  # fmt: skip
    figure.add_scatter(x=_times(record.ts[pick]), y=record.position[pick], name="position", row=2,
                       col=1, line={"color": COLOURS[0], "width": 1, "shape": "hv"})  # fmt: skip
    figure.update_yaxes(title="price, quote currency", row=1)
    figure.update_yaxes(title="position", range=[-1.1, 1.1], row=2)
    return figure


def behaviour_figure(record: Record, actions: Sequence[str]) -> go.Figure:
    """Action mix and holding times."""
    figure = make_subplots(
        cols=2, subplot_titles=("actions chosen", "holding times of round trips")
    )
    counts = np.bincount(record.action, minlength=len(actions)) / max(len(record), 1)
    figure.add_bar(x=list(actions), y=counts, marker_color=COLOURS[0], row=1, col=1)
    trades = closed_trades(record)
    if not len(trades):
        _say(figure, "no position was opened", 2)
    for name, chosen, colour in (
        ("gain", trades["gain"] > 0, COLOURS[2]),
        ("loss", trades["gain"] <= 0, COLOURS[3]),
    ):
        if chosen.any():
            figure.add_histogram(x=trades["seconds"][chosen] / 60, name=name, marker_color=colour,
                                 row=1, col=2, nbinsx=40)  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.data[0].showlegend = False
    figure.update_yaxes(tickformat=".0%", title="share of decisions", col=1)
    figure.update_xaxes(title="minutes", col=2)
    figure.update_yaxes(title="round trips", rangemode="tozero", col=2)
    return figure


def _say(figure: go.Figure, text: str, column: int) -> None:
    """Words in the middle of a panel that has nothing to show."""
    figure.add_annotation(text=text, showarrow=False, xref=f"x{column} domain",
                          yref=f"y{column} domain", x=0.5, y=0.5)  # fmt: skip
    figure.update_xaxes(range=[0, 1], showticklabels=False, row=1, col=column)
    figure.update_yaxes(range=[0, 1], showticklabels=False, row=1, col=column)


def terms_figure(record: Record) -> go.Figure:
    """Running sum of every reward term."""
    figure = go.Figure()
    pick = _thin(len(record))
    for (name, values), colour in zip(
        record.terms.items(), _colours(len(record.terms)), strict=True
    ):
        figure.add_scatter(x=_times(record.ts[pick]), y=np.cumsum(values)[pick], name=name,
                           line={"color": colour, "width": 1.5})  # fmt: skip
    figure.update_yaxes(title="sum since the start")
    return figure


def training_figure(training: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Every training curve, a panel each."""
    curves = [(axis, name, frame[name].dropna()) for frame in training.values()
              for axis in [frame.index.name] for name in frame.columns]  # fmt: skip
    rows = -(-len(curves) // 3)
    figure = make_subplots(rows=rows, cols=3, subplot_titles=[name for _, name, _ in curves],
                           vertical_spacing=min(0.3, 90 / (PANEL * rows)))  # fmt: skip
    for i, (axis, _, values) in enumerate(curves):
        place = {"row": i // 3 + 1, "col": i % 3 + 1}
        figure.add_scatter(x=values.index, y=values, showlegend=False, **place,
                           mode="lines+markers" if len(values) < FEW else "lines",
                           line={"color": COLOURS[0], "width": 1.5},
                           marker={"size": 4})  # fmt: skip
        title = {"text": axis, "font": {"size": 10}, "standoff": 4}
        figure.update_xaxes(title=title, nticks=6, **place)
    figure.update_yaxes(nticks=5)
    figure.update_layout(height=PANEL * max(rows, 1))
    figure.update_annotations(font_size=11)
    return figure


def _figures_table(data: ReportData) -> str:
    names = [record.name for record in data.records]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = []
    for key, label, form in FIGURES:
        texts = (
            show_figure(data.figures[name].get(key), form, _missing(key, data.figures[name]))
            for name in names
        )
        body.append(f"<tr><td>{label}</td>" + "".join(f"<td>{t}</td>" for t in texts) + "</tr>")
    return (
        f"<h2>Figures</h2><p>{EXPLAINED['figures']}</p>"
        f"<table><tr><th></th>{head}</tr>{''.join(body)}</table>"
    )


def _missing(key: str, figures: Mapping[str, float]) -> str:
    """Why a figure is not there: no trade, too few days, or an equity that never moved."""
    if key in OF_TRADES:
        return "none"
    return "not enough data" if figures.get("days", 0.0) < MIN_DAYS else "–"


def show_figure(value: float | None, form: str, missing: str = "–") -> str:
    """A figure in its format of ``FIGURES``; ``missing`` for none and for NaN."""
    if value is None or np.isnan(value):
        return missing
    return _duration(value) if form == "duration" else form.format(value)


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def _coverage_table(coverage: Mapping[str, tuple[int, int, int]]) -> str:
    rows = [
        f"<tr><td>{html.escape(block)}</td><td>{need:,}</td><td>{have:,}</td><td>{lack:,}</td></tr>"
        for block, (need, have, lack) in coverage.items()
    ]
    total = np.array(list(coverage.values())).sum(axis=0)
    rows.append("<tr><th>total</th>" + "".join(f"<th>{v:,}</th>" for v in total) + "</tr>")
    return (
        f"<h2>What the state was made of</h2><p>{EXPLAINED['coverage']}</p>"
        "<table><tr><th>block</th><th>required</th><th>delivered</th>"
        "<th>cannot be provided by this source</th></tr>"
        + "".join(rows) + "</table>"
    )  # fmt: skip


def _section(title: str, text: str, figure: go.Figure) -> str:
    figure.update_layout(
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "y": -0.15, "x": 0.5, "xanchor": "center"},
        modebar={"remove": ["select2d", "lasso2d", "autoScale2d"]},
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    if figure.layout.height is None:
        figure.update_layout(height=420)
    body = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return f"<h2>{html.escape(title)}</h2><p>{text}</p>{body}"


def _page(data: ReportData, body: str) -> str:
    facts = "".join(
        f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>"
        for k, v in data.facts.items()
    )
    notes = "".join(f"<p class='note'>{html.escape(note)}</p>" for note in data.notes)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(data.title)}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
       color: #1f2328; }}
h1 {{ font-size: 1.6em }} h2 {{ font-size: 1.15em; margin-top: 2em }}
h2 + p {{ color: #57606a; margin: -.4em 0 1em }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
td, th {{ padding: .25em .9em; border-bottom: 1px solid #d0d7de; text-align: right }}
td:first-child, th:first-child {{ text-align: left }}
.facts td {{ text-align: left }}
.note {{ background: #fff8c5; border-left: 4px solid #bf8700; padding: .5em 1em }}
</style><script>{get_plotlyjs()}</script></head><body>
<h1>{html.escape(data.title)}</h1>{notes}<table class="facts">{facts}</table>
{body}
</body></html>
"""


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _thin(size: int) -> np.ndarray:
    """Rows to draw: all, or evenly spaced ones with the last among them."""
    if size <= MAX_POINTS:
        return np.arange(size)
    return np.unique(np.linspace(0, size - 1, MAX_POINTS).astype(np.int64))


def _times(ts: np.ndarray) -> np.ndarray:
    return ts.astype("datetime64[us]")
