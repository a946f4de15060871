"""How to get these figures again."""

from __future__ import annotations

from apex_trader.evaluation.report.data import ReportData
from apex_trader.evaluation.report.section import Block, Code, Folded, Section, Table, Words

TITLE = "How to reproduce it"
TEXT = (
    "What was run, with which settings, programs and data. With runtime=serial the same seed gives "
    "the same result; with runtime=ray the order of events differs from run to run."
)


def reproduction_section(data: ReportData) -> Section:
    """Commands, versions, configuration."""
    found = data.reproduction
    if found is None:
        return Section.absent("reproduce", TITLE, "Not known: the report was made without a run.")
    blocks: list[Block] = []
    for title, command in found.commands.items():
        blocks += [Words(f"{title}:"), Code(command)]
    versions = [[name, version] for name, version in found.versions.items()]
    blocks += [
        Table("versions", ["", "version"], versions, plain=True),
        Folded("The configuration, resolved", (Code(found.configuration),)),
    ]
    return Section("reproduce", TITLE, TEXT, blocks)
