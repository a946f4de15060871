"""What a trading run writes down: decisions, fills, and the rows of the market as it saw them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from apex_trader.errors import ApexError
from apex_trader.execution.journal import Journal, read_journal, with_number
from apex_trader.execution.orders import Order, Outcome
from apex_trader.state.excerpt import Excerpt
from apex_trader.state.gather import CNN_WIDTH
from apex_trader.state.schema import Schema
from apex_trader.time import day_start

_TIME = pa.timestamp("us", "UTC")
_FLOATS = pa.list_(pa.float32())

#: One record a decision time, whether or not anything could be decided.
#: ts: the decision. seen: the exchange's time when it was taken. row: of its day. decidable: the
#: state has its data. mark: ln of the last price. account [8], q [actions]: as the agent saw them.
#: ledger: the account whole (``LiveAccount.to_bytes``). wanted: position asked for, confidence:
#: that it beats keeping; target: the position ordered; reason: why it is another than wanted, or
#: why nothing was decided; order: its id, "" for none. weights: of the agent. clipped, skew: see
#: ``limits.Situation``. limits: JSON of ``RiskLimits.state``.
DECISIONS = with_number([
    pa.field("ts", _TIME), pa.field("seen", _TIME), pa.field("row", pa.int32()),
    pa.field("decidable", pa.bool_()), pa.field("mark", pa.float64()),
    pa.field("sigma_hour", pa.float32()), pa.field("sigma_decision", pa.float32()),
    pa.field("position", pa.int8()), pa.field("quantity", pa.float64()),
    pa.field("equity", pa.float64()), pa.field("account", _FLOATS), pa.field("q", _FLOATS),
    pa.field("wanted", pa.int8()), pa.field("confidence", pa.float32()),
    pa.field("target", pa.int8()), pa.field("reason", pa.string()), pa.field("order", pa.string()),
    pa.field("weights", pa.string()), pa.field("clipped", pa.float32()),
    pa.field("skew", pa.float64()), pa.field("ledger", pa.binary()),
    pa.field("limits", pa.string()),
])  # fmt: skip
#: One record an order, when its outcome is known. decided, arrives, deadline: see ``Order``.
#: price: of the fill before slippage, NaN for none; filled_at; traded: base coin that changed
#: hands, signed; fee, slippage: quote currency.
ORDERS = with_number([
    pa.field("id", pa.string()), pa.field("decided", _TIME), pa.field("arrives", _TIME),
    pa.field("deadline", _TIME), pa.field("before", pa.int8()), pa.field("target", pa.int8()),
    pa.field("quantity", pa.float64()), pa.field("price", pa.float64()),
    pa.field("filled_at", _TIME), pa.field("reason", pa.string()), pa.field("traded", pa.float64()),
    pa.field("fee", pa.float64()), pa.field("slippage", pa.float64()),
])  # fmt: skip
#: One record an excerpt of the market's tables, see ``state.excerpt``: raw little-endian columns
#: by the schema's own names. day: start of it. record: number of the record of ``DECISIONS`` that
#: came next, which saw these rows and all before them.
_PLACES = [
    pa.field("day", _TIME), pa.field("record", pa.int64()), pa.field("decision", pa.int32()),
]  # fmt: skip

#: Columns of an excerpt that hold whole numbers; CNN rows are halves, all others float32.
_WHOLE = ("last", "valid")


class DecisionRecord(NamedTuple):
    """A record of ``DECISIONS``, by its column names; times in µs."""

    ts: int
    seen: int
    row: int
    decidable: bool
    mark: float
    sigma_hour: float
    sigma_decision: float
    position: int
    quantity: float
    equity: float
    account: np.ndarray
    q: np.ndarray
    wanted: int
    confidence: float
    target: int
    reason: str
    order: str
    weights: str
    clipped: float
    skew: float
    ledger: bytes
    limits: str


@dataclass(frozen=True)
class SeenRows:
    """An excerpt, the day (µs) that it is of, and the number of the decision that first saw it."""

    day: int
    record: int
    excerpt: Excerpt


class TradeJournal:
    """Writes the three tables of a trading run's folder; goes on behind what is there."""

    def __init__(self, folder: Path, schema: Schema, rows: int) -> None:
        self.folder, self._schema = folder, schema
        # A decision is what makes the rest of it count: it is written last.
        schemas = {"rows": rows_schema(schema), "orders": ORDERS, "decisions": DECISIONS}
        self._journal = Journal(folder, schemas, rows)
        known = read_journal(folder, "orders")
        self._booked = set() if known is None else set(known["id"].to_pylist()[-1:])

    def decision(self, record: DecisionRecord) -> None:
        """One decision; on the disk after ``commit``."""
        self._journal.append("decisions", record._asdict())

    def order(
        self, order: Order, outcome: Outcome, traded: float, fee: float, slippage: float
    ) -> None:
        """What became of an order. traded: signed, base coin. fee, slippage: quote currency.

        One that is there already is not written again: a run was killed before its next decision.
        """
        if order.id in self._booked:
            return
        self._journal.append("orders", {
            "id": order.id, "decided": order.ts, "arrives": order.arrives,
            "deadline": order.deadline, "before": order.before, "target": order.target,
            "quantity": order.quantity, "price": float(np.exp(outcome.price)),
            "filled_at": outcome.ts if outcome.filled else None, "reason": outcome.reason,
            "traded": traded, "fee": fee, "slippage": slippage,
        })  # fmt: skip

    def rows(self, day: int, excerpt: Excerpt) -> None:
        """Rows as they were seen."""
        record: dict[str, Any] = {
            "day": day, "record": self._journal.count("decisions"), "decision": excerpt.decision,
        }  # fmt: skip
        record |= {f"from {clock}": at for clock, at in excerpt.rows.items()}
        record |= {name: values.tobytes() for name, values in excerpt.columns.items()}
        self._journal.append("rows", record | {"ts": excerpt.ts.tobytes()})

    def commit(self) -> None:
        """Returns when everything is on the disk."""
        self._journal.commit()

    def close(self) -> None:
        """Commit and close."""
        self._journal.close()


