"""What the agent did in each kind of market."""

from __future__ import annotations

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.section import Section, Table

TITLE = "By kind of market"
TEXT = (
    "Where the result came from, by what the state knew of the market when the agent decided: the "
    "confirmed trend, an hour's volatility against the median of the period, choppiness. Net, "
    "after costs; shares and log returns of a division add up over its rows. A row of few days "
    "proves nothing."
)


def regimes_section(data: ReportData) -> Section:
    """The per-regime table."""
    if data.assessment is None:
        why = "Not computed: this report was made without a division into regimes."
        return Section.absent("regimes", TITLE, why)
    rows = [
        [f"{r.division}: {r.name}", f"{r.share:.1%}", f"{r.log_return:+.3%}",
         f"{1e4 * r.per_decision:+.3f} bp", f"{r.trades:,}", f"{r.exposure:.1%}"]
        for r in data.assessment.regimes
    ]  # fmt: skip
    head = ["market", "share of decisions", "net log return", "a decision", "orders", "exposure"]
    return Section("regimes", TITLE, TEXT, (Table("regimes", head, rows),))
