"""The last lines a run prints: its figures beside the baselines', and where to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from apex_trader.evaluation.report import FIGURES, show_figure
from apex_trader.runtime.run_folder import RunFolder

#: Columns of the table, in words as short as a terminal is narrow; gross: before costs.
SHOWN = {
    "net_return": "net return", "max_drawdown": "drawdown", "sharpe": "Sharpe",
    "gross_return": "gross", "trades_per_day": "orders/day",
}  # fmt: skip


def print_summary(
    show: Callable[[Table | str], None],
    folder: RunFolder,
    figures: Mapping[str, Mapping[str, float]],
    title: str = "test period, out of sample",
) -> None:
    """Show a table of the headline figures, a row a policy, and the paths of report and result."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for label in SHOWN.values():
        table.add_column(label, justify="right", no_wrap=True)
    forms = {key: form for key, _, form in FIGURES}
    for name, known in figures.items():
        table.add_row(name, *(show_figure(known[key], forms[key]) for key in SHOWN))
    show(table)
    show(f"report: {folder.report}")
    show(f"result: {folder.result}")
