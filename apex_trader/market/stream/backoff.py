"""Waits between attempts."""

from __future__ import annotations

from numpy.random import Generator


class Backoff:
    """Exponential waits with jitter: clients that fell together do not come back together.

    The k-th wait is uniform in [½, 1]·min(limit, first·2^k) seconds ("equal jitter": Brooker,
    *Exponential Backoff And Jitter*, AWS Architecture Blog 2015).
    """

    def __init__(self, first: float, limit: float, generator: Generator) -> None:
        self._first, self._limit, self._generator = first, limit, generator
        self._attempts = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        # 2^60 first waits are beyond every limit.
        whole = min(self._limit, self._first * 2.0 ** min(self._attempts, 60))
        self._attempts += 1
        return float(whole * self._generator.uniform(0.5, 1.0))

    def reset(self) -> None:
        """An attempt succeeded: the next failure waits ``first`` again."""
        self._attempts = 0
