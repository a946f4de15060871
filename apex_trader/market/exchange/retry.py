"""Trying again: exponential back-off with full jitter, and the exchange's own Retry-After.

Full jitter (Brooker 2015, "Exponential Backoff And Jitter"): the pause before try k is uniform in
[0, min(limit, base·2^k)], so that clients that failed together do not come back together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.market.exchange.config import ExchangeConfig

T = TypeVar("T")
#: Seconds: an exchange that wants a longer silence is not waited for.
LONGEST_WAIT = 600.0
#: Repetitions of requests to a host that has never answered.
FIRST_RETRIES = 3
#: Repetitions after an answer that came whole and is another thing than was asked for: waiting
#: mends a host that is busy, hardly one that is no such exchange.
ODD_RETRIES = 3


class UnreachableError(ApexError):
    """An exchange or archive that gave no usable answer, however often it was asked."""


class Again(Exception):
    """A request that failed and may succeed later.

    wait: seconds of silence that the other side asks for (Retry-After), of all requests.
    odd: an answer came, and cannot be one; it is tried again ODD_RETRIES times at most.
    """

    def __init__(self, reason: str, wait: float | None = None, *, odd: bool = False) -> None:
        self.reason, self.wait, self.odd = reason, wait, odd
        super().__init__(reason)


class Retry:
    """Repeats requests to one host.

    A silence that the host asked for holds back every request, not only the one that was told.
    ``sleep`` and ``clock`` (seconds, steady) may be simulated.
    """

    def __init__(
        self,
        config: ExchangeConfig,
        generator: np.random.Generator,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._generator = config, generator
        self._sleep, self._clock = sleep, clock
        self._silent_until = 0.0
        self._met = False
        self.repeated = 0

    async def call(
        self, where: str, request: Callable[[], Awaitable[T]], retries: int | None = None
    ) -> T:
        """The answer of ``request``, repeated while it raises ``Again``.

        where: address named in errors. retries: other than the configuration's, which is at most
        FIRST_RETRIES for a host that has never answered: its address is probably wrong. Raises
        UnreachableError when all tries failed, and at once when a silence is asked for that is
        longer than LONGEST_WAIT.
        """
        tries = 0
        while True:
            await self._keep_silence()
            try:
                answer = await request()
            except Again as again:
                left = self._config.retries if retries is None else retries
                left = left if self._met else min(left, FIRST_RETRIES)
                left = min(left, ODD_RETRIES) if again.odd else left
                if again.wait is not None and again.wait > LONGEST_WAIT:
                    raise UnreachableError(
                        f"{where} refuses requests for {again.wait:,.0f} s ({again.reason}): "
                        "try again after that"
                    ) from None
                if tries >= left:
                    raise UnreachableError(_gave_up(where, again, tries + 1)) from None
                await self._pause(tries, again.wait)
                tries += 1
                self.repeated += 1
            else:
                self._met = True
                return answer

    async def _keep_silence(self) -> None:
        while (left := self._silent_until - self._clock()) > 0:
            await self._sleep(left)

    async def _pause(self, tries: int, wait: float | None) -> None:
        if wait is not None:
            self._silent_until = max(self._silent_until, self._clock() + wait)
        most = min(self._config.backoff_limit, self._config.backoff * 2.0 ** min(tries, 60))
        await self._sleep(float(self._generator.uniform(0.0, most)))


def _gave_up(where: str, last: Again, tries: int) -> str:
    asked = f"{last.reason}; asked {'once' if tries == 1 else f'{tries} times'}"
    if last.odd:
        return (
            f"{where} gives no answer that can be used ({asked}): check that this is the address "
            "of that exchange's API, or try again later"
        )
    return f"{where} gives no answer ({asked}): check the address and the network"


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds of a Retry-After header (a number or an HTTP date; ``now`` in Unix seconds)."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (TypeError, ValueError):
        return None
