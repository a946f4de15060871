"""What was committed is there, whenever the writer was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from apex_trader.execution.journal import Journal, read_journal, with_number

SCHEMA = with_number([pa.field("text", pa.string()), pa.field("blob", pa.binary())])
SCHEMAS = {"orders": SCHEMA}


def journal(folder: Path, rows: int = 4) -> Journal:
    return Journal(folder, SCHEMAS, rows)


def write(it: Journal, *texts: str) -> None:
    for text in texts:
        it.append("orders", {"text": text, "blob": text.encode()})
    it.commit()


def texts(folder: Path) -> list[str]:
    table = read_journal(folder, "orders")
    if table is None:
        return []
    assert table["n"].to_pylist() == list(range(table.num_rows))
    return [str(text) for text in table["text"].to_pylist()]


def test_records_are_read_while_they_are_written_and_afterwards(tmp_path):
    assert read_journal(tmp_path, "orders") is None
    it, expected = journal(tmp_path), []
    for k in range(11):
        write(it, f"record {k}")
        expected.append(f"record {k}")
        assert texts(tmp_path) == expected
    it.append("orders", {"text": "not committed", "blob": b""})
    assert texts(tmp_path) == expected
    it.close()
    assert texts(tmp_path) == [*expected, "not committed"]
    assert all(path.suffix == ".parquet" for path in tmp_path.iterdir())


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, 900), count=st.integers(1, 9), rows=st.integers(1, 5))
def test_a_torn_end_costs_what_was_being_written_alone(tmp_path_factory, cut, count, rows):
    folder = tmp_path_factory.mktemp("journal")
    it, sizes = journal(folder, rows), []
    stream = folder / "orders.arrows"
    for k in range(count):
        write(it, f"record {k}")
        sizes.append(stream.stat().st_size)
    whole = stream.read_bytes()
    stream.write_bytes(whole[: max(len(whole) - cut, 0)])
    before = count // rows * rows
    survived = texts(folder)
    assert survived == [f"record {k}" for k in range(len(survived))]
    assert len(survived) >= before
    lost = sum(size > len(whole) - cut for size in sizes[before:])
    assert len(survived) >= count - lost
    again = journal(folder, rows)
    write(again, "after")
    assert texts(folder) == [*survived, "after"]


def test_a_crash_between_a_file_and_the_new_stream_doubles_nothing(tmp_path):
    it = journal(tmp_path)
    write(it, "a", "b", "c")
    stream = (tmp_path / "orders.arrows").read_bytes()
    write(it, "d")  # a file is complete, the stream is empty again
    (tmp_path / "orders.arrows").write_bytes(stream)  # as if it were not yet
    assert texts(tmp_path) == ["a", "b", "c", "d"]
    again = journal(tmp_path)
    write(again, "e")
    assert texts(tmp_path) == ["a", "b", "c", "d", "e"]


def test_a_killed_writer_loses_nothing_that_it_reported(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.execution.test_journal import *\n"
        "it = journal(Path(sys.argv[1]), 7)\n"
        "for k in range(10**6):\n    write(it, f'record {k}')\n    print(k, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(40):
        said = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    said = max([said, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    assert len(texts(tmp_path)) >= said + 1


def test_another_table_of_the_same_name_is_refused(tmp_path):
    write(journal(tmp_path), "a")
    with pytest.raises(ApexError, match="another version"):
        Journal(tmp_path, {"orders": with_number([pa.field("price", pa.float64())])}, 4)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ApexError, match="cannot be written"):
        journal(tmp_path / "file" / "journal")
