"""The price with what the agent did: candles, fills, confirmed pivots, position."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import plural
from apex_trader.evaluation.report.market_view import Candles, MarketView, busiest_day
from apex_trader.evaluation.report.resample import thin, times
from apex_trader.evaluation.report.section import Block, Chart, Folded, Section, Words
from apex_trader.evaluation.report.style import AGENT, GAIN, GREY, LOSS, finish, see_through
from apex_trader.time import DAY, HOUR, MINUTE, format_date

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

TEXT = (
    "Candles of the traded market (quote currency, UTC), every fill of the agent at the price that "
    "was traded, and pivots at their own bars. A pivot is drawn where it lies, yet the agent could "
    "only know it from its confirmation on: hover to see when that was. Drag to zoom, double-click "
    "to go back."
)
#: Candles and fills of one side that a chart holds at most; more fills are counted by candle.
MAX_CANDLES, MAX_FILLS = 1_500, 1_500
#: Fills of one side from which on their marks are small.
MANY = 100
#: Spans of candles that a reader knows.
SPANS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY, 7 * DAY)
#: The lowest pivot level that a whole period shows; lower ones are too many.
PERIOD_LEVEL = 5


def price_section(data: ReportData) -> Section:
    """The busiest day first, then the best and the worst one and the whole period, folded."""
    if data.market is None or not len(data.market.candles):
        return Section.absent("price", "Price, fills and pivots", "Not drawn: no bars at hand.")
    agent, market = data.agent, data.market
    blocks: list[Block] = []
    shown = busiest_day(market.fills)
    if shown is None:
        blocks.append(Words("The agent filled no order: the first day stands for all."))
        shown = int(agent.ts[0]) // DAY * DAY
    blocks.append(_day_chart("price_busiest", "The day with the most orders", market, agent, shown))
    days, daily = agent.daily_returns()
    for key, title, at in (
        ("price_best", "The agent's best day", int(daily.argmax())),
        ("price_worst", "The agent's worst day", int(daily.argmin())),
    ):
        day = int(days[at])
        if day != shown:
            name = f"{title}: {format_date(day)}, net {daily[at]:+.2%}"
            blocks.append(Folded(name, (_day_chart(key, title, market, agent, day),)))
    if len(days) > 1:
        chart = period_chart(market, agent)
        blocks.append(Folded(f"The whole period, {plural(len(days), 'day')}", (chart,)))
    return Section("price", "Price, fills and pivots", TEXT, blocks)


def _day_chart(key: str, title: str, market: MarketView, agent: Record, day: int) -> Chart:
    """One UTC day, minute by minute."""
    orders = int(((market.fills.ts >= day) & (market.fills.ts < day + DAY)).sum())
    candles = market.candles.between(day, day + DAY)
    figure = price_figure(market, (agent.ts, agent.position), candles, level=2)
    return Chart(key, figure, f"{title}: {format_date(day)}, {plural(orders, 'order')} filled.")


def period_chart(market: MarketView, agent: Record) -> Chart:
    """All of it, in candles of a span that keeps them few."""
    candles = market.candles.coarser(span_for(market.candles))
    figure = price_figure(market, (agent.ts, agent.position), candles, PERIOD_LEVEL)
    return Chart("price_period", figure, f"The whole period in candles of {span_text(candles)}.")


def price_figure(
    market: MarketView, held: tuple[I64, F64], candles: Candles, level: int
) -> go.Figure:
    """Candles with fills and pivots from ``level`` up, and the position below them.

    held: ([n] µs, [n] position from then on).
    """
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.76, 0.24],
                           vertical_spacing=0.04)  # fmt: skip
    figure.add_candlestick(
        x=times(candles.ts), open=candles.open, high=candles.high, low=candles.low,
        close=candles.close, name=f"price, {span_text(candles)}", line_width=1,
        increasing={"line": {"color": GREY}, "fillcolor": see_through(GREY, 0.15)},
        decreasing={"line": {"color": GREY}, "fillcolor": GREY}, row=1, col=1,
    )  # fmt: skip
    start, end = (
        (int(candles.ts[0]), int(candles.ts[-1]) + candles.span) if len(candles) else (0, 0)
    )
    _add_pivots(figure, market, start, end, level)
    _add_fills(figure, market, start, end)
    ts, position = _position(*held, start, end, candles.span)
    figure.add_scatter(x=times(ts), y=position, name="position", row=2,
                       col=1, mode="lines", fill="tozeroy", fillcolor=see_through(AGENT, 0.2),
                       line={"color": AGENT, "width": 1, "shape": "hv"})  # fmt: skip
    figure.update_xaxes(type="date", rangeslider={"visible": False})
    figure.update_yaxes(title="price", row=1, fixedrange=False)
    figure.update_yaxes(title="position", range=[-1.15, 1.15], tickvals=[-1, 0, 1],
                        ticktext=["short", "flat", "long"], row=2)  # fmt: skip
    return finish(figure, 560)


def _position(ts: I64, position: F64, start: int, end: int, span: int) -> tuple[I64, F64]:
    """([k] µs, [k] position) in a stretch of time: as it was, or its mean in wide candles."""
    first, stop = np.searchsorted(ts, [start, end])
    ts, position = ts[first:stop], position[first:stop]
    if span > MINUTE:
        opens, number, counts = np.unique(ts // span * span, return_inverse=True,
                                          return_counts=True)  # fmt: skip
        return opens, np.bincount(number, weights=position) / counts
    rows = thin(position)
    return ts[rows], position[rows]


def _add_fills(figure: go.Figure, market: MarketView, start: int, end: int) -> None:
    fills = market.fills
    inside = (fills.ts >= start) & (fills.ts < end)
    for name, side, symbol, colour in (
        ("bought", 1, "triangle-up", GAIN), ("sold", -1, "triangle-down", LOSS),
    ):  # fmt: skip
        chosen = np.flatnonzero(inside & (fills.side == side))
        if len(chosen) > MAX_FILLS:
            chosen = chosen[np.linspace(0, len(chosen) - 1, MAX_FILLS).astype(np.int64)]
            name = (
                f"{name} (1 in {int((inside & (fills.side == side)).sum()) / MAX_FILLS:.1f} drawn)"
            )
        marker = {
            "symbol": symbol,
            "color": colour,
            "size": 9 if len(chosen) < MANY else 6,
            "line": {"color": "#fff", "width": 1},
        }
        figure.add_scatter(x=times(fills.ts[chosen]), y=fills.price[chosen], name=name, row=1,
                           col=1, mode="markers", marker=marker)  # fmt: skip


def _add_pivots(figure: go.Figure, market: MarketView, start: int, end: int, level: int) -> None:
    pivots = market.pivots
    chosen = (pivots.ts >= start) & (pivots.ts < end) & (pivots.level >= level)
    if not chosen.any():
        return
    # one mark a bar: a pivot of level 4 is one of levels 2 and 3 as well
    order = np.lexsort((-pivots.level[chosen], pivots.kind[chosen], pivots.ts[chosen]))
    at = np.flatnonzero(chosen)[order]
    keys = np.stack([pivots.ts[at], pivots.kind[at].astype(np.int64)])
    new = np.concatenate([[True], (np.diff(keys, axis=1) != 0).any(axis=0)])
    at = at[new]
    known = [str(np.datetime64(int(t), "us"))[:16].replace("T", " ") for t in pivots.known[at]]
    kinds = np.where(pivots.kind[at] > 0, "high", "low")
    custom = np.stack([pivots.level[at].astype(str), kinds, known], axis=1)
    marker: dict[str, Any] = {
        "symbol": "diamond-open", "color": "#bf8700",
        "size": 3 + 2 * pivots.level[at].astype(np.int64),
    }  # fmt: skip
    figure.add_scatter(
        x=times(pivots.ts[at]), y=pivots.price[at], name=f"pivots, level {level} and up", row=1,
        col=1, mode="markers", marker=marker, customdata=custom,
        hovertemplate="pivot %{customdata[1]}, level %{customdata[0]}<br>%{x} at %{y}<br>"
        "confirmed: known from %{customdata[2]} on<extra></extra>",
    )  # fmt: skip


def span_for(candles: Candles) -> int:
    """The shortest span that keeps candles few."""
    return next((s for s in SPANS if len(candles.coarser(s)) <= MAX_CANDLES), SPANS[-1])


def span_text(candles: Candles) -> str:
    """The span of candles in its largest unit."""
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if candles.span >= size:
            return f"{candles.span // size} {unit}"
    return f"{candles.span / 1e6:g} s"
