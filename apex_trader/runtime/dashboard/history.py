"""Decisions and orders of a trading run as far as its journal tells, kept in columns."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apex_trader.evaluation.report.market_view import Fills
from apex_trader.execution.journal_tail import JournalTail

Record = Mapping[str, Any]

#: Columns of decisions that a page shows, as numbers and whole.
NUMBERS = ("ts", "mark", "position", "equity", "confidence", "wanted", "target")
_WHOLE = (
    "ts", "seen", "decidable", "mark", "position", "quantity", "equity", "q", "wanted",
    "confidence", "target", "reason", "order", "weights", "clipped", "skew", "limits",
)  # fmt: skip
#: Latest records of each choice that a table can show.
KEPT = 200
#: What a table of decisions can be narrowed to.
CHOICES = ("all", "orders", "not acted")


class DecisionHistory:
    """Every decision in columns, the latest ones whole.

    ``column(name)`` [n] for each of ``NUMBERS``: ts in µs, mark as ln price.
    """

    def __init__(self, journal: Path) -> None:
        self._tail = JournalTail(journal, "decisions", _WHOLE)
        self._columns: dict[str, NDArray[Any]] = {
            name: np.empty(0, np.int64 if name == "ts" else np.float64) for name in NUMBERS
        }
        self._latest = {choice: deque[Record](maxlen=KEPT) for choice in CHOICES}
        #: Reason, less its figures → how often nothing was done for it.
        self.reasons: Counter[str] = Counter()
        #: Reason, less its figures → its latest text and time (µs).
        self.said: dict[str, tuple[str, int]] = {}
        self.acted = self.undecided = 0

    def __len__(self) -> int:
        return len(self._columns["ts"])

    def column(self, name: str) -> Any:
        """One of ``NUMBERS``, a value a decision."""
        return self._columns[name]

    @property
    def last(self) -> Record | None:
        """The latest decision, whole; None while there is none."""
        latest = self._latest["all"]
        return latest[-1] if latest else None

    def latest(self, choice: str = "all") -> list[Record]:
        """The latest decisions of one of ``CHOICES``, the newest first."""
        return list(reversed(self._latest[choice]))

    def update(self) -> bool:
        """Take what the journal gained; whether it did."""
        gained = self._tail.read()
        if gained is None:
            return False
        gained = in_micros(gained, ("ts", "seen"))
        for name in NUMBERS:
            kind = self._columns[name].dtype
            new = gained[name].to_numpy().astype(kind)
            self._columns[name] = np.concatenate([self._columns[name], new])
        for reason, ts in zip(gained["reason"].to_pylist(), gained["ts"].to_pylist(), strict=True):
            if reason:
                kind_of = reason.partition(":")[0]
                self.reasons[kind_of] += 1
                self.said[kind_of] = reason, ts
        asked = pa.compute.list_value_length(gained["q"]).to_numpy() > 0
        ordered = np.array([bool(order) for order in gained["order"].to_pylist()])
        self.acted += int(ordered.sum())
        self.undecided += int((~asked).sum())
        self._keep(gained, ordered)
        return True

    def _keep(self, gained: pa.Table, ordered: NDArray[np.bool_]) -> None:
        wished = asked_for(gained) & ~ordered
        chosen = {"all": np.ones(len(ordered), np.bool_), "orders": ordered, "not acted": wished}
        for choice, mask in chosen.items():
            rows = np.flatnonzero(mask)[-KEPT:]
            self._latest[choice].extend(gained.take(rows).to_pylist())


class OrderHistory:
    """Every order whose outcome is known."""

    def __init__(self, journal: Path) -> None:
        self._tail = JournalTail(journal, "orders")
        self._records: dict[str, Record] = {}
        self.filled = 0
        self.fee = self.slippage = 0.0

    def __len__(self) -> int:
        return len(self._records)

    def of(self, order: str) -> Record | None:
        """What became of an order by its id; None while that is not known."""
        return self._records.get(order)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def update(self) -> bool:
        """Take what the journal gained; whether it did."""
        gained = self._tail.read()
        if gained is None:
            return False
        times = ("decided", "arrives", "deadline", "filled_at")
        for record in in_micros(gained, times).to_pylist():
            self._records[record["id"]] = record
            self.filled += record["filled_at"] is not None
            self.fee += record["fee"]
            self.slippage += record["slippage"]
        return True

    def fills(self) -> Fills:
        """The orders that were filled, as the charts take them."""
        found = [r for r in self._records.values() if r["filled_at"] is not None]
        return Fills(
            np.array([r["filled_at"] for r in found], np.int64),
            np.array([r["price"] for r in found], np.float64),
            np.array([np.sign(r["quantity"]) for r in found], np.int8),
        )


def asked_for(table: pa.Table) -> NDArray[np.bool_]:
    """Which decisions wanted another position than the one held, or were kept from deciding."""
    wanted, position = (table[name].to_numpy() for name in ("wanted", "position"))
    reason = np.array([bool(text) for text in table["reason"].to_pylist()])
    found: NDArray[np.bool_] = (wanted != position) | reason
    return found


def in_micros(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """The table with some columns of times as whole numbers, µs."""
    for name in names:
        table = table.set_column(
            table.schema.get_field_index(name), name, table[name].cast("int64")
        )
    return table
