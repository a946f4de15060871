"""Files of Binance's public archive: zip or CSV of klines, trades and aggregate trades.

Columns and units as published with the archive: klines are open time, open, high, low, close,
volume, close time, quote volume, number of trades, taker buy volume, taker buy quote volume,
ignore; trades are id, price, quantity, quote quantity, time, buyer is maker; aggregate trades are
id, price, quantity, first id, last id, time, buyer is maker. Futures files begin with a header.
Times are milliseconds, and microseconds in spot files from 2025 on; the value tells which.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from apex_trader.errors import DataError
from apex_trader.market.kinds import KINDS, Data, from_columns
from apex_trader.market.naming import FileName
from apex_trader.market.plain import EARLIEST, refuse_coarser, scaled
from apex_trader.market.types import I64

#: Position of each column that is read, by table.
_POSITIONS = {
    "klines": {"ts": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "count": 8,
               "taker_buy_volume": 9},
    "trades": {"id": 0, "price": 1, "amount": 2, "ts": 4, "maker": 5},
    "aggTrades": {"id": 0, "price": 1, "amount": 2, "ts": 5, "maker": 6},
}  # fmt: skip
_REMEDY = "Get the file again from data.binance.vision"


def read_archive(path: str, name: FileName) -> Data:
    """The rows of an archive file."""
    file = Path(path).name
    table = _parse(_content(path, file), file)
    positions = _POSITIONS[name.table]
    if table.num_rows == 0:
        raise DataError(file, "the file has no rows", "Leave it out")
    if table.num_columns <= max(positions.values()):
        raise DataError(file, f"{table.num_columns} columns are too few for {name.table}", _REMEDY)
    values = {n: _column(table, n, at, file) for n, at in positions.items()}
    ts = _times(values["ts"].astype(np.int64), name, file)
    refuse_coarser(ts, KINDS[name.kind], file)
    if name.kind != "trades":
        return from_columns(name.kind, {**values, "ts": ts})
    # The buyer was the maker: then the aggressor sold.
    side = np.where(values.pop("maker").astype(np.bool_), -1, 1).astype(np.int8)
    return from_columns("trades", {**values, "ts": ts, "side": side})


def _content(path: str, file: str) -> bytes:
    if not Path(path).is_file():
        raise DataError(file, "there is no such file", "Check the path")
    try:
        if not path.endswith(".zip"):
            return Path(path).read_bytes()
        with zipfile.ZipFile(path) as archive:
            inner = [n for n in archive.namelist() if n.endswith(".csv")]
            if len(inner) != 1:
                raise DataError(file, f"{len(inner)} CSV files in it instead of one", _REMEDY)
            return archive.read(inner[0])
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError(file, f"not a whole zip file ({error})", _REMEDY) from None


def _parse(content: bytes, file: str) -> pa.Table:
    # Futures files name their columns in the first line, spot files do not.
    header = not content[:1].isdigit()
    try:
        return csv.read_csv(
            io.BytesIO(content),
            read_options=csv.ReadOptions(
                autogenerate_column_names=True, skip_rows=1 if header else 0
            ),
            convert_options=csv.ConvertOptions(
                true_values=["true", "True", "TRUE"], false_values=["false", "False", "FALSE"]
            ),
        )
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(file, f"not a readable CSV file ({reason})", _REMEDY) from None


def _column(table: pa.Table, field: str, position: int, file: str) -> NDArray[np.generic]:
    column = table.column(position)
    wanted = {"ts": pa.int64(), "id": pa.int64(), "maker": pa.bool_()}.get(field, pa.float64())
    if column.null_count:
        row = int(np.argmax(column.is_null().combine_chunks().to_numpy(zero_copy_only=False)))
        raise DataError(file, "there is no value", _REMEDY, row=row, field=field)
    if column.type != wanted and not (wanted == pa.float64() and pa.types.is_integer(column.type)):
        raise DataError(
            file, f"{column[0]} is no {field} (column {position})", _REMEDY, field=field
        )
    values: NDArray[np.generic] = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def _times(ts: I64, name: FileName, file: str) -> I64:
    unit = 1 if len(ts) and int(ts[0]) >= EARLIEST else 1000
    micros = scaled(ts, unit, KINDS[name.kind], file)
    assert name.covered is not None
    outside = (micros < name.covered[0]) | (micros >= name.covered[1])
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            file, f"{int(ts[row])} is not inside the period that the file's name gives",
            "Restore the file's own name", row=row, field="ts",
        )  # fmt: skip
    return micros
