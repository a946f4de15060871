"""The page: one file that needs nothing from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import BaseLoader, Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from apex_trader.evaluation.report.headline import Tile
from apex_trader.evaluation.report.section import Chart, Section, charts


@dataclass(frozen=True)
class Head:
    """What stands above the sections. notes: what a reader must not miss; verdict: sentences;
    tiles: the first figures; facts: the run in a few words."""

    title: str
    notes: Sequence[str]
    verdict: Sequence[str]
    tiles: Sequence[Tile]
    facts: Mapping[str, str]


def page_of(head: Head, sections: Sequence[Section]) -> str:
    """HTML of the sections below their head. Every text is escaped."""
    environment = Environment(
        loader=BaseLoader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    drawn = charts(sections)
    return environment.from_string(_read("page.html.jinja")).render(
        head=head,
        sections=sections,
        kind=lambda block: type(block).__name__,
        specifications={chart.key: Markup(specification(chart)) for chart in drawn},
        style=Markup(_read("page.css")),
        script=Markup(_read("page.js")),
        plotly=Markup(get_plotlyjs()) if drawn else "",
    )


def specification(chart: Chart) -> str:
    """A figure as JSON that may stand inside a script element: it holds no "<"."""
    text = chart.figure.to_json(engine="json")
    values = json.loads(text)
    values["layout"].pop("template", None)  # the page has its own ground, light or dark
    return json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
