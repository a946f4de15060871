"""Deaths of parts: counted once each, and the part started again when Ray has revived it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.exceptions import ActorDiedError

from apex_trader.errors import ApexError
from apex_trader.runtime.ray_calls import Answer, Calls, Failed
from apex_trader.runtime.ray_part import Handle, Ref

#: Seconds between two questions whether a part that has no loop of its own is still the same.
PULSE = 2.0


@dataclass
class _Watched:
    """A part that is asked for its process now and then.

    process: as of ``deaths``. silent: it did not answer the last time.
    """

    handle: Handle
    returned: Callable[[], None]
    process: int | None = None
    deaths: int = 0
    asked: bool = False
    silent: bool = False


class Restarts:
    """Counts every death of every part, says so, and ends the run after too many.

    Ray takes seconds to revive a part, and several calls to it can fail meanwhile: whoever calls a
    part notes ``of(part)`` before, and a failure counts when no other has been counted since.

    Args:
        calls: the driver's.
        limit: restarts of one part that a run may have (``cluster.restarts``).
        say: tells the user.
        hint: how to go on after too many.
    """

    def __init__(self, calls: Calls, limit: int, say: Callable[[str], None], hint: str) -> None:
        self._calls, self._limit, self._say, self._hint = calls, limit, say, hint
        self._deaths: dict[str, int] = {}
        self._watched: dict[str, _Watched] = {}
        self._pulse_due = 0.0
        #: Parts that died and are not back yet.
        self.down: set[str] = set()

    @property
    def total(self) -> int:
        """Deaths so far, of all parts."""
        return sum(self._deaths.values())

    def of(self, part: str) -> int:
        """How often a part has died so far: its incarnation."""
        return self._deaths.get(part, 0)

    def lost(self, part: str, known: int | None = None) -> bool:
        """A call to a part failed; whether that is a death not counted yet.

        known: ``of(part)`` when it was called, where another call may have failed before. A part
        that is down dies no second time then.
        """
        if known is not None and (known != self.of(part) or part in self.down):
            return False
        self.down.add(part)
        count = self._deaths[part] = self.of(part) + 1
        self._say(f"{part} died and is started again ({count})")
        if count > self._limit:
            raise ApexError(
                f"{part} died {count} times (cluster.restarts={self._limit}): look at its log "
                f"under /tmp/ray/session_latest/logs, then {self._hint}"
            )
        return True

    def back(self, part: str) -> None:
        """A part is at work again."""
        self.down.discard(part)

    def retry(self, part: str, action: Callable[[], None]) -> Failed:
        """For a ``start`` that fails: until Ray has revived a part every call to it does."""

        def failed(error: BaseException) -> None:
            if isinstance(error, ActorDiedError):  # for good
                self.lost(part)
            self._calls.later(action)

        return failed

    def start_again(self, part: str, start: Callable[[], Ref], started: Answer) -> None:
        """Start a part that Ray is reviving, as soon as it is there."""

        def attempt() -> None:
            self._calls.fly(start(), answer, self.retry(part, attempt))

        def answer(result: Any) -> None:
            self.back(part)
            started(result)

        attempt()

    def watch(self, part: str, handle: Handle, returned: Callable[[], None] | None = None) -> None:
        """Look in ``pulse`` whether a part died that no loop calls all the time.

        returned: called once it answers again, and does what makes it ``back``. Without, it is
        at work again by itself.
        """
        self._watched[part] = _Watched(handle, returned or (lambda: self.back(part)))

    def pulse(self) -> None:
        """Ask what is watched, when it is time to."""
        if time.monotonic() < self._pulse_due:
            return
        self._pulse_due = time.monotonic() + PULSE
        for part, watched in self._watched.items():
            if not watched.asked:
                self._ask(part, watched)

    def _ask(self, part: str, watched: _Watched) -> None:
        known, watched.asked = self.of(part), True

        def answer(process: int) -> None:
            watched.asked = False
            before, deaths = watched.process, watched.deaths
            if before not in (None, process) and deaths == self.of(part):
                self.lost(part)  # it died and came back between two questions
            watched.process, watched.deaths = process, self.of(part)
            if before not in (None, process):
                watched.returned()
            elif watched.silent:
                self.back(part)  # it was only out of reach
            watched.silent = False

        def failed(error: BaseException) -> None:
            watched.asked, watched.silent = False, True
            again = part in self.down and isinstance(error, ActorDiedError)  # for good
            self.lost(part, None if again else known)

        self._calls.fly(watched.handle.process.remote(), answer, failed)
