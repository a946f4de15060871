"""The page: self-contained, escaped, readable without a mouse and on paper."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from apex_trader.evaluation.report import render, sections_of
from apex_trader.evaluation.report.section import charts


class Elements(HTMLParser):
    """Every element of a page with its attributes, in order, and the tags left open."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):  # type: ignore[no-untyped-def]
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):  # type: ignore[no-untyped-def]
        assert self.open.pop() == tag

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


@pytest.fixture(scope="module")
def page(data) -> str:
    return render(data)


@pytest.fixture(scope="module")
def elements(page) -> Elements:
    return Elements(page)


def own(page: str) -> str:
    """The page less the chart library's own code."""
    start = page.index("</style>")
    return page[:start] + page[page.index("</head>", start) :]


def test_every_tag_is_closed(elements):
    assert elements.open == []


def test_nothing_is_loaded_from_anywhere(page, elements):
    """No file, style, picture or script from elsewhere: it can be mailed and kept."""
    loading = ("src", "srcset", "data", "action", "poster", "background", "cite", "manifest")
    for _, attributes in elements.found:
        assert not set(loading) & set(attributes)
    assert elements.of("link", "iframe", "img", "object", "embed", "base", "form") == []
    assert all((a["href"] or "").startswith("#") for a in elements.of("a"))
    markup = own(page)
    assert re.findall(r"https?://|@import|url\(", markup) == []


def test_the_browser_itself_would_refuse_a_request(elements):
    (policy,) = [m["content"] for m in elements.of("meta") if m.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "form-action 'none'" in policy


def test_no_button_sends_a_chart_away(page):
    assert '"sendChartToCloud"' in own(page)  # among those that are removed
    assert re.search(r'plotlyServerURL:\s*""', own(page))


def test_a_few_megabytes_at_most(page):
    assert len(page.encode()) < 8e6


def test_text_from_outside_is_text(page):
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in page


def test_names_of_policies_cannot_break_out_of_a_chart(data):
    evil = replace(data.records[0], name="</script><b>x")
    figures = {evil.name: data.figures["agent"]}
    page = render(replace(data, records=[evil], figures=figures, confidence=None, assessment=None,
                          walk_forward=None, seeds=()))  # fmt: skip
    assert "</script><b>x" not in page
    Elements(page)


def test_every_chart_has_its_figure_and_says_the_same_in_words(data, page, elements):
    drawn = [div for div in elements.of("div") if div.get("role") == "img"]
    shown = charts(sections_of(data))
    assert [div["data-spec"] for div in drawn] == [f"spec-{chart.key}" for chart in shown]
    assert all(div["aria-label"] for div in drawn)
    for chart in shown:
        text = re.search(rf'id="spec-{chart.key}">(.*?)</script>', page, re.DOTALL)
        assert text is not None
        specification = json.loads(text.group(1))
        assert len(specification["data"]) == len(chart.figure.data) > 0


def test_charts_hold_the_numbers_that_they_show(data, page):
    text = re.search(r'id="spec-equity">(.*?)</script>', page, re.DOTALL)
    assert text is not None
    traces = {t["name"]: t for t in json.loads(text.group(1))["data"] if "name" in t}
    packed = traces["agent"]["y"]
    values = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])
    assert values[-1] == data.agent.equity[-1] - 1
    assert values.min() == data.agent.equity.min() - 1


def test_every_section_can_be_reached_by_keyboard(data, elements):
    keys = [section["id"] for section in elements.of("section")]
    assert keys == [section.key for section in sections_of(data)]
    links = [(a["href"] or "").removeprefix("#") for a in elements.of("a")]
    assert links == ["content", *keys]
    assert len(set(keys)) == len(keys)
    for box in elements.of("pre"):
        assert box["tabindex"] == "0"


def test_tables_name_their_rows_and_columns(elements):
    scopes = {cell.get("scope") for cell in elements.of("th")}
    assert scopes == {"row", "col"}


def test_dark_light_and_paper_are_provided_for(page):
    style = page[page.index("<style>") : page.index("</style>")]
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert "beforeprint" in own(page)


def test_no_figure_is_printed_as_nan(page):
    words = re.sub(r"<script.*?</script>", "", own(page), flags=re.DOTALL)
    assert re.findall(r"\b(nan|None|inf)\b", words) == []


def test_a_judgement_that_lacks_nearly_everything_renders_too(bare):
    page = render(bare)
    Elements(page)
    assert "Not known: no ledger was read" in page
    assert "One division of the days, no walk-forward" in page
