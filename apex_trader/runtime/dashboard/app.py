"""The page itself: its layout, and the one callback that brings it up to date."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update

from apex_trader.evaluation.report.section import Section
from apex_trader.runtime.dashboard import page
from apex_trader.runtime.dashboard.board import Board, Standing
from apex_trader.runtime.dashboard.figures import (
    HEIGHTS,
    STRETCHES,
    confidence_figure,
    equity_figure,
    market_figure,
)
from apex_trader.runtime.dashboard.history import CHOICES

TITLE = "apex-trader"
#: Everything comes from this server; nothing may be sent elsewhere, and no other page may frame it.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_SECTIONS = (
    Section("market", "Price, fills and pivots", (
        "Candles that the run saw close (UTC), its fills at the prices that were traded, and "
        "pivots at their own bars: it could know each only from its confirmation on (hover). "
        "Drag to zoom, double-click to go back."), ()),
    Section("account", "Equity and confidence", (
        "Net of costs, at each decision. Confidence: calibrated probability that a wished order "
        "beats keeping the position; below the gate nothing that adds risk is ordered."), ()),
    Section("risk", "Risk limits", (
        "Always on, at the latest decision. Orders that reduce risk are never refused."), ()),
    Section("decisions", "Recent decisions", "", ()),
    Section("state", "State coverage", "", ()),
    Section("training", "The agent's training", "", ()),
)  # fmt: skip
_FIGURES = {"market": market_figure, "equity": equity_figure, "confidence": confidence_figure}
#: What the callback fills, beside the figures; ``shown`` says what the browser shows already.
_PARTS = ("heading", "status", "notes", "tiles", "risk-part", "decisions-part", "state-part",
          "training-part")  # fmt: skip


def app_of(board: Board, refresh: float) -> Dash:
    """The application. refresh: seconds between two looks at the journal."""
    app = Dash(
        __name__, title=TITLE, update_title=None, serve_locally=True, enable_mcp=False,
        add_log_handler=False, include_assets_files=True, index_string=_index(),
        assets_folder=str(Path(__file__).parent / "assets"),
    )  # fmt: skip
    app.layout = layout(refresh)

    @app.server.after_request
    def _close(answer: Any) -> Any:
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    @app.callback(
        *(Output(part, "children") for part in _PARTS),
        *(Output(name, "figure") for name in _FIGURES),
        Output("content", "hidden"),
        Output("shown", "data"),
        *(Output(name, "relayoutData") for name in _FIGURES),
        Input("clock", "n_intervals"),
        Input("stretch", "value"),
        Input("choice", "value"),
        State("shown", "data"),
        *(State(name, "relayoutData") for name in _FIGURES),
    )
    def _update(
        _: int, stretch: str, choice: str, shown: dict[str, str] | None, *zooms: Any
    ) -> Any:
        with board.look() as standing:
            parts, figures, hidden, now = update(
                standing, board.watched.name, stretch, choice, shown or {}
            )
        if (shown or {}).get("stretch") != stretch:
            return [*parts, *figures, hidden, now, *([None] * len(figures))]
        kept = [zoomed(*pair) for pair in zip(figures, zooms, strict=True)]
        return [*parts, *kept, hidden, now, *([no_update] * len(figures))]

    @app.callback(Output("clock", "disabled"), Input("live", "value"))
    def _pause(live: list[str]) -> bool:
        return not live

    return app


def update(
    standing: Standing, name: str, stretch: str, choice: str, shown: dict[str, str]
) -> tuple[list[Any], list[Any], bool, dict[str, str]]:
    """What the browser must draw anew, where it shows ``shown``: parts, figures, whether the
    content is hidden, and what it shows then. name: of the folder that is watched."""
    view = standing.view
    if view is None:
        said = page.waiting(name) if not standing.error else [
            html.H1("This trading run cannot be shown"),
            html.P(standing.error, className="note"),
        ]  # fmt: skip
        nothing: list[Any] = [[] for _ in _PARTS[1:]]
        return [said, *nothing], [no_update] * len(_FIGURES), True, {}
    now = {"run": f"{view.folder.path} {view.began}", "version": standing.version,
           "stretch": stretch, "choice": choice}  # fmt: skip
    new = {key for key, value in now.items() if shown.get(key) != value}
    data = bool(new & {"run", "version"})
    parts = [
        page.heading(view) if "run" in new else no_update,
        page.status_line(view),
        page.notes(view),
        page.tiles(view) if data else no_update,
        page.risk_part(view) if data else no_update,
        page.decisions_table(view, choice) if data or "choice" in new else no_update,
        page.state_part(view) if data else no_update,
        page.training_part(view) if "run" in new else no_update,
    ]
    drawn = data or "stretch" in new
    figures = [draw(view, stretch) if drawn else no_update for draw in _FIGURES.values()]
    return parts, figures, False, now


def zoomed(figure: Any, event: dict[str, Any] | None) -> Any:
    """A figure with the ranges that a reader chose in the one before it.

    event: what Plotly told of his latest change; a double-click has no ranges.
    """
    if figure is no_update:
        return figure
    for name, value in (event or {}).items():
        axis, _, which = name.partition(".range[")
        if which == "0]" and f"{axis}.range[1]" in (event or {}):
            figure.layout[axis].range = [value, (event or {})[f"{axis}.range[1]"]]
    return figure


def layout(refresh: float) -> Any:
    """What stands before anything is known."""
    bodies = {
        "market": [_graph("market", "Candles, fills, pivots and position")],
        "account": [html.Div([
            _graph("equity", "Equity and drawdown"), _graph("confidence", "Confidence and gate"),
        ], className="halves")],
        "decisions": [
            _radio("choice", CHOICES, "all", "Which decisions"),
            html.Div(id="decisions-part", className="scroll tall", tabIndex="0"),
        ],
    }  # fmt: skip
    return html.Div([
        html.Header([
            html.Div(id="heading"),
            html.P(id="status", className="status", role="status"),
            html.Div(id="notes"),
        ]),
        html.Div([
            html.Dl(id="tiles", className="tiles"),
            html.Div([
                html.Nav(html.Ul([html.Li(html.A(s.title, href=f"#{s.key}-section"))
                                  for s in _SECTIONS]), **{"aria-label": "Sections"}),
                html.Div([
                    _radio("stretch", tuple(STRETCHES), "6 h", "Stretch of time"),
                    dcc.Checklist(["live"], ["live"], id="live", inline=True),
                ], className="controls"),
            ], className="controls bar-of-page"),
            *(_section(s, bodies.get(s.key, [html.Div(id=f"{s.key}-part")])) for s in _SECTIONS),
        ], id="content", hidden=True),
        dcc.Interval(id="clock", interval=int(refresh * 1_000)),
        dcc.Store(id="shown"),
    ], className="page")  # fmt: skip


def _section(section: Section, body: list[Any]) -> Any:
    text = [html.P(section.text, className="text")] if section.text else []
    return html.Section([html.H2(section.title), *text, *body], id=f"{section.key}-section")


def _graph(name: str, label: str) -> Any:
    height = HEIGHTS[name]
    return html.Figure(
        dcc.Graph(id=name, config=page.GRAPH, style={"height": height}),
        role="img",
        **{"aria-label": label},
    )


def _radio(name: str, options: tuple[str, ...], chosen: str, label: str) -> Any:
    radio = dcc.RadioItems(list(options), chosen, id=name, inline=True, className="choice")
    return html.Div(radio, role="group", **{"aria-label": label})


def _index() -> str:
    """The frame of the page, in the report's own style."""
    style = (files("apex_trader.evaluation.report") / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head>{%metas%}'
        '<meta name="color-scheme" content="light dark"><title>{%title%}</title>{%favicon%}'
        f"<style>{style}</style>"
        "{%css%}</head><body>{%app_entry%}"
        '<noscript><p class="note">This page needs JavaScript.</p></noscript>'
        "<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>"
    )
