"""The last lines a run prints: its figures beside the baselines', and where to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.table import Table

from apex_trader.evaluation.report import FIGURES, show_figure
from apex_trader.runtime.run_folder import RunFolder

#: Columns of the table, in the order and words of a terminal's width.
SHOWN = {
    "net_return": "net return", "max_drawdown": "drawdown", "sharpe": "Sharpe",
    "gross_return": "before costs", "fee": "fees", "trades_per_day": "orders/day",
    "exposure": "exposure",
}  # fmt: skip


def print_summary(
    show: Callable[[Table | str], None],
    folder: RunFolder,
    figures: Mapping[str, Mapping[str, float]],
    title: str = "test period, out of sample",
) -> None:
    """Show a table of the headline figures, a row a policy, and the paths of report and result."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for label in SHOWN.values():
        table.add_column(label, justify="right")
    forms = {key: form for key, _, form in FIGURES}
    for name, known in figures.items():
        table.add_row(name, *(show_figure(known[key], forms[key]) for key in SHOWN))
    show(table)
    show(f"report: {folder.report}")
    show(f"result: {folder.result}")
