"""Where a partition lies, and reading it back."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa

from apex_trader.errors import DataError
from apex_trader.market.checks import ImpossibleError, check
from apex_trader.market.files import Files
from apex_trader.market.kinds import KINDS, Data, from_columns
from apex_trader.market.manifest import Partition
from apex_trader.market.types import Bars

REMEDY = "`data verify` says what mends it; or import that period again with --replace"


def partition_folder(market: str, kind: str, label: str) -> str:
    """Folder of a partition, relative to the store."""
    exchange, symbol = market.split(":", 1)
    return f"exchange={exchange}/symbol={symbol}/kind={kind}/date={label}"


def read_partition(files: Files, market: str, kind: str, label: str, partition: Partition) -> Data:
    """The rows of a partition, checked against its entry in the manifest."""
    name = f"{partition_folder(market, kind, label)}/{partition.part}"
    data = _read(files, name, kind)
    if (len(data), int(data.ts[0]), int(data.ts[-1])) != (
        partition.rows, partition.first, partition.last,
    ):  # fmt: skip
        raise DataError(
            files.path(name), f"{len(data):,} rows are not the {partition.rows:,} that "
            "store.json lists", REMEDY,
        )  # fmt: skip
    return data


def read_minutes(
    files: Files, market: str, kind: str, label: str, partition: Partition
) -> Bars | None:
    """The 1 m bars kept beside a partition of trades or seconds."""
    if partition.minutes is None:
        return None
    name = f"{partition_folder(market, kind, label)}/{partition.minutes}"
    return cast(Bars, _read(files, name, "1m"))


def _read(files: Files, name: str, kind: str) -> Data:
    table = files.read_table(name)
    names = ["ts", *KINDS[kind].required, *KINDS[kind].optional]
    missing = [n for n in ("ts", *KINDS[kind].required) if n not in table.column_names]
    if missing or table.num_rows == 0:
        reason = f"it has no column {missing[0]!r}" if missing else "it has no rows"
        raise DataError(files.path(name), reason, REMEDY)
    values = {n: _numpy(table, n) for n in names if n in table.column_names}
    data = from_columns(kind, values)
    try:
        check(data, files.path(name))
    except ImpossibleError as error:
        raise error.remedied(REMEDY) from None
    return data


def _numpy(table: pa.Table, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    column = table.column(name)
    chunk = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]] = chunk.to_numpy(zero_copy_only=False)
    return values
