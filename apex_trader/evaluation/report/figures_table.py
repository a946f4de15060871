"""The figures of every policy beside each other, net of costs first."""

from __future__ import annotations

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.format import FIGURES, is_ceiling, show_figure, why_missing
from apex_trader.evaluation.report.section import Block, Folded, Section, Table

TEXT = (
    "Each policy traded the same period with the same fills and costs, on one account. Returns and "
    "costs are shares of the starting equity; ratios are of daily net returns. A position that is "
    "open at the end is valued net of the costs of leaving it. Ceilings know the future or the "
    "market's hidden law: nobody can trade like them."
)


def figures_section(data: ReportData) -> Section:
    """Figures of every policy."""
    names = [record.name for record in data.records]
    rows = []
    for key, label, form in FIGURES:
        texts = (
            show_figure(data.figures[name].get(key), form, why_missing(key, data.figures[name]))
            for name in names
        )
        rows.append([label, *texts])
    head = ["", *(f"{name} (a ceiling)" if is_ceiling(name) else name for name in names)]
    blocks: list[Block] = [Table("figures", head, rows)]
    if data.assessment is not None and data.assessment.baselines:
        words = [[name, text] for name, text in data.assessment.baselines.items()]
        blocks.append(
            Folded("What the baselines do", (Table("baselines", ["", ""], words, plain=True),))
        )
    return Section("figures", "Figures", TEXT, blocks)
