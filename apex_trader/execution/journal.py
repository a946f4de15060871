"""A journal: tables that only grow, safe after every ``commit``, as Parquet files.

``NAME-000001.parquet`` … hold what is complete, ``NAME.arrows``, an Arrow stream, the rest.
Each commit ends with an fsync; a process that is killed loses what was not committed, and a torn
end of the stream is left out when it is read. Parquet files appear whole, by renaming.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apex_trader.errors import ApexError

#: The first column of every table: counts its records from 0.
NUMBER = "n"
_PART = re.compile(r"-(\d{6})\.parquet$")


def with_number(fields: Sequence[pa.Field]) -> pa.Schema:
    """The schema of a journal's table with these columns."""
    return pa.schema([pa.field(NUMBER, pa.int64()), *fields])


class Journal:
    """Writes the tables of a folder; goes on behind what is there.

    Args:
        folder: made when it is not there.
        schemas: name → ``with_number(fields)`` of each table.
        rows: records in one Parquet file.

    Raises:
        ApexError: the folder cannot be written, or holds tables with other columns.
    """

    def __init__(self, folder: Path, schemas: Mapping[str, pa.Schema], rows: int) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._tables = {n: _Table(folder, n, schema, rows) for n, schema in schemas.items()}
        except OSError as error:
            raise _unwritable(folder, error) from None

    def append(self, table: str, record: Mapping[str, Any]) -> None:
        """One record behind the others; it is safe after ``commit``."""
        self._tables[table].append(record)

    def count(self, table: str) -> int:
        """Records of a table so far: the number that the next one gets."""
        return self._tables[table].next

    def commit(self) -> None:
        """Returns when all records are on the disk. ApexError when they cannot be."""
        try:
            for table in self._tables.values():
                table.commit()
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def close(self) -> None:
        """Commit, and put what is left into Parquet files."""
        try:
            for table in self._tables.values():
                table.close()
        except OSError as error:
            raise _unwritable(self.folder, error) from None


class _Table:
    """One table of a journal."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema, rows: int) -> None:
        self._folder, self._name, self._schema, self._rows = folder, name, schema, rows
        known = read_journal(folder, name)
        if known is not None and known.schema != schema:
            raise ApexError(
                f"{folder} holds the journal table {name!r} of another version of apex-trader: "
                "choose another folder"
            )
        self.next = known.num_rows if known is not None else 0
        self._part = len(journal_parts(folder, name))
        behind = _behind_parts(folder, name)
        self._since: list[pa.RecordBatch] = behind.to_batches() if behind is not None else []
        self._new: list[dict[str, Any]] = []
        self._open()

    def append(self, record: Mapping[str, Any]) -> None:
        self._new.append({NUMBER: self.next, **record})
        self.next += 1

    def commit(self) -> None:
        if not self._new:
            return
        batch = pa.RecordBatch.from_pylist(self._new, schema=self._schema)
        self._writer.write_batch(batch)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._since.append(batch)
        self._new.clear()
        if sum(b.num_rows for b in self._since) >= self._rows:
            self._roll()

    def close(self) -> None:
        self.commit()
        if self._since:
            self._roll()
        self._writer.close()
        self._file.close()
        self._stream.unlink()

    @property
    def _stream(self) -> Path:
        return journal_stream(self._folder, self._name)

    def _roll(self) -> None:
        """Put the records of the stream into a Parquet file, and begin an empty one."""
        table = pa.Table.from_batches(self._since, self._schema)
        self._part += 1
        path = self._folder / f"{self._name}-{self._part:06d}.parquet"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        _sync_folder(self._folder)
        self._since.clear()
        self._writer.close()
        self._file.close()
        self._open()

    def _open(self) -> None:
        """A stream with the records that no Parquet file holds."""
        partial = self._stream.with_suffix(".partial")
        self._file = partial.open("wb")
        self._writer = pa.ipc.new_stream(self._file, self._schema)
        for batch in self._since:
            self._writer.write_batch(batch)
        self._file.flush()
        os.fsync(self._file.fileno())
        partial.rename(self._stream)
        _sync_folder(self._folder)


def read_journal(folder: Path, name: str) -> pa.Table | None:
    """All committed records of a table, in order; None where there is none.

    May be called while the journal is written to.
    """
    for _ in range(3):  # a part may appear between the two looks
        parts = journal_parts(folder, name)
        behind = _behind_parts(folder, name)
        if parts == journal_parts(folder, name):
            break
    tables = [pq.read_table(path) for path in parts]
    if behind is not None:
        tables.append(behind)
    return pa.concat_tables(tables) if tables else None


def journal_parts(folder: Path, name: str) -> list[Path]:
    """The Parquet files of a table, in order."""
    found = folder.glob(f"{name}-*.parquet")
    return sorted(path for path in found if _PART.search(path.name[len(name) :]))


def journal_stream(folder: Path, name: str) -> Path:
    """The Arrow stream of a table: the records that no Parquet file holds, while it is written."""
    return folder / f"{name}.arrows"


def _behind_parts(folder: Path, name: str) -> pa.Table | None:
    """The records of the stream that no Parquet file holds yet."""
    stream = _stream_table(journal_stream(folder, name))
    if stream is None:
        return None
    held = sum(pq.read_metadata(path).num_rows for path in journal_parts(folder, name))
    return stream.filter(pa.compute.greater_equal(stream[NUMBER], held))


def _stream_table(path: Path) -> pa.Table | None:
    """The whole batches of an Arrow stream whose end may be torn."""
    try:
        with path.open("rb") as file, pa.ipc.open_stream(file) as reader:
            batches = []
            while True:
                try:
                    batches.append(reader.read_next_batch())
                except (StopIteration, pa.ArrowInvalid, OSError):
                    return pa.Table.from_batches(batches, reader.schema)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _sync_folder(folder: Path) -> None:
    """Make a renaming safe."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(folder: Path, error: OSError) -> ApexError:
    return ApexError(f"the journal in {folder} cannot be written: {error.strerror or error}")
