"""The charts of a trading run, over a stretch of its time."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from apex_trader.evaluation.report.market_view import Fills, MarketView, Pivots
from apex_trader.evaluation.report.price import PERIOD_LEVEL, price_figure, span_for
from apex_trader.evaluation.report.resample import MAX_POINTS, thin, times
from apex_trader.evaluation.report.style import (
    AGENT,
    GAIN,
    GREY,
    LOSS,
    ORANGE,
    finish,
    say,
    see_through,
)
from apex_trader.runtime.dashboard.view import TradeView
from apex_trader.time import DAY, HOUR, SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: What a reader can choose to see → µs up to now; 0: all of it.
STRETCHES = {"1 h": HOUR, "6 h": 6 * HOUR, "24 h": DAY, "all": 0}
#: Figure → its height in pixels, which the page keeps free for it.
HEIGHTS = {"market": 560, "equity": 330, "confidence": 330}
#: (a stretch of up to so many µs, the lowest pivots that it shows).
_LEVELS = ((6 * HOUR, 2), (DAY, 3))
_CLEAR = "rgba(0,0,0,0)"


def market_figure(view: TradeView, stretch: str) -> go.Figure:
    """Candles with fills and pivots, and the position."""
    market, held = view.market(), view.decisions
    begin, end = reach(view, stretch)
    candles = market.candles.between(begin, end + 1)
    candles = candles.coarser(span_for(candles))
    level = next((level for span, level in _LEVELS if end - begin <= span + SECOND), PERIOD_LEVEL)
    position = held.column("ts"), held.column("position").astype(np.float64)
    figure = price_figure(_within(market, begin), position, candles, level)
    if not len(candles):
        say(figure, "no minute has closed yet")
    began = view.decisions.column("ts")[:1]
    if len(began) and began[0] > begin:
        figure.add_vline(x=float(times(began)[0]), line={"color": GREY, "width": 1, "dash": "dot"},
                         annotation={"text": "the run began", "textangle": 0}, row=1)  # fmt: skip
    return _dressed(figure, view, stretch)


def equity_figure(view: TradeView, stretch: str) -> go.Figure:
    """The account's equity, and how far it is below its highest point."""
    ts, equity = view.decisions.column("ts"), view.decisions.column("equity")
    under = equity / np.maximum.accumulate(equity) - 1.0 if len(equity) else equity
    first = np.searchsorted(ts, reach(view, stretch, candles=False)[0])
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.68, 0.32],
                           vertical_spacing=0.06)  # fmt: skip
    for row, name, values, fill in (
        (1, "equity", equity[first:], None), (2, "below the peak", under[first:], "tozeroy"),
    ):  # fmt: skip
        pick = thin(values)
        figure.add_scatter(
            x=times(ts[first:][pick]), y=values[pick], name=name, mode="lines", fill=fill,
            line={"color": AGENT if row == 1 else LOSS, "width": 1.6},
            fillcolor=see_through(LOSS, 0.15) if fill else None, row=row, col=1,
        )  # fmt: skip
    figure.update_xaxes(type="date")
    figure.update_yaxes(title="equity", tickformat=",", row=1)
    deepest = float(under[first:].min(initial=-1e-4))
    figure.update_yaxes(title="below peak", tickformat=".2~%", range=[1.05 * deepest, 0], row=2)
    finish(figure, HEIGHTS["equity"])
    return _dressed(figure, view, stretch)


def confidence_figure(view: TradeView, stretch: str) -> go.Figure:
    """Confidence of each wished order, what became of it, and the gate."""
    known = view.decisions
    begin, end = reach(view, stretch, candles=False)
    ts, sure = known.column("ts"), known.column("confidence")
    shown = np.flatnonzero(np.isfinite(sure) & (ts >= begin))[-MAX_POINTS:]
    held, wanted, target = (known.column(n)[shown] for n in ("position", "wanted", "target"))
    figure = go.Figure()
    for name, chosen, symbol, colour in (
        ("ordered", target == wanted, "circle", GAIN),
        ("in part: closed, not turned", (target != wanted) & (target != held), "diamond", ORANGE),
        ("not ordered", (target != wanted) & (target == held), "x-thin-open", GREY),
    ):
        at = shown[chosen]
        figure.add_scatter(
            x=times(ts[at]), y=sure[at], name=name, mode="markers",
            marker={"symbol": symbol, "color": colour, "size": 7},
            hovertemplate="%{x}<br>confidence %{y:.3f}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(type="date")
    figure.update_yaxes(title="confidence", range=[0, 1.02])
    if view.gate:
        figure.add_scatter(
            x=times(np.array([begin, end])), y=[view.gate, view.gate], mode="lines",
            name=f"gate {view.gate:g}", line={"color": LOSS, "width": 1.4, "dash": "dash"},
            hoverinfo="skip",
        )  # fmt: skip
    figure = finish(figure, HEIGHTS["confidence"])
    if not len(shown):
        say(figure, "no order was wished for yet" if view.gate else "it trades without a gate")
    return _dressed(figure, view, stretch)


def training_curves_figure(figure: go.Figure) -> go.Figure:
    """A figure of the report, on the ground of this page."""
    figure.update_layout(paper_bgcolor=_CLEAR, plot_bgcolor=_CLEAR, template=None)
    return figure


def reach(view: TradeView, stretch: str, candles: bool = True) -> tuple[int, int]:
    """(begin, end) µs of a stretch up to the latest decision; it begins with the run, or with its
    first candle at the earliest."""
    ts = view.decisions.column("ts")
    if not len(ts):
        return 0, 0
    end, begin = int(ts[-1]), int(ts[0])
    if candles and len(known := view.market().candles):
        begin = min(begin, int(known.ts[0]))
    back = STRETCHES[stretch]
    return (max(begin, end - back) if back else begin), end + SECOND


def _within(market: MarketView, begin: int) -> MarketView:
    """What lies behind a time: less to send."""
    fills, pivots = market.fills, market.pivots
    late, at = fills.ts >= begin, pivots.ts >= begin
    return MarketView(
        market.candles,
        Fills(fills.ts[late], fills.price[late], fills.side[late]),
        Pivots(pivots.ts[at], pivots.known[at], pivots.price[at], pivots.kind[at],
               pivots.level[at]),
    )  # fmt: skip


def _dressed(figure: go.Figure, view: TradeView, stretch: str) -> go.Figure:
    """Colours come from the page; what a reader hid in the legend stays hidden."""
    layout: dict[str, Any] = {"paper_bgcolor": _CLEAR, "plot_bgcolor": _CLEAR, "template": None}
    layout["modebar"] = {"bgcolor": _CLEAR, "color": GREY, "activecolor": AGENT}
    figure.update_layout(uirevision=f"{view.folder.path} {stretch}", **layout)
    figure.update_xaxes(gridcolor=see_through(GREY, 0.18), zeroline=False, showgrid=True)
    figure.update_yaxes(gridcolor=see_through(GREY, 0.18), zerolinecolor=see_through(GREY, 0.5))
    return figure
