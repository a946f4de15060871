"""When the events of a run are due, whichever runtime it has."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from apex_trader.runtime.config import TrainConfig
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.rhythm import Budget, Event, Rhythm, train_events

TRAIN = TrainConfig(updates=10, evaluate_every=4, checkpoint_every=2, rotate_every=3,
                    pretrain_every=6)  # fmt: skip


def recorded(train: TrainConfig, rotates: bool = True) -> tuple[list[str], list[Event]]:
    """What happened, and events that tell of it."""
    happened: list[str] = []

    def note(name: str):
        return lambda: happened.append(name)

    events = train_events(
        train, rotates=rotates, rotate=note("rotate"), refit=note("refit"),
        evaluate=note("evaluate"), checkpoint=note("checkpoint"),
    )  # fmt: skip
    return happened, events


def test_parts_change_before_they_are_judged_and_are_saved_last():
    happened, events = recorded(TRAIN)
    Rhythm(Progress(), events).beat(12)
    assert happened == ["rotate", "refit", "evaluate", "checkpoint"]


@given(steps=st.lists(st.integers(1, 5), max_size=40), every=st.integers(1, 7))
def test_an_event_happens_once_its_updates_have_passed_and_not_before(steps, every):
    """Updates come in leaps: an event happens with the first that reaches a multiple of its own,
    and one that was late does not put off the next."""
    progress, at, wanted, updates = Progress(), [], [], 0
    rhythm = Rhythm(progress, [Event("save", every, lambda: at.append(updates))])
    for step in steps:
        reached = range(updates + 1, updates + step + 1)
        updates += step
        rhythm.beat(updates)
        if any(update % every == 0 for update in reached):
            wanted.append(updates)
    assert at == wanted


def test_what_could_not_be_done_is_due_again_at_the_next_beat():
    progress, answers = Progress(), iter([None, False, False, None])
    tries: list[int] = []

    def save() -> bool | None:
        tries.append(progress.marks["save"])
        return next(answers)

    rhythm = Rhythm(progress, [Event("save", 5, save)])
    for updates in (5, 10, 11, 12, 13, 14):
        rhythm.beat(updates)
    assert tries == [5, 10, 11, 12]
    assert progress.marks == {"save": 12}


def test_what_came_to_nothing_later_is_due_again():
    progress = Progress()
    done: list[int] = []
    rhythm = Rhythm(progress, [Event("save", 5, lambda: done.append(1))])
    rhythm.beat(5)
    rhythm.again("save")
    rhythm.beat(6)
    assert len(done) == 2


def test_without_days_to_rotate_in_nothing_rotates():
    happened, events = recorded(replace(TRAIN, pretrain_every=0), rotates=False)
    progress = Progress()
    Rhythm(progress, events).beat(100)
    assert happened == ["evaluate", "checkpoint"]
    assert set(progress.marks) == {"evaluate", "checkpoint"}


def test_a_budget_counts_updates_and_the_seconds_of_all_sittings():
    progress = Progress(seconds=50.0)
    assert not Budget(TRAIN, progress).spent(9)
    assert Budget(TRAIN, progress).spent(10)
    assert progress.seconds >= 50.0
    assert Budget(replace(TRAIN, seconds=50.0), progress).spent(0)
    assert not Budget(replace(TRAIN, seconds=1e6), progress).spent(0)
