"""What the states were made of."""

from __future__ import annotations

import numpy as np

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.section import Section, Table

TEXT = (
    "Features of a state by block: asked for, filled at some decision of the period, and those "
    "that this data source can never fill."
)


def coverage_section(data: ReportData) -> Section:
    """The table of blocks."""
    if not data.coverage:
        why = "Not measured: no state of the period is at hand."
        return Section.absent("state", "What the state was made of", why)
    rows = [[block, *(f"{count:,}" for count in counts)] for block, counts in data.coverage.items()]
    total = np.array(list(data.coverage.values())).sum(axis=0)
    rows.append(["total", *(f"{count:,}" for count in total)])
    head = ["block", "required", "delivered", "cannot be provided by this source"]
    return Section("state", "What the state was made of", TEXT, (Table("coverage", head, rows),))
