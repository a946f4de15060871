"""Checkpoints: whole or not there at all."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, MismatchError
from learner.checkpoint import (
    MANIFEST,
    BrokenCheckpointError,
    CheckpointManager,
    CheckpointWarning,
    json_part,
    state_part,
)

IDENTITY = {"schema": "aa", "extractor": "v1", "segments": "11"}


def parts(mark: int) -> dict[str, object]:
    return {
        "learner.pt": state_part({"weights": torch.full((4,), float(mark)), "updates": mark}),
        "replay-0.bin": bytes([mark]) * 100,
        "counters.json": json_part({"updates": mark}),
    }


@pytest.fixture
def manager(tmp_path: Path) -> CheckpointManager:
    return CheckpointManager(str(tmp_path / "checkpoints"))


def test_what_was_saved_is_read_back(manager: CheckpointManager) -> None:
    name = manager.save(123, parts(7), IDENTITY)
    found = manager.latest()
    assert found is not None
    assert (name, found.name, found.step) == ("step-000123", "step-000123", 123)
    assert found.state("learner.pt")["weights"].tolist() == [7.0] * 4
    assert found.read("replay-0.bin") == bytes([7]) * 100
    assert found.json("counters.json") == {"updates": 7}
    assert found.has("counters.json")
    assert not found.has("rollout-0.pt")
    with pytest.raises(ApexError, match=r"no part 'rollout-0\.pt'.*learner\.pt"):
        found.open("rollout-0.pt")


def test_an_empty_or_absent_folder_has_no_checkpoint(manager: CheckpointManager) -> None:
    assert manager.latest() is None
    assert manager.best() is None
    assert manager.names() == []
    with pytest.raises(ApexError, match="there are: none"):
        manager.load("step-000001")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_checkpoint_cut_at_any_byte_is_never_loaded(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    manager = CheckpointManager(str(folder))
    manager.save(1, parts(1))
    manager.save(2, parts(2))
    files = sorted((folder / "step-000002").iterdir())
    file = data.draw(st.sampled_from(files), label="file")
    size = file.stat().st_size
    kept = data.draw(st.integers(0, size - 1), label="bytes kept")
    with file.open("r+b") as handle:
        handle.truncate(kept)
    with pytest.warns(CheckpointWarning, match="step-000002.*the one before is used"):
        found = manager.latest()
    assert found is not None
    assert found.name == "step-000001"
    with pytest.raises(BrokenCheckpointError):
        manager.load("step-000002")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_checkpoint_with_any_byte_changed_is_never_loaded(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    manager = CheckpointManager(str(folder))
    manager.save(2, parts(2), IDENTITY)
    file = data.draw(st.sampled_from(sorted((folder / "step-000002").iterdir())))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        same = file.name == MANIFEST and json.loads(content) == json.loads(file.read_bytes())
    except ValueError:
        same = False
    file.write_bytes(content)
    if same:  # a changed blank in the manifest changes nothing
        assert manager.load("step-000002").identity == IDENTITY
        return
    with pytest.raises(BrokenCheckpointError):
        manager.load("step-000002")


def test_a_missing_part_or_manifest_is_never_loaded(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    for step, victim in ((1, MANIFEST), (2, "replay-0.bin")):
        manager.save(step, parts(step))
        (tmp_path / "checkpoints" / f"step-{step:06d}" / victim).unlink()
    with pytest.warns(CheckpointWarning) as caught:
        assert manager.latest() is None
    assert len(caught) == 2


def test_a_full_disk_is_a_clear_error_and_the_earlier_checkpoint_stays(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    manager.save(1, parts(1))

    def full(file: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ApexError, match=r"No space left on device.*step-000001"):
        manager.save(2, {**parts(2), "replay-1.bin": full})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]
    found = manager.latest()
    assert found is not None
    assert found.json("counters.json") == {"updates": 1}


def test_a_failing_rename_leaves_the_same_step_untouched(
    manager: CheckpointManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.save(1, parts(1))

    def fail(source: object, target: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("learner.folders.os.replace", fail)
    with pytest.raises(ApexError, match="Input/output error"):
        manager.save(1, parts(9))
    monkeypatch.undo()
    assert manager.load("step-000001").json("counters.json") == {"updates": 1}


def test_a_writer_killed_between_its_two_renames_loses_nothing(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    manager.save(1, parts(1))
    folder = tmp_path / "checkpoints"
    (folder / "step-000001").rename(folder / ".old-step-000001")
    found = manager.latest()
    assert found is not None
    assert found.json("counters.json") == {"updates": 1}
    manager.save(2, parts(2))
    assert manager.names() == ["step-000001", "step-000002"]


def test_what_a_killed_writer_left_is_cleaned_up(
    manager: CheckpointManager, tmp_path: Path
) -> None:
    left = tmp_path / "checkpoints" / ".tmp-1-step-000009"
    left.mkdir(parents=True)
    (left / "learner.pt").write_bytes(b"half")
    assert manager.latest() is None
    manager.save(10, parts(1))
    assert not left.exists()


def test_saving_a_step_again_replaces_it(manager: CheckpointManager) -> None:
    manager.save(5, parts(1))
    manager.save(5, parts(2))
    assert manager.load("step-000005").json("counters.json") == {"updates": 2}
    assert manager.names() == ["step-000005"]


def test_the_newest_and_the_best_are_kept(manager: CheckpointManager) -> None:
    for step in range(1, 8):
        name = manager.save(step, parts(step))
        if step == 2:
            manager.mark_best(name, "eval/net_return", 0.25)
    assert manager.names() == ["step-000002", "step-000005", "step-000006", "step-000007"]
    best = manager.best()
    assert best is not None
    assert (best.name, best.metric, best.value) == ("step-000002", "eval/net_return", 0.25)


def test_an_old_checkpoint_that_cannot_go_does_not_stop_the_run(
    manager: CheckpointManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2, 3):
        manager.save(step, parts(step))

    def fail(folder: object, name: str) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("learner.folders.LocalFolder.remove", fail)
    with pytest.warns(CheckpointWarning, match="step-000001 could not be removed"):
        assert manager.save(4, parts(4)) == "step-000004"
    assert len(manager.names()) == 4


def test_steps_are_ordered_as_numbers(manager: CheckpointManager) -> None:
    manager.save(999_999, parts(1))
    manager.save(1_000_000, parts(2))
    found = manager.latest()
    assert found is not None
    assert found.step == 1_000_000


def test_only_a_whole_checkpoint_can_be_the_best(manager: CheckpointManager) -> None:
    with pytest.raises(ApexError, match="step-000003"):
        manager.mark_best("step-000003", "eval/net_return", 1.0)


def test_a_cut_off_best_record_is_no_best(manager: CheckpointManager, tmp_path: Path) -> None:
    manager.mark_best(manager.save(1, parts(1)), "eval/net_return", 1.0)
    record = tmp_path / "checkpoints" / "best.json"
    record.write_bytes(record.read_bytes()[:-3])
    with pytest.warns(CheckpointWarning):
        assert manager.best() is None


def test_going_on_from_an_earlier_checkpoint_drops_the_later_ones(
    manager: CheckpointManager,
) -> None:
    for step in (1, 2, 3):
        manager.save(step, parts(step))
    assert manager.discard_after("step-000001") == ["step-000002", "step-000003"]
    assert manager.names() == ["step-000001"]


@pytest.mark.parametrize("key", sorted(IDENTITY))
def test_another_market_schema_or_extractor_is_a_mismatch(
    manager: CheckpointManager, key: str
) -> None:
    manager.save(1, parts(1), IDENTITY)
    found = manager.latest()
    assert found is not None
    found.require(IDENTITY)
    with pytest.raises(MismatchError, match=f"{key} {IDENTITY[key]}, this run has other: resume"):
        found.require({**IDENTITY, key: "other"})


@pytest.mark.parametrize("name", ["../up", "a/b", "", MANIFEST, ".hidden"])
def test_a_part_is_a_plain_file_name(manager: CheckpointManager, name: str) -> None:
    with pytest.raises(ApexError, match="plain file name"):
        manager.save(1, {name: b"x"})


def test_checkpoints_live_behind_a_url_too() -> None:
    manager = CheckpointManager("memory://run-of-this-test/checkpoints", keep=2)
    for step in (1, 2, 3):
        manager.save(step, parts(step), IDENTITY)
    manager.save(3, parts(9), IDENTITY)
    manager.mark_best("step-000003", "eval/net_return", 1.0)
    assert manager.names() == ["step-000002", "step-000003"]
    found = manager.latest()
    assert found is not None
    assert found.state("learner.pt")["updates"] == 9
    assert manager.best() is not None

    def full(file: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ApexError, match="No space left"):
        manager.save(4, {"a.bin": b"x", "b.bin": full})
    assert manager.names() == ["step-000002", "step-000003"]


def test_an_upload_that_was_cut_off_is_passed_over() -> None:
    import fsspec

    manager = CheckpointManager("memory://cut-off-in-this-test/checkpoints")
    manager.save(1, parts(1))
    manager.save(2, parts(2))
    fsspec.filesystem("memory").rm("/cut-off-in-this-test/checkpoints/step-000002/manifest.json")
    with pytest.warns(CheckpointWarning, match="no manifest"):
        found = manager.latest()
    assert found is not None
    assert found.step == 1


def test_an_unknown_protocol_is_a_clear_error() -> None:
    with pytest.raises(ApexError, match="nosuch://"):
        CheckpointManager("nosuch://bucket/run")


def test_arrays_can_be_streamed_into_a_part(manager: CheckpointManager) -> None:
    columns = {"row": np.arange(10, dtype=np.int32), "weight": np.linspace(0, 1, 10)}

    def write(file: object) -> None:
        np.savez(file, **columns)  # type: ignore[arg-type]

    manager.save(1, {"replay-0.npz": write})
    with manager.load("step-000001").open("replay-0.npz") as file, np.load(file) as found:
        for name, column in columns.items():
            np.testing.assert_array_equal(found[name], column)


def test_a_held_checkpoint_outlives_newer_ones_until_it_is_let_go(tmp_path):
    """It is being judged, and may turn out to be the best."""
    manager = CheckpointManager(str(tmp_path), keep=1)
    manager.save(1, {"a.pt": b"1"})
    manager.held.add("step-000001")
    manager.save(2, {"a.pt": b"2"})
    assert manager.names() == ["step-000001", "step-000002"]
    manager.held.discard("step-000001")
    manager.save(3, {"a.pt": b"3"})
    assert manager.names() == ["step-000003"]


def test_a_best_checkpoint_that_was_deleted_is_no_longer_the_best(tmp_path):
    manager = CheckpointManager(str(tmp_path))
    manager.save(1, {"a.pt": b"1"})
    manager.mark_best("step-000001", "eval/net_return", 0.5)
    shutil.rmtree(tmp_path / "step-000001")
    with pytest.warns(CheckpointWarning, match="is gone"):
        assert manager.best() is None