def rows_schema(schema: Schema) -> pa.Schema:
    """The columns of excerpts of a schema's tables."""
    places = [pa.field(f"from {clock}", pa.int64()) for clock in schema.clocks]
    names = ["ts", *_column_widths(schema)]
    return with_number([*_PLACES, *places, *(pa.field(name, pa.binary()) for name in names)])


def read_rows(folder: Path, schema: Schema) -> Iterator[SeenRows]:
    """The excerpts of a journal in order. ApexError when it holds none of this schema."""
    table = read_journal(folder, "rows")
    if table is None or table.schema != rows_schema(schema):
        raise ApexError(
            f"{folder} holds no rows of {schema.name!r} as it is here: another version of "
            "apex-trader or another run wrote them"
        )
    yield from seen_rows(table, schema)


def seen_rows(table: pa.Table, schema: Schema) -> Iterator[SeenRows]:
    """The excerpts of records of the table "rows", or of some of its columns."""
    widths = _column_widths(schema)
    for record in table.to_pylist():
        yield SeenRows(_micros(record["day"]), record["record"], _excerpt(record, schema, widths))


def read_decisions(folder: Path) -> list[DecisionRecord]:
    """The decisions of a journal in order; empty where there is none."""
    table = read_journal(folder, "decisions")
    if table is None:
        return []
    table = table.set_column(1, "ts", table["ts"].cast(pa.int64()))
    table = table.set_column(2, "seen", table["seen"].cast(pa.int64()))
    return [_decision(record) for record in table.to_pylist()]


def _decision(record: Mapping[str, Any]) -> DecisionRecord:
    values = {name: record[name] for name in DecisionRecord._fields}
    for name in ("account", "q"):
        values[name] = np.array(values[name], np.float32)
    return DecisionRecord(**values)


def _excerpt(record: Mapping[str, Any], schema: Schema, widths: Mapping[str, int]) -> Excerpt:
    columns = {}
    for name, width in widths.items():
        if record.get(name) is None:
            continue
        kind = (
            np.int64 if name.split()[0] in _WHOLE else np.float16 if name == "cnn" else np.float32
        )
        values = np.frombuffer(record[name], kind).copy()
        shape = (-1, 2, width) if name == "cnn" else (-1, width) if width else (-1,)
        columns[name] = values.reshape(shape)
    rows = {c: int(record[f"from {c}"]) for c in schema.clocks if f"from {c}" in record}
    return Excerpt(
        int(record["decision"]), rows, np.frombuffer(record["ts"], np.int64).copy(), columns
    )


def _column_widths(schema: Schema) -> dict[str, int]:
    """Columns of an excerpt → numbers in a row of them; 0 for one number a row."""
    tables = [b for b in schema.blocks if b.clock in schema.clocks]
    widths = {f"block {b.name}": b.width for b in tables}
    widths |= {f"row_scale {b.name}": b.anchored for b in tables if b.row_scaled}
    for clock in schema.clocks:
        widths |= {f"last {clock}": 0, f"valid {clock}": 0, f"scale {clock}": 2}
    return widths | {"anchor": 2, "trend": 0, "cnn": CNN_WIDTH}


def _micros(value: Any) -> int:
    return day_start(int(value.timestamp()) * 1_000_000)
