"""Local time: the system's, or a simulated one in its place."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from apex_trader.time import SECOND


class Clock(Protocol):
    """What time it is here, and how to wait."""

    def now(self) -> int:
        """Local time, µs UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock as it was at first, and steady from then on.

    Whoever sets the machine's clock (NTP, a person) moves no time that was measured before.
    """

    def __init__(self) -> None:
        self._origin = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Local time, µs UTC."""
        return (self._origin + time.monotonic_ns()) // 1000

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def micros(seconds: float) -> int:
    """Microseconds of a length in seconds."""
    return round(seconds * SECOND)
