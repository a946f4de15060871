"""Rows of market tables as decisions saw them, to be written down and put in place again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.errors import MismatchError
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema

Column = NDArray[Any]


def _groups(schema: Schema, tables: MarketTables) -> dict[str, tuple[str, torch.Tensor]]:
    """Column name → (clock that its rows are counted on, or "" for decisions, its tensor)."""
    found: dict[str, tuple[str, torch.Tensor]] = {}
    for name, table in tables.blocks.items():
        found[f"block {name}"] = schema.block(name).clock, table
    for name, table in tables.row_scale.items():
        found[f"row_scale {name}"] = schema.block(name).clock, table
    for group in ("last", "valid", "scale"):
        for clock, table in getattr(tables, group).items():
            found[f"{group} {clock}"] = "", table
    return found | {"anchor": ("", tables.anchor), "trend": ("", tables.trend)}


@dataclass(frozen=True)
class Excerpt:
    """The decisions from ``decision`` on, and the table rows that nobody saw before them.

    rows: clock → row of the tables at which its part begins. columns: by name, as they lie in the
    tables (missing is 0 but in anchored columns). ts [n] µs of the decisions.
    """

    decision: int
    rows: Mapping[str, int]
    ts: NDArray[np.int64]
    columns: Mapping[str, Column]

    @classmethod
    def of(cls, tables: MarketTables, first: int, stop: int) -> Self:
        """Of the decision rows [first, stop), the first of which follows on those before it.

        The last row may carry CNN rows; those are in it where the tables hold some.
        """
        clocks = tables.schema.clocks
        begin = {c: int(tables.last[c][first - 1]) + 1 if first else 0 for c in clocks}
        end = {c: int(tables.last[c][stop - 1]) + 1 for c in clocks}
        columns = {
            name: table[begin[clock] : end[clock]] if clock else table[first:stop]
            for name, (clock, table) in _groups(tables.schema, tables).items()
        }
        if tables.cnn is not None:
            columns["cnn"] = tables.cnn[stop - 1 : stop]
        plain = {name: column.numpy().copy() for name, column in columns.items()}
        return cls(first, begin, tables.ts[first:stop].numpy().copy(), plain)

    def put(self, tables: MarketTables, cnn_version: str | None = None) -> None:
        """Write the rows where they were. MismatchError when the tables are of another schema.

        cnn_version: of the extractor that made the CNN rows, where there are some.
        """
        stop = self.decision + len(self.ts)
        groups = _groups(tables.schema, tables)
        if set(groups) != set(self.columns) - {"cnn"}:
            raise MismatchError(
                f"the rows are of {', '.join(sorted(self.columns))}: another schema than "
                f"{tables.schema.name!r}"
            )
        for name, (clock, table) in groups.items():
            at = self.rows[clock] if clock else self.decision
            values = self.columns[name]
            table[at : at + len(values)] = torch.from_numpy(values)
        tables.ts[self.decision : stop] = torch.from_numpy(self.ts)
        if "cnn" in self.columns and cnn_version is not None:
            tables.write_cnn(stop - 1, self.columns["cnn"], cnn_version)
