"""An audit's findings on the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from apex_trader.runtime.audit.findings import BlockRow, Findings, Status

_STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "off": "dim", "hole": "bold red"}


def render(findings: Findings) -> Iterator[Table | Text]:
    """Tables of blocks, flaws and connections, then the closing line."""
    yield _blocks(findings)
    if findings.flaws:
        yield _flaws(findings)
    yield _connections(findings)
    for note in findings.notes:
        yield Text(f"note: {note}")
    for hole in findings.holes:
        yield Text(f"hole: {hole}", _STYLES["hole"])
    yield Text(findings.closing(), _STYLES["hole" if findings.holes else "ok"])


def _blocks(findings: Findings) -> Table:
    table = Table(title=f"blocks of {findings.schema}: features", title_justify="left")
    table.add_column("block")
    for name in ("required", "delivered", "cannot be provided", "missing", "coverage"):
        table.add_column(name, justify="right")
    table.add_column("worst clip share")
    for block in findings.blocks:
        table.add_row(*_block_cells(block))
    table.add_section()
    sums = [findings.market_size, findings.delivered, findings.cannot_provide]
    missing = findings.market_size - findings.delivered - findings.cannot_provide
    table.add_row("market", *(f"{n:,}" for n in sums), _missing(missing), "", "")
    return table


def _block_cells(block: BlockRow) -> list[str | Text]:
    clip = "–" if math.isnan(block.clip_share) else f"{block.clip_share:.2%} {block.clip_column}"
    return [
        block.name, f"{block.required:,}", f"{block.delivered:,}", f"{block.cannot_provide:,}",
        _missing(block.missing), f"{block.coverage:.1%}", clip,
    ]  # fmt: skip


def _missing(count: int) -> Text:
    return Text(f"{count:,}", _STYLES["hole"] if count else "")


def _flaws(findings: Findings) -> Table:
    table = Table("column", "flaw", "", title="flaws of columns", title_justify="left")
    for flaw in findings.flaws:
        table.add_row(flaw.column, flaw.reason, Text(flaw.status, _STYLES[flaw.status]))
    return table


def _connections(findings: Findings) -> Table:
    table = Table(title="connections, each perturbed", title_justify="left")
    for name in ("", "connection", "effect", "", "why"):
        table.add_column(name)
    group = ""
    for probe in findings.probes:
        if group and probe.group != group:
            table.add_section()
        first = probe.group if probe.group != group else ""
        group = probe.group
        status = Text(probe.status, _STYLES[probe.status])
        table.add_row(first, probe.connection, probe.effect, status, probe.note)
    return table
