"""Whether the agent knows when it is right: reliability, coverage, gated beside ungated."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from apex_trader.evaluation.confidence.confidence import Uncalibrated
from apex_trader.evaluation.confidence.coverage import Coverage
from apex_trader.evaluation.confidence.judgement import ConfidenceJudgement
from apex_trader.evaluation.confidence.reliability import Reliability
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import FIGURES, plural, show_figure
from apex_trader.evaluation.report.section import Block, Chart, Section, Table, Words
from apex_trader.evaluation.report.style import AGENT, GREY, finish

TITLE = "Confidence"
TEXT = (
    "Confidence is the probability, calibrated on days that chose nothing and were not judged, "
    "that an order which adds risk beats keeping the position, net of costs, over the horizon "
    "named below. Errors are over days, since orders of a day share their future."
)


def confidence_section(data: ReportData) -> Section:
    """Calibration, coverage and the gate."""
    judged = data.confidence
    if judged is None:
        return Section.absent("confidence", TITLE, "Not judged: no confidence was asked for.")
    if isinstance(judged, Uncalibrated):
        return Section.absent("confidence", TITLE, " ".join(judged.notes()))
    blocks: list[Block] = [Words(_conditions(judged))]
    if judged.held is None:
        blocks.append(Words("Reliability: not enough data; the agent asked for no entry whose "
                            "outcome is known."))  # fmt: skip
    else:
        figure = reliability_figure(judged.held)
        blocks += [Chart("reliability", figure, reliability_text(judged.held)),
                   _scores(judged.held), _bins(judged.held)]  # fmt: skip
    blocks += [Chart("coverage", coverage_figure(judged.coverage, judged.gate), _covers(judged)),
               _gated_table(data, judged)]  # fmt: skip
    return Section("confidence", TITLE, TEXT, blocks)


def reliability_figure(held: Reliability) -> go.Figure:
    """What was said against what came, with intervals."""
    said = np.array([b.confidence for b in held.bins])
    came = np.array([b.frequency for b in held.bins])
    up = np.array([b.upper for b in held.bins]) - came
    down = came - np.array([b.lower for b in held.bins])
    orders = np.array([b.orders for b in held.bins])
    days = np.array([b.days for b in held.bins])
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="what was said comes true",
                       line={"color": GREY, "dash": "dash", "width": 1})  # fmt: skip
    figure.add_scatter(
        x=said, y=came, mode="markers+lines", name="the agent's entries",
        customdata=np.stack([orders, days], 1),
        marker={"size": 6 + 14 * np.sqrt(orders / orders.max()), "color": AGENT},
        line={"color": AGENT, "width": 1},
        error_y={"type": "data", "array": np.maximum(up, 0), "color": AGENT,
                 "arrayminus": np.maximum(down, 0)},
        hovertemplate="said %{x:.1%}, came %{y:.1%}<br>%{customdata[0]:,} orders on "
        "%{customdata[1]} days<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(
        title="confidence: share that was said to succeed", range=[-0.02, 1.02], tickformat=".0%"
    )
    figure.update_yaxes(title="share that did", range=[-0.02, 1.02], tickformat=".0%")
    return finish(figure, 420)


def reliability_text(held: Reliability) -> str:
    """The diagram in words."""
    holds = sum(b.holds for b in held.bins)
    return (
        f"Entries: {held.orders:,}, on {plural(held.days, 'day')}; in {holds} of "
        f"{plural(len(held.bins), 'bin')} what was said lies within the 95% "
        "interval of what came. Larger points hold more orders."
    )


def coverage_figure(coverage: tuple[Coverage, ...], gate: float) -> go.Figure:
    """Share of entries at a level of confidence or above it."""
    figure = go.Figure()
    figure.add_scatter(x=[c.level for c in coverage], y=[c.orders for c in coverage],
                       mode="lines+markers", name="of the entries asked for",
                       line={"color": AGENT})  # fmt: skip
    figure.add_vline(x=gate, line={"color": GREY, "dash": "dash"}, annotation_text="the gate")
    figure.update_xaxes(title="confidence at least", tickformat=".0%")
    figure.update_yaxes(title="share of entries", tickformat=".1~%", rangemode="tozero")
    return finish(figure, 300)


def _covers(judged: ConfidenceJudgement) -> str:
    return (
        f"{judged.covered:.2%} of the agent's entries reach the gate of {judged.gate:g}. Gated, "
        f"{judged.passed:,} of {judged.asked:,} orders that add risk were let through."
    )


def _conditions(judged: ConfidenceJudgement) -> str:
    fit = judged.calibrated.confidence.entering
    days = judged.calibrated.confidence.days
    return (
        f"Horizon {plural(judged.horizon, 'decision')}; calibrated on "
        f"{plural(fit.orders, 'order')} of {plural(fit.days, 'day')} ({days[0]} … {days[-1]}). "
        f"The gate of {judged.gate:g} refuses orders that add risk below it; closing always passes."
    )


def _scores(held: Reliability) -> Table:
    shown = (
        ("share that beat keeping", held.base_rate, "what always saying the same would say"),
        ("said less came", held.gap, "above 0: too sure"),
        ("Brier score", held.brier, "mean squared error; less is better"),
        ("gain over the base rate", held.brier_gain, "above 0: knows more than the mean"),
        ("log loss, nats", held.log_loss, "less is better; ln 2 = 0.693 is a coin's"),
        ("expected calibration error", held.calibration_error, "above 0 by chance alone"),
    )
    rows = [
        [label, f"{score.value:.4f}",
         "not enough data" if np.isnan(score.error) else f"± {score.error:.4f}", means]
        for label, score, means in shown
    ]  # fmt: skip
    return Table(
        "confidence_scores", ["", "value", "standard error over days", "means"], rows, plain=True
    )


def _bins(held: Reliability) -> Table:
    rows = [
        [f"{b.low:.0%} – {b.high:.0%}", f"{b.orders:,}", str(b.days), f"{b.confidence:.1%}",
         f"{b.frequency:.1%}", f"{b.lower:.1%} … {b.upper:.1%}"]
        for b in held.bins
    ]  # fmt: skip
    head = ["confidence", "orders", "days", "said", "came", "95% interval"]
    return Table("reliability", head, rows)


def _gated_table(data: ReportData, judged: ConfidenceJudgement) -> Table:
    names = [data.agent.name, judged.record.name]
    shown = {"net_return", "max_drawdown", "sharpe", "gross_return", "fee", "trades", "exposure"}
    rows = [
        [
            label,
            *(
                show_figure(data.figures.get(n, {}).get(key), form, "not enough data")
                for n in names
            ),
        ]
        for key, label, form in FIGURES
        if key in shown
    ]
    return Table("gated", ["", *names], rows, note="The same market, fills and costs.")
