"""Parts that other processes write: a checkpoint of them is whole or not there, as any other."""

from __future__ import annotations

import errno
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest
import torch

from apex_trader.errors import ApexError
from learner.checkpoint import CheckpointManager, json_part, state_part
from learner.checkpoint_parts import SavedPart, write_part
from learner.folders import LocalFolder

COUNTERS = {"counters.json": json_part({"updates": 3})}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def manager(folder: Path) -> CheckpointManager:
    return CheckpointManager(str(folder))


def written(place: str, part: str = "replay-0.pt", mark: float = 7.0) -> SavedPart:
    part_there = write_part(place, part, state_part({"mass": torch.full((500,), mark)}))
    assert part_there is not None
    return part_there


def test_a_checkpoint_of_several_writers_is_read_as_any_other(manager: CheckpointManager):
    pending = manager.begin(3)
    replay = written(pending.place)
    made = manager.commit(pending, {"replay-0.pt": replay, **COUNTERS}, {"schema": "aa"})
    for found in (made, manager.latest()):
        assert found is not None
        assert (found.name, found.step, found.identity) == ("step-000003", 3, {"schema": "aa"})
        assert found.state("replay-0.pt")["mass"].tolist() == [7.0] * 500
        assert found.json("counters.json") == {"updates": 3}


def test_nobody_sees_it_before_it_is_committed(manager: CheckpointManager, folder: Path):
    manager.save(1, COUNTERS)
    pending = manager.begin(2)
    written(pending.place)
    assert manager.names() == ["step-000001"]
    latest = CheckpointManager(str(folder)).latest()
    assert latest is not None
    assert latest.step == 1


def test_an_abandoned_one_leaves_nothing_and_late_writers_write_nowhere(
    manager: CheckpointManager, folder: Path
):
    pending = manager.begin(2)
    written(pending.place)
    pending.abandon()
    assert write_part(pending.place, "replay-1.pt", b"late") is None
    assert list(folder.iterdir()) == []


def test_a_late_writer_of_an_abandoned_attempt_does_not_reach_the_next(manager: CheckpointManager):
    """A shard that was cut off may come back and end its work on a checkpoint of the same step."""
    first = manager.begin(2)
    first.abandon()
    second = manager.begin(2)
    assert first.place != second.place
    with pytest.raises(ApexError, match=r"is not replay-0\.pt of the checkpoint"):
        manager.commit(second, {"replay-0.pt": SavedPart(f"{first.place}/replay-0.pt", 4, "")})
    assert manager.names() == []


def test_a_part_that_lost_bytes_on_its_way_is_not_committed(
    manager: CheckpointManager, folder: Path
):
    manager.save(1, COUNTERS)
    pending = manager.begin(2)
    replay = written(pending.place)
    with Path(replay.path).open("r+b") as file:
        file.truncate(replay.size - 1)
    with pytest.raises(ApexError, match="bytes where"):
        manager.commit(pending, {"replay-0.pt": replay})
    assert [path.name for path in folder.iterdir()] == ["step-000001"]


def test_a_part_that_is_gone_is_an_error_that_names_the_checkpoint(manager: CheckpointManager):
    pending = manager.begin(2)
    replay = written(pending.place)
    Path(replay.path).unlink()
    with pytest.raises(ApexError, match="step-000002 could not be written"):
        manager.commit(pending, {"replay-0.pt": replay})
    assert manager.names() == []


def test_what_a_killed_run_had_begun_is_cleaned_up_by_the_next(
    manager: CheckpointManager, folder: Path
):
    killed = manager.begin(2)
    written(killed.place)
    CheckpointManager(str(folder)).save(3, COUNTERS)
    assert [path.name for path in folder.iterdir()] == ["step-000003"]


def test_a_saved_part_gives_the_bytes_that_were_saved_or_none(manager: CheckpointManager):
    """A path of another machine may lead to another file, or to none."""
    manager.save(1, COUNTERS)
    found = manager.latest()
    assert found is not None
    saved = found.saved("counters.json")
    assert saved.read() == found.read("counters.json")
    Path(saved.path).write_bytes(b"x" * saved.size)
    assert saved.read() is None
    shutil.rmtree(Path(saved.path).parent)
    assert saved.read() is None


def test_a_stage_that_cannot_be_written_to_is_said_with_its_place(
    manager: CheckpointManager, monkeypatch: pytest.MonkeyPatch
):
    pending = manager.begin(2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("learner.folders.os.fsync", full)
    with pytest.raises(ApexError, match=r"replay-0\.pt could not be written: No space left"):
        write_part(pending.place, "replay-0.pt", b"all")


class FullDisk(io.RawIOBase):
    """A file on a disk with room for a few bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= size
        return size


@pytest.mark.parametrize("room", [0, 700, 1500])
def test_a_disk_that_fills_up_within_a_part_is_named_as_the_reason(
    manager: CheckpointManager, monkeypatch: pytest.MonkeyPatch, room: int
):
    """torch answers a file that takes no more with an error of its own, which says nothing."""

    @contextmanager
    def create(_: LocalFolder, name: str) -> Iterator[IO[bytes]]:
        yield cast(IO[bytes], FullDisk(room))

    pending = manager.begin(2)
    monkeypatch.setattr(LocalFolder, "create", create)
    with pytest.raises(ApexError, match=r"replay-0.pt could not be written: No space left"):
        written(pending.place)
    with pytest.raises(ApexError, match=r"step-000002 could not be written: No space left"):
        manager.commit(pending, {"learner.pt": state_part({"mass": torch.zeros(500)})})


def test_a_part_that_cannot_be_made_says_why_itself(manager: CheckpointManager):
    def broken(_: IO[bytes]) -> None:
        raise RuntimeError("no such tensor")

    with pytest.raises(RuntimeError, match="no such tensor"):
        manager.save(2, {"learner.pt": broken})


def test_bytes_that_changed_since_are_not_the_part(manager: CheckpointManager):
    pending = manager.begin(3)
    part = written(pending.place)
    made = manager.commit(pending, {"replay-0.pt": part})
    data = made.read("replay-0.pt")
    assert made.saved("replay-0.pt").holds(data)
    assert not made.saved("replay-0.pt").holds(data[:-1])
    assert not made.saved("replay-0.pt").holds(data[:700] + b"\x01" + data[701:])
