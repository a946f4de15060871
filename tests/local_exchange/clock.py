"""The exchange's own time: it may run faster than real time, or stand until it is moved."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from apex_trader.errors import ConfigError

Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Clock:
    """Exchange time in µs UTC.

    Args:
        start: the time at construction.
        speed: exchange seconds per real second; 0 stands still until ``advance`` moves it.
        real: seconds of a steady real clock; tests may pass their own.

    Safe to read and to move from any thread.
    """

    def __init__(
        self, start: int, speed: float = 1.0, real: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._real = real
        self._base, self._origin, self._speed = int(start), real(), _checked(speed)
        self._waiters: set[Waiter] = set()

    @property
    def speed(self) -> float:
        """Exchange seconds per real second."""
        return self._speed

    def now(self) -> int:
        """The present time."""
        with self._lock:
            return self._now()

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on."""
        with self._lock:
            self._base, self._origin, self._speed = self._now(), self._real(), _checked(speed)
        self._wake()

    def advance(self, micros: int) -> int:
        """Move forward by so much; the new time."""
        return self.advance_to(self.now() + int(micros))

    def advance_to(self, moment: int) -> int:
        """Move forward to a time (never back); the new time."""
        with self._lock:
            self._base, self._origin = max(self._now(), int(moment)), self._real()
            reached = self._base
        self._wake()
        return reached

    async def until(self, moment: int) -> None:
        """Return once the time has come."""
        loop = asyncio.get_running_loop()
        while (left := moment - self.now()) > 0:
            waiter: Waiter = (loop, loop.create_future())
            with self._lock:
                self._waiters.add(waiter)
                timeout = left / 1e6 / self._speed if self._speed else None
            try:
                # Moved between the look and the wait: then nobody would wake this one.
                if moment <= self.now():
                    return
                await asyncio.wait([waiter[1]], timeout=timeout)
            finally:
                with self._lock:
                    self._waiters.discard(waiter)
                waiter[1].cancel()

    def _now(self) -> int:
        if not self._speed:
            return self._base
        return self._base + int((self._real() - self._origin) * self._speed * 1e6)

    def _wake(self) -> None:
        with self._lock:
            waiters = list(self._waiters)
        for loop, future in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _checked(speed: float) -> float:
    if not 0 <= speed < float("inf"):
        raise ConfigError("speed", speed, "0 (moved by hand) or a positive number")
    return float(speed)
