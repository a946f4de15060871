"""Whoever follows a journal reads what reading it at once gives, whenever he looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError
from apex_trader.execution.journal import Journal, journal_stream, read_journal, with_number
from apex_trader.execution.journal_tail import JournalTail

SCHEMAS = {"orders": with_number([pa.field("text", pa.string()), pa.field("blob", pa.binary())])}


class Writer:
    """A journal whose writer ends and comes back now and then."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self._rows, self.count = folder, rows, 0
        self._journal: Journal | None = None

    @property
    def stream(self) -> Path:
        return journal_stream(self.folder, "orders")

    def write(self, count: int) -> None:
        if self._journal is None:
            self._journal = Journal(self.folder, SCHEMAS, self._rows)
        for _ in range(count):
            text = f"record {self.count}"
            self._journal.append("orders", {"text": text, "blob": text.encode()})
            self.count += 1
        self._journal.commit()

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal = None

    def lose(self) -> None:
        """It is killed: what it had open is left as it is."""
        self._journal = None


class Follower:
    """Everything that a tail has given so far."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.tail = JournalTail(folder, "orders", **options)
        self.seen: list[dict[str, Any]] = []

    def look(self) -> int:
        """How many records a reading brought."""
        gained = self.tail.read()
        self.seen += [] if gained is None else gained.to_pylist()
        return 0 if gained is None else gained.num_rows


def at_once(folder: Path) -> list[dict[str, Any]]:
    table = read_journal(folder, "orders")
    return [] if table is None else table.to_pylist()


steps = st.lists(
    st.one_of(st.integers(1, 7), st.sampled_from(["look", "look", "close", "lose"])), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, rows=st.integers(1, 5))
def test_readings_together_are_what_one_reading_gives(tmp_path_factory, steps, rows):
    folder = tmp_path_factory.mktemp("journal")
    writer, follower = Writer(folder, rows), Follower(folder)
    for step in steps:
        if isinstance(step, int):
            writer.write(step)
        elif step == "look":
            follower.look()
            assert follower.seen == at_once(folder)
        else:
            writer.close() if step == "close" else writer.lose()
    follower.look()
    assert follower.seen == at_once(folder)
    assert [record["n"] for record in follower.seen] == list(range(writer.count))
    assert follower.look() == 0


@settings(max_examples=40, deadline=None)
@given(kept=st.floats(0, 1), before=st.integers(0, 3))
def test_a_record_that_is_half_written_waits_until_it_is_whole(tmp_path_factory, kept, before):
    folder = tmp_path_factory.mktemp("journal")
    writer, follower = Writer(folder, 100), Follower(folder)
    writer.write(before)
    follower.look()
    start = writer.stream.stat().st_size if before else 0
    writer.write(2)
    whole = writer.stream.read_bytes()
    cut = start + int(kept * (len(whole) - start - 1))
    with writer.stream.open("r+b") as file:
        file.truncate(cut)
    follower.look()
    assert len(follower.seen) == before
    with writer.stream.open("r+b") as file:
        file.write(whole)
    follower.look()
    assert follower.seen == at_once(folder)
    assert len(follower.seen) == before + 2


def test_only_what_is_new_is_read(tmp_path, monkeypatch):
    writer, follower = Writer(tmp_path, 1000), Follower(tmp_path)
    writer.write(200)
    follower.look()
    read: list[int] = []
    taken = pa.BufferReader

    def counted(data: bytes) -> pa.BufferReader:
        read.append(len(data))
        return taken(data)

    monkeypatch.setattr(pa, "BufferReader", counted)
    before = writer.stream.stat().st_size
    writer.write(1)
    assert follower.look() == 1
    assert read == [writer.stream.stat().st_size - before]


def test_a_part_of_the_columns_from_some_record_on(tmp_path):
    writer = Writer(tmp_path, 3)
    writer.write(8)
    follower = Follower(tmp_path, columns=["text"], start=4)
    follower.look()
    assert follower.seen == [{"n": n, "text": f"record {n}"} for n in range(4, 8)]
    writer.write(2)
    follower.look()
    assert [record["n"] for record in follower.seen] == list(range(4, 10))


def test_a_journal_that_is_not_there_yet_has_nothing(tmp_path):
    follower = Follower(tmp_path / "later")
    assert follower.look() == 0
    Writer(tmp_path / "later", 3).write(2)
    assert follower.look() == 2


def test_following_writes_and_changes_nothing(tmp_path):
    writer, follower = Writer(tmp_path, 3), Follower(tmp_path)
    writer.write(5)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    follower.look()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_journal_of_another_version_is_refused(tmp_path):
    Writer(tmp_path, 3).write(1)
    with pytest.raises(ApexError, match="another version"):
        JournalTail(tmp_path, "orders", ["text", "colour"]).read()
