"""Following a journal while it is written: each reading brings what was gained since the last."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from apex_trader.errors import ApexError
from apex_trader.execution.journal import NUMBER, journal_parts, journal_stream


class JournalTail:
    """The records of one table of a journal, each given once and in order.

    Nothing is locked or written: the writer does not notice. Of the stream only the bytes behind
    those already read are read; a torn record at its end is left for the next time. Its file is
    held open, so that the one which replaces it cannot be taken for it.

    Args:
        folder: of the journal; need not be there yet.
        name: of the table. columns: those wanted, all by default; ``NUMBER`` always comes first.
        start: number of the first record wanted.
    """

    def __init__(
        self, folder: Path, name: str, columns: Sequence[str] | None = None, start: int = 0
    ) -> None:
        self.folder, self.name = folder, name
        self._columns = None if columns is None else [NUMBER, *columns]
        self._next = start
        self._rows: dict[Path, int] = {}
        self._file: IO[bytes] | None = None
        self._offset = 0
        self._schema: pa.Schema | None = None

    @property
    def known(self) -> int:
        """Number of the next record."""
        return self._next

    def read(self) -> pa.Table | None:
        """What was committed since the last reading; None for nothing.

        ApexError when the table was written by another version of apex-trader.
        """
        found: list[pa.Table] = []
        for _ in range(3):  # the writer may move records between the two looks
            found += self._from_parts()
            batches, joined = self._from_stream()
            found += [pa.Table.from_batches([batch]) for batch in batches]
            if joined:
                break
        return pa.concat_tables(found) if found else None

    def close(self) -> None:
        """Let the stream's file go."""
        if self._file is not None:
            self._file.close()
        self._file, self._offset, self._schema = None, 0, None

    # --- inside ----------------------------------------------------------------------------

    def _from_parts(self) -> list[pa.Table]:
        found, start = [], 0
        for path in journal_parts(self.folder, self.name):
            if path not in self._rows:
                self._rows[path] = pq.read_metadata(path).num_rows
            end = start + self._rows[path]
            if end > self._next:
                table = self._chosen(pq.read_table(path, columns=self._columns))
                found.append(table.slice(max(self._next - start, 0)))
                self._next = end
            start = end
        return found

    def _from_stream(self) -> tuple[list[pa.RecordBatch], bool]:
        """(new batches, whether they join on to what is known)."""
        if not self._hold():
            return [], True
        assert self._file is not None
        self._file.seek(self._offset)
        found: list[pa.RecordBatch] = []
        reader = pa.BufferReader(self._file.read())
        begin = self._offset
        while (message := _next_message(reader)) is not None:
            self._offset = begin + reader.tell()
            if self._schema is None:
                self._schema = pa.ipc.read_schema(message)
                continue
            batch = pa.ipc.read_record_batch(message, self._schema)
            first = batch[NUMBER][0].as_py() if batch.num_rows else self._next
            if first > self._next:
                self.close()
                return found, False
            batch = batch.slice(min(self._next - first, batch.num_rows))
            if batch.num_rows:
                found.append(self._chosen(batch))
                self._next += batch.num_rows
        return found, True

    def _hold(self) -> bool:
        """Open the stream where another one took its place; whether there is one."""
        path = journal_stream(self.folder, self.name)
        try:
            there = path.stat()
            if self._file is not None and os.path.samestat(there, os.fstat(self._file.fileno())):
                return True
            self.close()
            self._file = path.open("rb", buffering=0)
        except FileNotFoundError:
            self.close()
            return False
        return True

    def _chosen(self, table: pa.Table) -> pa.Table:
        """The wanted columns of a table or batch."""
        if self._columns is None:
            return table
        if not set(self._columns) <= set(table.schema.names):
            raise ApexError(
                f"{self.folder} holds the journal table {self.name!r} of another version of "
                "apex-trader: look at it with that one"
            )
        return table.select(self._columns)


def _next_message(reader: pa.BufferReader) -> pa.Message | None:
    """The next whole message of a stream; None where it is torn or ends."""
    try:
        return pa.ipc.read_message(reader)
    except (EOFError, OSError, pa.ArrowInvalid):
        return None
