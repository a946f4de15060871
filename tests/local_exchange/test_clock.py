"""The exchange's time runs, stands and is waited for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from apex_trader.errors import ConfigError
from tests.local_exchange.clock import Clock


class Steady:
    """Seconds of a real clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_it_runs_at_its_speed() -> None:
    real = Steady()
    clock = Clock(1_000_000, 60, real)
    real.seconds += 2
    assert clock.now() == 121_000_000
    clock.set_speed(0.5)
    real.seconds += 2
    assert clock.now() == 122_000_000


def test_it_can_be_moved_forward_and_never_back() -> None:
    clock = Clock(50, speed=0)
    assert clock.advance(10) == 60
    assert clock.advance_to(40) == 60
    assert clock.now() == 60


@pytest.mark.parametrize("speed", [-1, float("inf"), float("nan")])
def test_a_speed_that_cannot_be_is_refused(speed: float) -> None:
    with pytest.raises(ConfigError, match="speed"):
        Clock(0, speed)


def test_who_waits_is_woken_by_a_move_from_another_thread() -> None:
    clock = Clock(0, speed=0)

    async def wait() -> int:
        thread = threading.Timer(0.05, clock.advance_to, [1000])
        thread.start()
        await asyncio.wait_for(clock.until(1000), 5)
        thread.join()
        return clock.now()

    assert asyncio.run(wait()) == 1000


def test_who_waits_on_a_running_clock_is_not_woken_early() -> None:
    async def wait() -> int:
        clock = Clock(0, speed=1000)
        await asyncio.wait_for(clock.until(50_000_000), 5)
        return clock.now()

    assert asyncio.run(wait()) >= 50_000_000


def test_setting_the_speed_wakes_who_waits_on_a_standing_clock() -> None:
    async def wait() -> None:
        clock = Clock(0, speed=0)
        waiting = asyncio.create_task(clock.until(1000))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        clock.set_speed(1)
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())
