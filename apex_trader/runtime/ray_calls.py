"""The driver's calls to parts: what is under way, and what is done with each answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from apex_trader.errors import ApexError
from apex_trader.runtime.ray_part import NOT_STARTED, Ref

#: Seconds that a call which a part works on works before it reports.
SLICE = 2.0
#: Seconds that a part may take to answer a call that the run waits for.
START_LIMIT = 600.0
#: Seconds between two tries of what a part that Ray is reviving must do.
REVIVAL = 1.0
#: Seconds that the driver waits for an answer before it looks at what else is due.
PATIENCE = 0.5

Answer = Callable[[Any], None]
#: What is done when a part did not answer, with the reason.
Failed = Callable[[BaseException], None]


class PartLostError(ApexError):
    """A part died while the run waited for it."""


class NotStartedError(Exception):
    """A part was restarted by Ray and waits for its ``start``."""


def ignore(_: Any) -> None:
    """An answer that says nothing, or a death that the part's own loop notices."""


class Calls:
    """Answers are handed over in ``poll``, one after another, so that no part of the driver is
    ever interrupted by another."""

    def __init__(self) -> None:
        self._flying: dict[Ref, tuple[Answer, Failed]] = {}
        self._later: list[tuple[float, Callable[[], None]]] = []

    @property
    def busy(self) -> bool:
        """Whether anything is under way or is to be tried again."""
        return bool(self._flying or self._later)

    def fly(self, reference: Ref, answer: Answer = ignore, failed: Failed = ignore) -> None:
        """Call ``answer`` with the result when it is there, ``failed`` when its actor died."""
        self._flying[reference] = answer, failed

    def later(self, action: Callable[[], None]) -> None:
        """Do something in a while, when a part may have been revived."""
        self._later.append((time.monotonic() + REVIVAL, action))

    def persist(self, ask: Callable[[], Ref], answer: Answer) -> None:
        """Ask until there is an answer: the part may be being revived."""

        def attempt() -> None:
            self.fly(ask(), answer, lambda _: self.later(attempt))

        attempt()

    def wait(self, reference: Ref) -> Any:
        """A part's answer; its death or silence here ends the run with the reason."""
        try:
            return ray.get(reference, timeout=START_LIMIT)
        except RayActorError as error:
            raise PartLostError(f"a part of the run died while starting: {error}") from None
        except GetTimeoutError:
            raise ApexError(
                f"a part of the run did not answer in {START_LIMIT:g} s: look whether the cluster "
                "has the CPUs and memory that the parts reserve (ray status)"
            ) from None

    def poll(self) -> None:
        """Hand over what has arrived, and try again what is due."""
        now = time.monotonic()
        due = [action for moment, action in self._later if moment <= now]
        self._later = [(moment, action) for moment, action in self._later if moment > now]
        for action in due:
            action()
        if not self._flying:
            time.sleep(PATIENCE)
            return
        done, _ = ray.wait(list(self._flying), num_returns=1, timeout=PATIENCE)
        for reference in done:
            self._hand_over(reference)

    def _hand_over(self, reference: Ref) -> None:
        answer, failed = self._flying.pop(reference)
        try:
            result = ray.get(reference)
        except RayError as error:
            # What a part raised itself ends the run; a part or an object that is gone does not.
            if not isinstance(cause(error), RayError):
                raise
            failed(cause(error))
            return
        if isinstance(result, str) and result == NOT_STARTED:
            failed(NotStartedError(NOT_STARTED))
        else:
            answer(result)


def cause(error: BaseException) -> BaseException:
    """What went wrong at the bottom of errors that were passed on from actor to actor."""
    while isinstance(error, RayTaskError) and error.cause is not None:
        error = error.cause
    return error


@contextmanager
def own_messages() -> Iterator[None]:
    """An error of ours in an actor is raised with its message alone, without Ray's traceback."""
    try:
        yield
    except RayTaskError as error:
        reason = cause(error)
        if isinstance(reason, ApexError):
            raise reason from None
        raise
