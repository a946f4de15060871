"""The parts of the page, out of what is known of a trading run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from dash import dcc, html

from apex_trader.evaluation.report.headline import Tile
from apex_trader.evaluation.report.training import training_figure
from apex_trader.runtime.dashboard.figures import training_curves_figure
from apex_trader.runtime.dashboard.risk import LimitUse
from apex_trader.runtime.dashboard.view import TradeView
from apex_trader.state.schema import ACCOUNT_SIZE
from apex_trader.time import SECOND, day_start, format_time

Part = Any
_SIDES = ("short", "flat", "long")
#: Decisions in the table.
SHOWN = 100
#: What Plotly's own buttons offer.
GRAPH = {
    "displaylogo": False, "displayModeBar": "hover", "responsive": True, "showTips": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
}  # fmt: skip


def heading(view: TradeView) -> Part:
    """What trades, in a line."""
    config, about = view.config, view.about
    gate = f"gate {view.gate:g}" if view.gate else "no gate"
    return [
        html.H1(f"{about.get('mode', '?')} trading {config.market.primary}"),
        html.P(
            [
                html.Span(f"checkpoint {about['checkpoint']}"), html.Span(gate),
                html.Span(f"actions {'/'.join(view.actions)}, decides every "
                          f"{view.schema.decision_interval / SECOND:g} s"),
                html.Span(str(view.folder.path), className="path"),
            ],
            className="facts",
        ),
    ]  # fmt: skip


def status_line(view: TradeView, now: float | None = None) -> Part:
    """How the run stands."""
    status = view.status(now)
    last = view.decisions.last
    parts = [html.Span(status.kind, className=f"pill {status.kind}")]
    if last is not None:
        parts.append(html.Span(f"last decision {format_time(last['ts'])} UTC"))
    if status.kind in ("silent", "ended", "stopping", "waiting"):
        parts.append(html.Span(status.says))
    if not math.isnan(status.age) and status.kind != "ended":
        parts.append(html.Span(f"journal grew {status.age:,.0f} s ago", className="soft"))
    return parts


def notes(view: TradeView) -> Part:
    """What must not be missed."""
    found: list[str] = []
    risk = view.risk()
    if risk is not None and risk.halted:
        found.append(f"Halted: {risk.halted}")
    if risk is not None and risk.closed_today:
        found.append("The daily loss limit was hit: nothing is opened until the next day (UTC).")
    if view.status().kind == "silent":
        found.append(view.status().says.capitalize() + ".")
    if view.about.get("mode") == "live":
        found.append("Real money: orders go to the exchange.")
    audit = view.training.audit
    if audit is not None and audit.get("holes"):
        found.append(f"The audit of the run found holes: {'; '.join(audit['holes'])}")
    return [html.P(text, className="note") for text in found]


def tiles(view: TradeView) -> Part:
    """The first figures."""
    return [
        html.Div([html.Dt(t.label), html.Dd(t.value), html.Dd(t.note, className="beside")])
        for t in _tiles(view)
    ]


def _tiles(view: TradeView) -> list[Tile]:
    last, known, orders = view.decisions.last, view.decisions, view.orders
    if last is None:
        return []
    equity, ts = known.column("equity"), known.column("ts")
    today = equity[np.searchsorted(ts, day_start(last["ts"]))]
    fallen = 1.0 - equity[-1] / equity.max()
    price = math.exp(last["mark"]) if last["mark"] is not None else math.nan
    value = last["quantity"] * price
    sure = _latest_confidence(view)
    return [
        Tile("equity", f"{equity[-1]:,.2f}", f"{equity[-1] / equity[0] - 1:+.3%} since the start"),
        Tile("today (UTC)", f"{equity[-1] / today - 1:+.3%}", f"{equity[-1] - today:+,.2f}"),
        Tile("below the peak", f"{fallen:.3%}", f"peak {equity.max():,.2f}"),
        Tile("position", _SIDES[last["position"] + 1],
             f"{last['quantity']:+g}, {value:+,.2f}" if last["position"] else "nothing held"),
        Tile("price", f"{price:,.2f}", "the last trade before the decision"),
        Tile("confidence", sure, f"gate {view.gate:g}" if view.gate else "no gate"),
        Tile("orders filled", f"{orders.filled:,} of {known.acted:,}",
             f"{len(known):,} decision times"),
        Tile("costs", f"{orders.fee + orders.slippage:,.2f}",
             f"fees {orders.fee:,.2f}, slippage {orders.slippage:,.2f}"),
    ]  # fmt: skip


def _latest_confidence(view: TradeView) -> str:
    sure = view.decisions.column("confidence")
    known = sure[np.isfinite(sure)][-1:]
    return f"{known[0]:.2f}" if len(known) else "–"


def risk_part(view: TradeView) -> Part:
    """Every limit, how far it is used, and what was not done for which reason."""
    risk = view.risk()
    if risk is None:
        return html.P("Nothing has been decided yet.", className="text")
    head = ["limit", "used", "of", "", "beyond it"]
    rows = [
        html.Tr([
            html.Th(use.name, scope="row", title=f"risk.{use.setting}"), html.Td(use.used),
            html.Td(use.limit), html.Td(_bar(use), className="use"),
            html.Td(use.says, className="words"),
        ], className=use.status)
        for use in risk.uses
    ]  # fmt: skip
    reasons = view.decisions.reasons.most_common()
    told = [
        [kind, f"{count:,}", format_time(view.decisions.said[kind][1]),
         view.decisions.said[kind][0]]
        for kind, count in reasons
    ]  # fmt: skip
    return html.Div([
        html.Div(_table(head, rows, "risk"), className="scroll"),
        html.Div([
            html.H3("Why it did not act"),
            _plain(["reason", "times", "last (UTC)", "as it was said"], told, "reasons")
            if told else html.P("Nothing was refused so far.", className="text"),
        ], className="scroll"),
    ], className="halves")  # fmt: skip


def _bar(use: LimitUse) -> Part:
    share = 0.0 if math.isnan(use.share) else use.share
    text = "not known" if math.isnan(use.share) else f"{share:.0%} used"
    inner = html.Div(style={"width": f"{min(share, 1.0):.1%}"})
    return html.Div(inner, className=f"bar {use.status}", title=text, role="img",
                    **{"aria-label": text})  # fmt: skip


def decisions_table(view: TradeView, choice: str) -> Part:
    """The latest decisions, the newest first."""
    records = view.decisions.latest(choice)[:SHOWN]
    if not records:
        return html.P("There is none so far.", className="text")
    head = ["time (UTC)", "price", "held", *(f"Q {name}" for name in view.actions), "wanted",
            "confidence", "decided", "why not", "order", "fill"]  # fmt: skip
    return _table(head, [_decision_row(view, record) for record in records], "decisions")


def _decision_row(view: TradeView, record: Mapping[str, Any]) -> Part:
    q, asked = record["q"], bool(record["q"])
    best = max(q) if asked else math.nan
    cells = [
        html.Td(format_time(record["ts"])),
        html.Td(f"{math.exp(record['mark']):,.2f}" if _there(record["mark"]) else "–"),
        html.Td(_SIDES[record["position"] + 1]),
        *(html.Td(f"{v:+.4f}", className="best" if v == best else "") for v in q),
        *(html.Td("–") for _ in range(0 if asked else len(view.actions))),
        html.Td(_SIDES[record["wanted"] + 1] if asked else "–"),
        html.Td(f"{record['confidence']:.2f}" if _there(record["confidence"]) else "–"),
        html.Td(_move(record) if asked else "nothing"),
        html.Td(record["reason"], className="words"),
        html.Td(record["order"]),
        html.Td(_fill(view, record), className="words"),
    ]
    kind = "ordered" if record["order"] else "kept" if record["reason"] else ""
    return html.Tr(cells, className=kind)


def _move(record: Mapping[str, Any]) -> str:
    held, target = _SIDES[record["position"] + 1], _SIDES[record["target"] + 1]
    return f"stay {held}" if held == target else f"{held} → {target}"


def _fill(view: TradeView, record: Mapping[str, Any]) -> str:
    if not record["order"]:
        return ""
    found = view.orders.of(record["order"])
    if found is None:
        return "on its way"
    if found["filled_at"] is None:
        return f"not filled: {found['reason']}"
    waited = (found["filled_at"] - found["decided"]) / SECOND
    return f"{found['quantity']:+g} at {found['price']:,.2f} after {waited:.1f} s, " \
           f"fee {found['fee']:,.2f}"  # fmt: skip


def state_part(view: TradeView) -> Part:
    """The state by block: as the audit found it, as this run saw it, and the latest one."""
    seen = view.state.blocks()
    audit = view.training.audit
    told = {b["name"]: b for b in audit["blocks"]} if audit is not None else {}
    head = ["block", "required", "audit: delivered", "cannot be provided", "alive here",
            "missing now", "zero now", "clipped now", "clipped share"]  # fmt: skip
    rows = []
    for block in seen:
        known = told.get(block.name)
        rows.append([
            block.name, f"{block.size:,}",
            *([f"{known['delivered']:,}", f"{known['cannot_provide']:,}"] if known else "––"),
            f"{block.alive:,}", f"{block.missing:,}", f"{block.zero:,}", f"{block.clipped:,}",
            f"{block.clipped / block.size:.2%}",
        ])  # fmt: skip
    sums = [sum(getattr(b, n) for b in seen) for n in ("alive", "missing", "zero", "clipped")]
    size = view.schema.market_size
    total = ["market", f"{size:,}", *(
        [f"{audit['delivered']:,}", f"{audit['cannot_provide']:,}"] if audit is not None else "––"
    ), *(f"{n:,}" for n in sums), f"{sums[-1] / size:.2%}"]  # fmt: skip
    return [
        html.P(_coverage_text(view, sums[0] if seen else None), className="verdict"),
        html.Div(_plain(head, [*rows, total], "coverage"), className="scroll")
        if seen else html.P("No state has been seen yet.", className="text"),
        html.P(
            "Features: columns × rows of the window. Alive here: of columns that took more than "
            "one value in what this run saw (today's tables with their look-back). Now: the latest "
            "state, put together again from the journal; missing: rows and prices that are not "
            f"there, zero: exact zeros besides. The account adds {ACCOUNT_SIZE} features.",
            className="text",
        ),
    ]  # fmt: skip


def _coverage_text(view: TradeView, alive: int | None) -> str:
    size, audit = view.schema.market_size, view.training.audit
    text = "" if alive is None else f"{alive:,} of {size:,} market inputs are alive in this run. "
    if audit is None:
        return text + (
            "The run was not audited: "
            f"python -m apex_trader.audit run={view.about['run']} tells what is delivered."
        )
    return f"{text}Audit: {audit['closing']}."


def training_part(view: TradeView) -> Part:
    """What is known of the agent's training."""
    known = view.training
    blocks: list[Part] = [html.P(note, className="note") for note in known.notes]
    facts = _plain(None, [[name, text] for name, text in known.facts.items()], "facts")
    if known.figures:
        labels = list(next(iter(known.figures.values())))
        rows = [[policy, *figures.values()] for policy, figures in known.figures.items()]
        judged = html.Div([
            html.H3("Backtest on the test days, net of costs"),
            _plain(["", *labels], rows, "backtest"),
        ], className="scroll")  # fmt: skip
        blocks.append(html.Div([html.Div(facts, className="scroll"), judged], className="halves"))
    else:
        blocks.append(facts)
    if known.curves:
        figure = training_curves_figure(training_figure(known.curves))
        blocks.append(html.Details([
            html.Summary("Curves of the training"),
            dcc.Graph(figure=figure, config=GRAPH, style={"height": figure.layout.height}),
        ]))  # fmt: skip
    return blocks


def waiting(name: str) -> Part:
    """While a run has no trading run."""
    return [
        html.H1("No trading run yet"),
        html.P(f"{name} has none in its folder trades. This page shows one as soon as it begins:"),
        html.Pre(f"python -m apex_trader.trade run={name}"),
    ]


def _plain(head: Sequence[str] | None, rows: Sequence[Sequence[str]], name: str) -> Part:
    """A table of text; the first column names the row."""
    body = [
        html.Tr([html.Th(row[0], scope="row"), *(html.Td(cell) for cell in row[1:])])
        for row in rows
    ]
    return _table(head, body, name)


def _table(head: Sequence[str] | None, rows: Sequence[Part], name: str) -> Part:
    top = [] if head is None else [html.Thead(html.Tr([html.Th(h, scope="col") for h in head]))]
    return html.Table([*top, html.Tbody(list(rows))], id=f"table-{name}", className=name)


def _there(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
