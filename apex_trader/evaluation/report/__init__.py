"""One self-contained HTML page that says what a run did, for people who were not there."""

from apex_trader.evaluation.report.build import render, sections_of
from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import FIGURES, show_figure
from apex_trader.evaluation.report.section import Section

__all__ = ["FIGURES", "ReportData", "Section", "render", "sections_of", "show_figure"]
