"""The shells that Ray runs, called directly: what they add to the parts they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from apex_trader.experience import Transitions
from apex_trader.runtime.config import Config
from apex_trader.runtime.ray_learner import WeightBoard
from apex_trader.runtime.ray_part import NOT_STARTED
from apex_trader.runtime.ray_replay import UNSEEN, Replay, ShardActor
from learner.checkpoint import CheckpointManager


def experience(segments: list[int]) -> tuple[Transitions, np.ndarray]:
    """One transition of each of these segments."""
    empty = Transitions.empty(len(segments), actions=3)
    transitions = replace(empty, segment=np.array(segments, np.int32))
    return transitions, np.ones(len(segments), np.float32)


@pytest.fixture
def shard(tiny: Config) -> ShardActor:
    shard = ShardActor(tiny, 0)
    shard.start(0, None, [1, 2])
    return shard


def held(shard: ShardActor) -> float:
    status = shard.status(0.5, 0, 0.0)
    assert isinstance(status, dict)
    return status["replay/size"]


def brought(shard: ShardActor) -> bytes:
    """The shard's snapshot as it is given where its disk is not the driver's."""
    snapshot = shard.save("/nowhere", "replay-0.pt")
    assert isinstance(snapshot, bytes)
    return snapshot


def test_a_shard_that_was_restarted_says_so_until_it_is_started(tiny: Config):
    shard = ShardActor(tiny, 0)
    assert shard.insert(*experience([1])) == NOT_STARTED
    assert shard.sample(1, 0) == NOT_STARTED
    assert shard.save("nowhere", "replay-0.pt") == NOT_STARTED


def test_experience_of_a_day_that_rotated_out_goes_and_comes_no_more(shard: ShardActor):
    """Rollouts bring some after the rotation: the learner's arena has no room for that day."""
    assert shard.insert(*experience([1, 1, 2])) is True
    shard.set_active([2, 3])
    assert held(shard) == 1
    assert shard.insert(*experience([1, 2, 3])) is True
    assert held(shard) == 3


def test_a_snapshot_older_than_a_rotation_brings_back_active_days_alone(
    shard: ShardActor, tiny: Config
):
    shard.insert(*experience([1, 1, 2]))
    snapshot = brought(shard)
    again = ShardActor(tiny, 0)
    again.start(1, snapshot, [2, 3])
    assert held(again) == 1


def test_a_shard_writes_its_part_of_a_checkpoint_itself_and_starts_from_it(
    shard: ShardActor, tiny: Config, tmp_path: Path
):
    shard.insert(*experience([1, 2]))
    manager = CheckpointManager(str(tmp_path))
    pending = manager.begin(7)
    part = shard.save(pending.place, "replay-0.pt")
    assert not isinstance(part, bytes | str)
    checkpoint = manager.commit(pending, {"replay-0.pt": part})
    again = ShardActor(tiny, 0)
    assert again.start(1, checkpoint.saved("replay-0.pt"), [1, 2]) == 1
    assert held(again) == 2
    assert checkpoint.read("replay-0.pt") == brought(shard)


def test_a_shard_that_does_not_see_its_snapshot_asks_for_the_bytes(
    shard: ShardActor, tiny: Config, tmp_path: Path
):
    """It was started on another machine, or the checkpoint was removed."""
    shard.insert(*experience([1, 2]))
    manager = CheckpointManager(str(tmp_path))
    pending = manager.begin(7)
    checkpoint = manager.commit(pending, {"replay-0.pt": shard.save(pending.place, "replay-0.pt")})
    place = checkpoint.saved("replay-0.pt")
    again = ShardActor(tiny, 0)
    assert again.start(1, replace(place, path=place.path + ".elsewhere"), [1]) == UNSEEN
    assert again.started() is False
    assert again.start(2, checkpoint.read("replay-0.pt"), [1, 2]) == 2
    assert held(again) == 2


def test_a_shard_whose_snapshot_was_damaged_begins_empty_and_says_so(
    shard: ShardActor, tiny: Config, tmp_path: Path
):
    """Half of a replay, or one of other numbers, would be learned from without a word."""
    shard.insert(*experience([1, 2]))
    manager = CheckpointManager(str(tmp_path))
    pending = manager.begin(7)
    checkpoint = manager.commit(pending, {"replay-0.pt": shard.save(pending.place, "replay-0.pt")})
    said: list[str] = []
    replay = Replay.__new__(Replay)  # the driver's side, without Ray's actors
    replay._context = Mock(**{"session.display.say": said.append})
    replay.checkpoint = checkpoint
    assert replay._snapshot(0, whole=True) == checkpoint.read("replay-0.pt")
    path = Path(checkpoint.saved("replay-0.pt").path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    place = replay._snapshot(0, whole=False)
    assert ShardActor(tiny, 0).start(1, place, [1, 2]) == UNSEEN
    assert replay._snapshot(0, whole=True) is None
    path.unlink()
    assert replay._snapshot(0, whole=True) is None
    assert [line.startswith("replay shard 0 begins empty") for line in said] == [True, True]


def test_a_shard_begins_an_incarnation_above_its_snapshot(shard: ShardActor, tiny: Config):
    """A run that went on in another runtime meanwhile has counted incarnations by itself."""
    first = ShardActor(tiny, 0)
    assert first.start(5, brought(shard), [1]) == 5
    assert ShardActor(tiny, 0).start(1, brought(first), [1]) == 6


def test_actors_take_the_weights_of_a_learner_that_began_again_at_an_older_version(tiny: Config):
    board = WeightBoard(tiny)
    board.post(116, ["weights of a learner that died"])
    assert board.newest(116) == (116, [])
    board.post(40, ["weights of the checkpoint"])
    assert board.newest(116) == (40, ["weights of the checkpoint"])
