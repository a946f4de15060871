"""Files of Binance's public archive: zip or CSV of klines, trades, aggregate trades and funding.

Columns and units as published with the archive: klines are open time, open, high, low, close,
volume, close time, quote volume, number of trades, taker buy volume, taker buy quote volume,
ignore; trades are id, price, quantity, quote quantity, time, buyer is maker; aggregate trades are
id, price, quantity, first id, last id, time, buyer is maker; funding is time, interval in hours,
rate. Futures files begin with a header. Times are milliseconds, and microseconds in spot files
from 2025 on; the value tells which.

A month of trades is gigabytes of text, so a file is read day by day.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from apex_trader.market.checks import ImpossibleError
from apex_trader.market.kinds import KINDS, Data, concatenate, from_columns, kind_of, periods
from apex_trader.market.naming import FileName
from apex_trader.market.plain import EARLIEST, refuse_coarser, scaled
from apex_trader.market.types import I64, Trades
from apex_trader.time import DAY

#: Position of each column that is read, by table.
_POSITIONS = {
    "klines": {"ts": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "count": 8,
               "taker_buy_volume": 9},
    "trades": {"id": 0, "price": 1, "amount": 2, "ts": 4, "maker": 5},
    "aggTrades": {"id": 0, "price": 1, "amount": 2, "ts": 5, "maker": 6},
    "fundingRate": {"ts": 0, "rate": 2},
}  # fmt: skip
_REMEDY = "Get the file again from data.binance.vision"
#: Bytes of text that are parsed at a time.
BLOCK = 1 << 24


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a file: row number of the first, [start, end) µs that they speak for."""

    rows: Data
    offset: int
    covered: tuple[int, int]


def read_archive(path: str, name: FileName) -> Data:
    """All rows of an archive file."""
    return concatenate(name.kind, [part.rows for part in archive_parts(path, name)])


def archive_parts(path: str, name: FileName) -> Iterator[Part]:
    """The rows of an archive file in order of time; those of daily kinds day by day.

    Together the parts speak for the whole period of the file. ImpossibleError names file and row.
    """
    file = Path(path).name
    assert name.covered is not None
    start, end = name.covered
    offset = 0
    held: list[Data] = []
    for rows in _pieces(path, name, file):
        if held and _day(rows, 0) != _day(held[-1], -1):
            day = concatenate(name.kind, held)
            _refuse_return(day, rows, file, offset + len(day))
            stop = _day(day, -1) + DAY
            yield Part(day, offset, (start, stop))
            start, offset, held = stop, offset + len(day), []
        held.append(rows)
    if not held:
        raise ImpossibleError(file, "the file has no rows", "Leave it out")
    yield Part(concatenate(name.kind, held), offset, (start, end))


def _day(rows: Data, at: int) -> int:
    """Start of the day of a row; kinds of longer partitions count as one long day."""
    return int(rows.ts[at]) // DAY * DAY if kind_of(rows).period == "D" else 0


def _refuse_return(before: Data, after: Data, file: str, row: int) -> None:
    if after.ts[0] < before.ts[-1]:
        raise ImpossibleError(
            file, "the time goes back to a day before", _REMEDY, row=row, field="ts"
        )
    if isinstance(before, Trades) and isinstance(after, Trades):
        assert before.id is not None
        assert after.id is not None
        if after.id[0] <= before.id[-1]:
            raise ImpossibleError(
                file, f"{after.id[0]} is not above the id of the row before", _REMEDY, row=row,
                field="id",
            )  # fmt: skip


def _pieces(path: str, name: FileName, file: str) -> Iterator[Data]:
    """The file's rows in blocks, cut where the partition's day changes."""
    row = 0
    for table in _blocks(path, name, file):
        data = _rows(table, name, file, row)
        row += len(data)
        if kind_of(data).period != "D":
            yield data
            continue
        days = periods(kind_of(data), data.ts)
        cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(data)]
        for low, high in itertools.pairwise(cuts):
            yield data.slice(low, high)


def _rows(table: pa.Table, name: FileName, file: str, row: int) -> Data:
    positions = _POSITIONS[name.table]
    values = {field: _column(table, field, at, file, row) for field, at in positions.items()}
    ts = _times(values["ts"].astype(np.int64), name, file, row)
    refuse_coarser(ts, KINDS[name.kind], file)
    if name.kind != "trades":
        return from_columns(name.kind, {**values, "ts": ts})
    # The buyer was the maker: then the aggressor sold.
    side = np.where(values.pop("maker").astype(np.bool_), -1, 1).astype(np.int8)
    return from_columns("trades", {**values, "ts": ts, "side": side})


