"""When a run logs, rotates, refits, is judged and saves, and when it is over: in any runtime."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apex_trader.runtime.config import TrainConfig
from apex_trader.runtime.progress import Progress

#: What an event does. False: it could not now, and is due again at the next beat.
Action = Callable[[], bool | None]


@dataclass(frozen=True)
class Event:
    """Something to do every so many updates; never with every=0. Its name marks it in progress."""

    name: str
    every: int
    action: Action


def train_events(
    train: TrainConfig,
    *,
    rotates: bool,
    rotate: Action,
    refit: Action,
    evaluate: Action,
    checkpoint: Action,
) -> list[Event]:
    """The events that every runtime has, in the order in which they happen at one update.

    What changes the parts comes before what judges them, and judging saves: so the checkpoint
    comes last, when it has nothing more to do. rotates: whether there are days to rotate in.
    """
    return [
        Event("rotate", train.rotate_every if rotates else 0, rotate),
        Event("pretrain", train.pretrain_every, refit),
        Event("evaluate", train.evaluate_every, evaluate),
        Event("checkpoint", train.checkpoint_every, checkpoint),
    ]


class Rhythm:
    """Does what is due. The marks of what was done are the progress's, and saved with it."""

    def __init__(self, progress: Progress, events: Sequence[Event]) -> None:
        self._progress, self._events = progress, list(events)

    def beat(self, updates: int) -> None:
        """Do what is due after so many updates, in order."""
        marks = self._progress.marks
        for event in self._events:
            before = marks.get(event.name)
            if not self._progress.due(event.name, updates, event.every):
                continue
            if event.action() is False:
                self._put_back(event.name, before)

    def again(self, name: str) -> None:
        """An event that had begun came to nothing: it is due at the next beat."""
        self._progress.marks.pop(name, None)

    def _put_back(self, name: str, mark: int | None) -> None:
        if mark is None:
            self._progress.marks.pop(name, None)
        else:
            self._progress.marks[name] = mark


class Budget:
    """Updates and seconds of training that a run may take; begins to count when it is made."""

    def __init__(self, train: TrainConfig, progress: Progress) -> None:
        self._train, self._progress = train, progress
        self._started, self._before = time.monotonic(), progress.seconds

    def spent(self, updates: int) -> bool:
        """Whether it is used up. Notes the seconds of training, of earlier sittings too."""
        self._progress.seconds = self._before + time.monotonic() - self._started
        out_of_time = 0 < self._train.seconds <= self._progress.seconds
        return updates >= self._train.updates or out_of_time
