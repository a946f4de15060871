"""Every death of a part is counted, and counted once, however many calls to it fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError

from apex_trader.errors import ApexError
from apex_trader.runtime import ray_restarts
from apex_trader.runtime.ray_restarts import Restarts

AWAY = ActorUnavailableError("being restarted", b"0" * 16)
GONE = ActorDiedError()


class Line:
    """The driver's calls: the test answers them."""

    def __init__(self) -> None:
        self.flying: list[tuple[Callable[[Any], None], Callable[[BaseException], None]]] = []
        self.waiting: list[Callable[[], None]] = []

    def fly(self, reference: object, answer: Any, failed: Any) -> None:
        self.flying.append((answer, failed))

    def later(self, action: Callable[[], None]) -> None:
        self.waiting.append(action)

    def answer(self, result: Any) -> None:
        self.flying.pop(0)[0](result)

    def fail(self, error: BaseException) -> None:
        self.flying.pop(0)[1](error)

    def time_passes(self) -> None:
        for action in [self.waiting.pop(0) for _ in list(self.waiting)]:
            action()


class Handle:
    """An actor whose process is asked for."""

    class process:
        remote = staticmethod(object)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def restarts(line: Line, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Restarts:
    monkeypatch.setattr(ray_restarts, "PULSE", 0.0)
    return Restarts(line, 3, said.append, "go on with: resume")  # type: ignore[arg-type]


def test_each_death_is_counted_and_said(restarts: Restarts, said: list[str]):
    restarts.lost("shard 0")
    restarts.lost("learner")
    restarts.back("shard 0")
    restarts.lost("shard 0")
    assert (restarts.of("shard 0"), restarts.of("learner"), restarts.of("evaluator")) == (2, 1, 0)
    assert restarts.total == 3
    assert said[-1] == "shard 0 died and is started again (2)"
    assert restarts.down == {"shard 0", "learner"}


def test_more_deaths_than_configured_end_the_run_and_say_how_to_go_on(restarts: Restarts):
    for _ in range(3):
        restarts.lost("learner")
    with pytest.raises(ApexError, match=r"learner died 4 times \(cluster.restarts=3\).*resume"):
        restarts.lost("learner")


def test_calls_that_fail_of_the_same_death_count_once(restarts: Restarts):
    known = restarts.of("evaluator")
    assert restarts.lost("evaluator", known)
    assert not restarts.lost("evaluator", known)
    assert not restarts.lost("evaluator", restarts.of("evaluator")), "it is still down"
    restarts.back("evaluator")
    assert not restarts.lost("evaluator", known), "that call was to the one that died"
    assert restarts.lost("evaluator", restarts.of("evaluator"))
    assert restarts.total == 2


def test_a_part_is_started_as_soon_as_it_is_there(restarts: Restarts, line: Line):
    tries, started = [], []
    restarts.lost("learner")
    restarts.start_again("learner", lambda: tries.append(1), started.append)
    line.fail(AWAY)
    assert started == []
    line.time_passes()
    line.answer(7)
    assert (len(tries), started) == (2, [7])
    assert restarts.down == set()
    assert restarts.total == 1


def test_a_part_that_never_comes_back_ends_the_run(restarts: Restarts, line: Line):
    restarts.lost("learner")
    restarts.start_again("learner", object, lambda _: None)

    def until_it_is_enough() -> None:
        for _ in range(10):
            line.fail(GONE)
            line.time_passes()

    with pytest.raises(ApexError, match="learner died 4 times"):
        until_it_is_enough()


def watched(restarts: Restarts, line: Line) -> list[str]:
    """A part that is watched, whose process is known; what happens when it returns."""
    returned: list[str] = []
    restarts.watch("evaluator", Handle, lambda: returned.append("evaluator"))
    restarts.pulse()
    line.answer(100)
    return returned


def test_a_watched_part_that_died_is_counted_once_while_it_is_away(restarts: Restarts, line: Line):
    returned = watched(restarts, line)
    for _ in range(5):
        restarts.pulse()
        line.fail(AWAY)
    assert (restarts.total, returned) == (1, [])
    restarts.pulse()
    line.answer(200)
    assert (restarts.total, returned) == (1, ["evaluator"])
    assert restarts.down == {"evaluator"}, "until what was done when it returned is done"


def test_a_watched_part_that_came_back_between_two_questions_is_counted(
    restarts: Restarts, line: Line
):
    returned = watched(restarts, line)
    restarts.pulse()
    line.answer(200)
    assert (restarts.total, returned) == (1, ["evaluator"])
    restarts.back("evaluator")
    restarts.pulse()
    line.answer(200)
    assert (restarts.total, returned) == (1, ["evaluator"])


def test_a_death_that_another_call_told_of_is_not_counted_again(restarts: Restarts, line: Line):
    returned = watched(restarts, line)
    restarts.pulse()
    restarts.lost("evaluator", 0)  # what it was doing failed
    line.fail(AWAY)
    restarts.pulse()
    line.answer(200)
    assert (restarts.total, returned) == (1, ["evaluator"])


def test_a_part_that_was_only_out_of_reach_goes_on(restarts: Restarts, line: Line):
    returned = watched(restarts, line)
    restarts.pulse()
    line.fail(AWAY)
    restarts.pulse()
    line.answer(100)
    assert (restarts.down, returned) == (set(), [])


def test_a_part_is_asked_once_at_a_time(restarts: Restarts, line: Line):
    """An evaluation takes longer than a pulse: its answer is awaited."""
    restarts.watch("evaluator", Handle)
    restarts.pulse()
    restarts.pulse()
    assert len(line.flying) == 1


def test_a_watched_part_that_never_comes_back_ends_the_run(restarts: Restarts, line: Line):
    watched(restarts, line)

    def until_it_is_enough() -> None:
        for _ in range(10):
            restarts.pulse()
            line.fail(GONE)

    with pytest.raises(ApexError, match="evaluator died 4 times"):
        until_it_is_enough()
