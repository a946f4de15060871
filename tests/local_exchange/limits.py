"""Request weights of one venue: used weight a minute, 429 when exceeded, 418 when ignored."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits and its USD-M
#: counterpart, as of 2025.
WEIGHTS = {"spot": 6000, "futures": 2400, "wallet": 12000}


@dataclass(frozen=True)
class LimitConfig:
    """How requests are limited.

    weight: allowed by venue and window; window: real seconds. patience: requests that may come
    after a 429 and before its Retry-After without a ban; ban: real seconds of the first ban,
    doubled by each further one.
    """

    weight: dict[str, int] = field(default_factory=lambda: dict(WEIGHTS))
    window: float = 60.0
    patience: int = 10
    ban: float = 120.0


@dataclass(frozen=True)
class OrderVerdict:
    """counts: new orders by interval, as {"10S": 3}; refused: the full interval, or ""."""

    counts: dict[str, int]
    refused: str = ""
    retry_after: int = 0


class OrderLimiter:
    """New orders of one account on one venue, in windows of real time."""

    def __init__(
        self, limits: Sequence[tuple[str, int, int]], real: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._real = tuple(limits), real
        self._windows: dict[str, tuple[int, int]] = {}

    def charge(self) -> OrderVerdict:
        """Count a new order, unless a window is full."""
        now, counts = self._real(), {}
        for name, seconds, most in self._limits:
            window, used = self._windows.get(name, (-1, 0))
            counts[name] = used if window == int(now // seconds) else 0
            if counts[name] >= most:
                return OrderVerdict(counts, name, math.ceil(seconds - now % seconds))
        for name, seconds, _ in self._limits:
            counts[name] += 1
            self._windows[name] = (int(now // seconds), counts[name])
        return OrderVerdict(counts)


@dataclass(frozen=True)
class Verdict:
    """status: 200, 429 or 418; used: weight in this window; retry_after: whole real seconds."""

    status: int
    used: int
    retry_after: int = 0


class Limiter:
    """The used weight of one venue. All clients share one address here, as those of a host do."""

    def __init__(
        self, config: LimitConfig, venue: str, real: Callable[[], float] = time.monotonic
    ) -> None:
        self._config, self._real = config, real
        self._allowed = config.weight[venue]
        self._window, self._used = -1, 0
        self._warned_until, self._ignored = 0.0, 0
        self._banned_until, self._bans = 0.0, 0
        self.counts: Counter[str] = Counter()

    def charge(self, weight: int) -> Verdict:
        """Charge a request and say whether it may be answered."""
        now = self._real()
        window = int(now // self._config.window)
        if window != self._window:
            self._window, self._used = window, 0
        if now < self._banned_until:
            return self._refuse(418, self._banned_until - now)
        if now < self._warned_until:
            self._ignored += 1
            if self._ignored > self._config.patience:
                self._bans += 1
                self._banned_until = now + self._config.ban * 2 ** (self._bans - 1)
                return self._refuse(418, self._banned_until - now)
            return self._refuse(429, self._warned_until - now)
        self._used += weight
        if self._used > self._allowed:
            self._warned_until, self._ignored = (window + 1) * self._config.window, 0
            return self._refuse(429, self._warned_until - now)
        return Verdict(200, self._used)

    def _refuse(self, status: int, wait: float) -> Verdict:
        self.counts[f"limit {status}"] += 1
        return Verdict(status, self._used, math.ceil(wait))
