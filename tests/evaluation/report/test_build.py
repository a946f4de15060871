"""The order of the sections, and what is said where there is nothing to show."""

from __future__ import annotations

from dataclasses import replace

from apex_trader.evaluation.report import sections_of
from apex_trader.evaluation.report.section import Words, charts

ORDER = (
    "figures", "significance", "trials", "equity", "underwater", "folds", "seeds", "curves",
    "regimes", "returns", "price", "actions", "holding", "confidence", "terms", "training",
    "state", "reproduce",
)  # fmt: skip


def test_figures_come_first_and_every_section_says_what_it_shows(data):
    sections = sections_of(data)
    assert tuple(section.key for section in sections) == ORDER
    for section in sections:
        assert section.text, section.key
        assert section.blocks, section.key


def test_an_absent_result_is_one_line_that_says_why(bare):
    lacking = ("significance", "trials", "folds", "seeds", "curves", "regimes", "price",
               "confidence", "training", "state", "reproduce")  # fmt: skip
    sections = {section.key: section for section in sections_of(bare)}
    assert tuple(sections) == ORDER
    for key in lacking:
        (block,) = sections[key].blocks
        assert isinstance(block, Words), key
        assert block.text.endswith("."), key


def test_charts_have_names_of_their_own(data):
    keys = [chart.key for chart in charts(sections_of(data))]
    assert len(set(keys)) == len(keys) >= 15


def test_an_account_that_never_traded_is_drawn_too(data):
    flat = next(r for r in data.records if r.name == "flat")
    figures = {"flat": data.figures["flat"]}
    sections = sections_of(replace(data, records=[flat], figures=figures))
    holding = next(s for s in sections if s.key == "holding")
    assert holding.blocks == (Words("No position was opened."),)
