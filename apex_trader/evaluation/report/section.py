"""The parts of a page, whatever draws them: a browser, or the panels of another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import plotly.graph_objects as go


@dataclass(frozen=True)
class Chart:
    """A figure. key: its name in the page and among W&B's panels. says: the same in words, for
    who cannot see it."""

    key: str
    figure: go.Figure
    says: str


@dataclass(frozen=True)
class Table:
    """Text in rows; the first column names the row. note: a line below it. plain: words, not
    figures (set left)."""

    key: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    plain: bool = False


@dataclass(frozen=True)
class Words:
    """A sentence. warns: one that must not be missed."""

    text: str
    warns: bool = False


@dataclass(frozen=True)
class Code:
    """Text to be copied as it is."""

    text: str


@dataclass(frozen=True)
class Folded:
    """What is shown when asked for."""

    title: str
    blocks: Sequence[Block]


Block: TypeAlias = "Chart | Table | Words | Code | Folded"


@dataclass(frozen=True)
class Section:
    """A heading, what a reader sees below it (text), and the blocks themselves."""

    key: str
    title: str
    text: str
    blocks: Sequence[Block]

    @classmethod
    def absent(cls, key: str, title: str, why: str) -> Section:
        """A section that has nothing to show, and why."""
        return cls(key, title, "", (Words(why),))


def charts(sections: Sequence[Section]) -> list[Chart]:
    """Every chart, those that are folded away as well."""
    return [b for s in sections for b in _flat(s.blocks) if isinstance(b, Chart)]


def tables(sections: Sequence[Section]) -> list[Table]:
    """Every table, those that are folded away as well."""
    return [b for s in sections for b in _flat(s.blocks) if isinstance(b, Table)]


def _flat(blocks: Sequence[Block]) -> list[Block]:
    found: list[Block] = []
    for block in blocks:
        found += _flat(block.blocks) if isinstance(block, Folded) else [block]
    return found
