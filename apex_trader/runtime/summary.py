"""The last lines a run prints: its figures beside the baselines', and where to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.table import Table

from apex_trader.evaluation.report import FIGURES, show_figure
from apex_trader.runtime.run_folder import RunFolder

SHOWN = (
    "net_return", "gross_return", "fee", "max_drawdown", "sharpe", "trades_per_day", "exposure",
)  # fmt: skip


def print_summary(
    show: Callable[[Table | str], None],
    folder: RunFolder,
    figures: Mapping[str, Mapping[str, float]],
    title: str = "test period, out of sample",
) -> None:
    """Show a table of the headline figures and the paths of report and result."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in figures:
        table.add_column(name, justify="right")
    for key, label, form in FIGURES:
        if key in SHOWN:
            table.add_row(label, *(show_figure(f[key], form) for f in figures.values()))
    show(table)
    show(f"report: {folder.report}")
    show(f"result: {folder.result}")
