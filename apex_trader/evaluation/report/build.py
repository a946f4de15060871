"""The report's sections in their order: results first, then how they came about."""

from __future__ import annotations

from collections.abc import Sequence

from apex_trader.evaluation.report.actions import actions_section
from apex_trader.evaluation.report.confidence_figures import confidence_section
from apex_trader.evaluation.report.coverage_table import coverage_section
from apex_trader.evaluation.report.curves import curves_section
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.equity import equity_section
from apex_trader.evaluation.report.figures_table import figures_section
from apex_trader.evaluation.report.folds import folds_section
from apex_trader.evaluation.report.headline import tiles, verdict
from apex_trader.evaluation.report.heatmap import heatmap_section
from apex_trader.evaluation.report.holding import holding_section
from apex_trader.evaluation.report.page import Head, page_of
from apex_trader.evaluation.report.price import price_section
from apex_trader.evaluation.report.regimes import regimes_section
from apex_trader.evaluation.report.reproduction import reproduction_section
from apex_trader.evaluation.report.section import Section
from apex_trader.evaluation.report.seeds import seeds_section
from apex_trader.evaluation.report.significance import significance_section
from apex_trader.evaluation.report.terms import terms_section
from apex_trader.evaluation.report.training import training_section
from apex_trader.evaluation.report.trials import trials_section
from apex_trader.evaluation.report.underwater import underwater_section

_SECTIONS = (
    figures_section, significance_section, trials_section, equity_section, underwater_section,
    folds_section, seeds_section, curves_section, regimes_section, heatmap_section, price_section,
    actions_section, holding_section, confidence_section, terms_section, training_section,
    coverage_section, reproduction_section,
)  # fmt: skip


def sections_of(data: ReportData) -> list[Section]:
    """Every section; those without anything to show say why."""
    return [section(data) for section in _SECTIONS]


def render(data: ReportData, sections: Sequence[Section] | None = None) -> str:
    """The whole page, HTML; sections: ``sections_of`` the data, where they are at hand."""
    head = Head(data.title, data.notes, verdict(data), tiles(data), data.facts)
    return page_of(head, sections_of(data) if sections is None else sections)