def _blocks(path: str, name: FileName, file: str) -> Iterator[pa.Table]:
    """The file's text as tables, ``BLOCK`` bytes at a time."""
    with _opened(path, file) as handle:
        text = io.BufferedReader(cast(Any, handle), BLOCK)
        # Futures files name their columns in the first line, spot files do not.
        header = 0
        try:
            header = 0 if text.peek(1)[:1].isdigit() else 1
            with _reader(text, header, _POSITIONS[name.table]) as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield pa.Table.from_batches([batch])
        except (pa.ArrowException, KeyError) as error:
            if "Empty CSV file" in str(error):
                return
            raise _unreadable(str(error), name, file, header) from None
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise ImpossibleError(file, f"not a whole zip file ({error})", _REMEDY) from None


def _unreadable(error: str, name: FileName, file: str, header: int) -> ImpossibleError:
    """The parser's complaint in the file's own words."""
    positions = _POSITIONS[name.table]
    missing = re.search(r"Column 'f(\d+)' in include_columns does not exist", error)
    if missing is not None:
        return ImpossibleError(file, f"{missing[1]} columns are too few for {name.table}", _REMEDY)
    value = re.search(r"CSV column #(\d+): (?:Row #(\d+): )?.*invalid value '(.*)'", error)
    fields = {place: field for field, place in positions.items()}
    if value is not None and int(value[1]) in fields:
        field = fields[int(value[1])]
        row = None if value[2] is None else int(value[2]) - 1 - header
        return ImpossibleError(file, f"{value[3]!r} is no {field}", _REMEDY, row=row, field=field)
    return ImpossibleError(file, f"not a readable CSV file ({error.splitlines()[0]})", _REMEDY)


def _reader(text: io.BufferedReader, header: int, positions: dict[str, int]) -> Any:
    return csv.open_csv(
        text,
        read_options=csv.ReadOptions(
            autogenerate_column_names=True, skip_rows=header, block_size=BLOCK, use_threads=False
        ),
        convert_options=csv.ConvertOptions(
            # Said, not inferred: a block of whole prices must not decide for the next one.
            include_columns=[f"f{at}" for at in positions.values()],
            column_types={f"f{at}": _type(field) for field, at in positions.items()},
            true_values=["true", "True", "TRUE"], false_values=["false", "False", "FALSE"],
        ),
    )  # fmt: skip


def _type(field: str) -> pa.DataType:
    return {"ts": pa.int64(), "id": pa.int64(), "maker": pa.bool_()}.get(field, pa.float64())


@contextlib.contextmanager
def _opened(path: str, file: str) -> Iterator[IO[bytes]]:
    """The CSV text of a zip or CSV file, to be read from its beginning."""
    if not Path(path).is_file():
        raise ImpossibleError(file, "there is no such file", "Check the path")
    if not path.endswith(".zip"):
        with open(path, "rb") as plain:
            yield plain
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ImpossibleError(file, f"not a whole zip file ({error})", _REMEDY) from None
    with archive:
        inner = [n for n in archive.namelist() if n.endswith(".csv")]
        if len(inner) != 1:
            raise ImpossibleError(file, f"{len(inner)} CSV files in it instead of one", _REMEDY)
        if inner[0] != f"{Path(path).stem}.csv":
            # Another symbol's rows, or another month's, look like these.
            raise ImpossibleError(file, f"it holds {inner[0]}, which is another file", _REMEDY)
        with archive.open(inner[0]) as handle:
            yield handle


def _column(table: pa.Table, field: str, position: int, file: str, row: int) -> NDArray[np.generic]:
    column = table.column(f"f{position}")
    if column.null_count:
        row += int(np.argmax(column.is_null().combine_chunks().to_numpy(zero_copy_only=False)))
        raise ImpossibleError(file, "there is no value", _REMEDY, row=row, field=field)
    values: NDArray[np.generic] = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def _times(ts: I64, name: FileName, file: str, row: int) -> I64:
    unit = 1 if len(ts) and int(ts[0]) >= EARLIEST else 1000
    micros = scaled(ts, unit, KINDS[name.kind], file)
    assert name.covered is not None
    outside = (micros < name.covered[0]) | (micros >= name.covered[1])
    if outside.any():
        at = int(np.argmax(outside))
        raise ImpossibleError(
            file, f"{int(ts[at])} is not inside the period that the file's name gives",
            "Restore the file's own name", row=row + at, field="ts",
        )  # fmt: skip
    return micros
