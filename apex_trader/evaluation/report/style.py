"""How figures look: colours that hold on light and dark ground, and dashes that hold in print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from apex_trader.evaluation.record import Record

BLUE, TEAL, ORANGE, RED = "#2f81f7", "#1a9e96", "#d9822b", "#d1434b"
GREEN, PURPLE, GREY, OLIVE, PINK = "#2da44e", "#8957e5", "#8b949e", "#9a8700", "#c2559d"
AGENT, GAIN, LOSS = BLUE, GREEN, RED
OTHERS = (ORANGE, PURPLE, GREY, OLIVE, PINK, TEAL, RED, GREEN)
DASHES = ("solid", "dash", "dashdot", "dot", "longdash")
HEIGHT = 420


def lines_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """A line style for each record: the agent's own stands out."""
    return [{"color": AGENT, "width": 2.2}, *line_styles(len(records) - 1)]


def line_styles(count: int) -> list[dict[str, Any]]:
    """Styles of so many lines beside each other, told apart without colour as well."""
    return [
        {"color": OTHERS[i % len(OTHERS)], "width": 1.2, "dash": DASHES[i % len(DASHES)]}
        for i in range(count)
    ]


def see_through(colour: str, opacity: float) -> str:
    """A colour #rrggbb as rgba()."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def finish(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """The layout that all figures share."""
    figure.update_layout(
        height=height,
        margin={"l": 64, "r": 16, "t": 40, "b": 48},
        legend={
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "traceorder": "normal",
        },
        font={"family": "system-ui, sans-serif", "size": 12},
        hoverlabel={"namelength": -1},
    )
    return figure


def say(figure: go.Figure, text: str, number: int = 1) -> None:
    """Words in the middle of a panel (the figure's number-th) that has nothing to show."""
    name = "" if number == 1 else str(number)
    figure.add_annotation(text=text, showarrow=False, xref=f"x{name} domain",
                          yref=f"y{name} domain", x=0.5, y=0.5)  # fmt: skip
    for axis in ("xaxis", "yaxis"):
        figure.layout[f"{axis}{name}"].update(range=[0, 1], showticklabels=False)
