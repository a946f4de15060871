"""The kinds of market data that a store holds: their columns, their units, their partitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apex_trader.errors import ConfigError
from apex_trader.market.types import I64, Bars, Funding, Trades
from apex_trader.time import CLOCKS, MINUTE

Data: TypeAlias = Trades | Bars | Funding
BAR_COLUMNS = ("open", "high", "low", "close", "volume")
OPTIONAL_BAR_COLUMNS = ("taker_buy_volume", "count")


@dataclass(frozen=True)
class Kind:
    """One kind of data.

    name: "trades", a clock, or "funding". file_unit: microseconds per unit of ``ts`` in the plain
    files that are imported (the store itself always holds microseconds). period: the calendar
    unit of a partition, D, M or Y. required, optional: value columns beside ``ts``.
    join: covered intervals closer than this (µs) are one.
    """

    name: str
    file_unit: int
    period: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    join: int = 0

    @property
    def step(self) -> int | None:
        """Length of a bar in microseconds; None for events."""
        return CLOCKS.get(self.name)


#: Two files of ticks whose ends lie within a minute are one recording: a quiet moment at a file's
#: edge cannot be told from a cut, and a longer one may be a hole.
TICK_JOIN = MINUTE
KINDS: dict[str, Kind] = {
    "trades": Kind("trades", 1, "D", ("price", "amount", "side"), ("id",), TICK_JOIN),
    "1s": Kind("1s", 1000, "D", BAR_COLUMNS, OPTIONAL_BAR_COLUMNS, TICK_JOIN),
    "1m": Kind("1m", 1000, "M", BAR_COLUMNS, OPTIONAL_BAR_COLUMNS),
    "1h": Kind("1h", 1000, "Y", BAR_COLUMNS, OPTIONAL_BAR_COLUMNS),
    "1d": Kind("1d", 1000, "Y", BAR_COLUMNS, OPTIONAL_BAR_COLUMNS),
    "funding": Kind("funding", 1000, "Y", ("rate",), ()),
}


def kind_named(name: str) -> Kind:
    """The kind of that name; ConfigError names the ones there are."""
    if name not in KINDS:
        raise ConfigError("kind", name, "one of " + ", ".join(KINDS))
    return KINDS[name]


def kind_of(data: Data) -> Kind:
    """The kind that a table of market data belongs to."""
    if isinstance(data, Trades):
        return KINDS["trades"]
    return KINDS[data.clock] if isinstance(data, Bars) else KINDS["funding"]


def empty(kind: str) -> Data:
    """A table of no rows."""
    none, no_time = np.empty(0), np.empty(0, np.int64)
    if kind == "trades":
        return Trades(no_time, none, none, np.empty(0, np.int8))
    if kind == "funding":
        return Funding(no_time, none)
    return Bars(no_time, none, none, none, none, none, none, none, clock=kind_named(kind).name)


def columns(data: Data) -> dict[str, NDArray[np.generic]]:
    """The table's columns by name, ``ts`` first; optional columns that hold nothing are absent."""
    kind = kind_of(data)
    out: dict[str, NDArray[np.generic]] = {"ts": data.ts}
    for name in kind.required:
        out[name] = getattr(data, name)
    for name in kind.optional:
        values = getattr(data, name)
        if values is not None and (name == "id" or not np.isnan(values).all()):
            out[name] = values
    return out


def from_columns(kind: str, values: dict[str, NDArray[np.generic]]) -> Data:
    """The table of ``kind`` with these columns; absent optional bar columns become NaN."""
    ts = np.asarray(values["ts"], np.int64)
    floats = {
        n: np.asarray(v, np.float64) for n, v in values.items() if n not in ("ts", "side", "id")
    }
    if kind == "trades":
        ids = None if values.get("id") is None else np.asarray(values["id"], np.int64)
        side = np.asarray(values["side"], np.int8)
        return Trades(ts, floats["price"], floats["amount"], side, ids)
    if kind == "funding":
        return Funding(ts, floats["rate"])
    for name in OPTIONAL_BAR_COLUMNS:
        floats.setdefault(name, np.full(len(ts), np.nan))
    return Bars(ts, clock=kind, **floats)


def concatenate(kind: str, parts: list[Data]) -> Data:
    """The parts one after another. Trades keep their ids only if every part has them."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty(kind)
    if len(parts) == 1:
        return parts[0]
    names = ["ts", *KINDS[kind].required, *KINDS[kind].optional]
    if kind == "trades" and any(getattr(part, "id", None) is None for part in parts):
        names.remove("id")
    return from_columns(kind, {n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def to_arrow(data: Data) -> pa.Table:
    """The table as the store writes it, ``ts`` in microseconds."""
    return pa.table(columns(data))


def periods(kind: Kind, ts: I64) -> I64:
    """Number of the calendar period (day, month or year since 1970) that holds each time."""
    return ts.astype("datetime64[us]").astype(f"datetime64[{kind.period}]").astype(np.int64)


def partition_label(kind: Kind, time: int) -> str:
    """Label of the partition that holds a time: 2024-08-08, 2024-08 or 2024."""
    return str(np.datetime64(int(time), "us").astype(f"datetime64[{kind.period}]"))


def partition_bounds(kind: Kind, label: str) -> tuple[int, int]:
    """[start, end) of a partition in microseconds."""
    first = np.datetime64(label, kind.period)  # type: ignore[call-overload]
    edges = np.array([first, first + 1]).astype("datetime64[us]").astype(np.int64)
    return int(edges[0]), int(edges[1])


def default_coverage(data: Data) -> tuple[int, int]:
    """[first row, end of the last row): what a table speaks for when nothing else is claimed."""
    if len(data) == 0:
        return 0, 0
    step = kind_of(data).step
    return int(data.ts[0]), int(data.ts[-1]) + (step or 1)
