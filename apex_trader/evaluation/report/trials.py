"""How often these days were looked at, and how many attempts there were."""

from __future__ import annotations

from collections.abc import Sequence

from apex_trader.evaluation.report.data import Look, ReportData
from apex_trader.evaluation.report.format import plural
from apex_trader.evaluation.report.section import Block, Folded, Section, Table, Words

TITLE = "Attempts, and looks at these days"
TEXT = (
    "Of many attempts the best one looks good by chance. What counts is how many there were, and "
    "how often the days judged here had been looked at. The ledger in the market store keeps both."
)


def trials_section(data: ReportData) -> Section:
    """The ledger in words."""
    history = data.history
    if history is None:
        why = (
            "Not known: no ledger was read. Take the figures as if these days had been looked at "
            "before."
        )
        return Section.absent("trials", TITLE, why)
    touched = 1 + len(history.touches)
    blocks: list[Block] = [
        Words(
            f"The ledger ({history.ledger}) holds {plural(history.trials, 'training run')} on this "
            "market."
        ),
        Words(touches_text(touched), warns=touched > 1),
    ]
    if history.touches:
        blocks.append(Folded("Earlier looks", (_table(history.touches),)))
    return Section("trials", TITLE, TEXT, blocks)


def touches_text(touched: int) -> str:
    """How often the days judged were touched, this judgement included."""
    if touched <= 1:
        return "The days judged were touched once: by this judgement."
    return (
        f"The days judged, or some of them, were touched {touched} times, this judgement included. "
        "From the second time on a test is no longer unseen: whatever was changed in between was "
        "chosen with knowledge of it."
    )


def _table(touches: Sequence[Look]) -> Table:
    rows = [
        [t.time, t.who, t.run, t.command, t.days, f"{t.net_return:+.3%}"] for t in touches
    ]  # fmt: skip
    return Table("touches", ["when, UTC", "who", "run", "command", "days", "net return"], rows)
