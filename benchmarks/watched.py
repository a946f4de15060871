"""Seconds in functions of the product, whoever calls them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any


class Watched:
    """Seconds and calls of watched functions, by name, over all threads.

    clock: reads seconds, such as ``time.process_time``, or ``time.thread_time`` where functions run
    in several threads at a time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.spent: dict[str, tuple[float, int]] = {}
        self._clock, self._lock = clock, threading.Lock()

    def watch(self, name: str, holder: Any, attribute: str) -> None:
        """Time every call of a function from now on."""
        inner: Callable[..., Any] = getattr(holder, attribute)

        @functools.wraps(inner)
        def timed(*args: Any, **options: Any) -> Any:
            started = self._clock()
            try:
                return inner(*args, **options)
            finally:
                more = self._clock() - started
                with self._lock:
                    seconds, calls = self.spent.get(name, (0.0, 0))
                    self.spent[name] = seconds + more, calls + 1

        setattr(holder, attribute, timed)
