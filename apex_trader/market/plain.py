"""Parquet files of the plain schema: trades in µs, bars and funding in ms, one row an event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apex_trader.errors import DataError
from apex_trader.market.checks import SIDES, Checker, ImpossibleError
from apex_trader.market.kinds import Data, Kind, from_columns
from apex_trader.market.types import I64
from apex_trader.time import CLOCKS, format_time

#: Times of exchange data lie in here (µs): a wrong unit leaves it by a factor of a thousand.
EARLIEST, LATEST = 1_230_768_000_000_000, 4_102_444_800_000_000  # 2009 to 2100
_UNITS = {1: "microseconds", 1000: "milliseconds", 1_000_000: "seconds"}


def read_plain(path: str, kind: Kind) -> tuple[Data, list[str]]:
    """The file's rows, and the names of columns that were ignored.

    Only what Parquet and the schema can tell is checked here; rows are checked on writing.
    """
    name = Path(path).name
    table = _open(path, name)
    wanted = ["ts", *kind.required, *kind.optional]
    missing = [n for n in ("ts", *kind.required) if n not in table.column_names]
    if missing:
        raise DataError(
            name, f"{kind.name} need a column {missing[0]!r}; the file has "
            + ", ".join(table.column_names), "Check the kind of the file, or add the column",
            field=missing[0],
        )  # fmt: skip
    if table.num_rows == 0:
        raise DataError(name, "the file has no rows", "Leave it out")
    values: dict[str, NDArray[np.generic]] = {"ts": times(table.column("ts"), kind, name)}
    for column in wanted[1:]:
        if column in table.column_names:
            values[column] = _numbers(table.column(column), column, name)
    data = from_columns(kind.name, values)
    refuse_coarser(data.ts, kind, name)
    return data, [n for n in table.column_names if n not in wanted]


def times(column: pa.ChunkedArray, kind: Kind, name: str) -> I64:
    """A time column as int64 microseconds; DataError when its unit cannot be the kind's."""
    _refuse_null(column, "ts", name)
    if pa.types.is_timestamp(column.type):
        # A timestamp column says its unit itself.
        return _zero_copy(pc.cast(column, pa.timestamp("us"), safe=False).cast(pa.int64()))
    if not pa.types.is_integer(column.type):
        raise DataError(
            name, f"times are {column.type}, not whole numbers",
            f"Write int64 {_UNITS[kind.file_unit]} since 1970 UTC", field="ts",
        )  # fmt: skip
    ts = _zero_copy(column.cast(pa.int64()))
    return scaled(ts, kind.file_unit, kind, name)


def scaled(ts: NDArray[np.int64], unit: int, kind: Kind, name: str) -> I64:
    """Times in ``unit`` µs as microseconds, refused where they are not plausible."""
    low, high = EARLIEST // unit, LATEST // unit
    wrong = (ts < low) | (ts >= high)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ImpossibleError(
            name, f"{int(ts[row])} is no time in {_UNITS[unit]} between 2009 and 2100"
            + _likely_unit(int(ts[row])), f"Write {kind.name} times as {_UNITS[unit]} since 1970 "
            "UTC", row=row, field="ts",
        )  # fmt: skip
    return ts * unit


def refuse_coarser(ts: I64, kind: Kind, name: str) -> None:
    """ImpossibleError when bars are as far apart as those of a coarser clock."""
    if kind.step is None or len(ts) < 3:
        return
    usual = int(np.median(np.diff(ts)))
    for clock, step in CLOCKS.items():
        if step > kind.step and usual == step:
            raise ImpossibleError(
                name, f"rows are {clock} apart, so these are no {kind.name} bars",
                f"Import them as --kind {clock}, and name the file so", row=1, field="ts",
            )  # fmt: skip


def _open(path: str, name: str) -> pa.Table:
    if not Path(path).is_file():
        raise DataError(name, "there is no such file", "Check the path")
    if Path(path).stat().st_size == 0:
        raise DataError(name, "the file is empty", "Get it again")
    try:
        return pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            name, f"not a whole Parquet file ({reason})", "It is truncated or corrupt: get it again"
        ) from None


def _numbers(column: pa.ChunkedArray, field: str, name: str) -> NDArray[np.generic]:
    _refuse_null(column, field, name)
    whole = field in ("side", "id")
    kind = column.type
    fits = pa.types.is_integer(kind) or (
        not whole and (pa.types.is_floating(kind) or pa.types.is_decimal(kind))
    )
    if not fits:
        raise DataError(
            name, f"its type is {kind}, not {'a whole number' if whole else 'a number'}",
            f"Write it as {'int64' if whole else 'float64'}", field=field,
        )  # fmt: skip
    if field == "side":
        wide = _zero_copy(column.cast(pa.int64()))
        # Here, since values that int8 cannot hold must not wrap into sides.
        Checker(name).refuse((wide < -1) | (wide > 1), wide, "side", SIDES)
        return wide.astype(np.int8)
    return _zero_copy(column.cast(pa.int64() if whole else pa.float64()))


def _zero_copy(column: pa.ChunkedArray) -> NDArray[np.int64]:
    values: NDArray[np.int64] = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def _refuse_null(column: pa.ChunkedArray, field: str, name: str) -> None:
    if column.null_count:
        row = int(np.argmax(_zero_copy(pc.is_null(column))))
        raise DataError(
            name, "there is no value", "Correct or drop that row, then import again", row=row,
            field=field,
        )  # fmt: skip


def _likely_unit(value: int) -> str:
    for unit, text in _UNITS.items():
        if EARLIEST <= value * unit < LATEST:
            return f"; as {text} it would be {format_time(value * unit)}"
    if EARLIEST <= value // 1000 < LATEST:
        return f"; as nanoseconds it would be {format_time(value // 1000)}"
    return ""
