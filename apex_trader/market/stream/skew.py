"""How far the exchange's clock is from the local one."""

from __future__ import annotations

import statistics
from collections import deque

#: Round trips that the median is taken over: one slow answer, or three, cannot move it.
ROUND_TRIPS = 9
#: Arrivals are bounds for about this long (µs): clocks drift by some ppm.
ARRIVALS_KEPT = 300_000_000


class ClockSkew:
    """Offset to add to local time to get the exchange's; all times µs.

    A round trip says that the exchange's time was read somewhere between sending and receiving:
    its offset is the middle, right to half the trip (Mills, RFC 5905 §8). The median of the last
    trips is used. An event cannot arrive before it happened, so arrivals bound the offset from
    below, often closer than a slow REST trip does.
    """

    def __init__(self) -> None:
        self._trips: deque[tuple[int, int]] = deque(maxlen=ROUND_TRIPS)
        self._bound: int | None = None
        self._previous_bound: int | None = None
        self._bound_since = 0

    def measured(self, sent: int, received: int, exchange: int) -> None:
        """A round trip: local times of question and answer, and the exchange's own in it."""
        if received >= sent:
            self._trips.append((exchange - (sent + received) // 2, (received - sent) // 2))

    def arrived(self, event: int, local: int) -> None:
        """Something that happened at ``event`` (exchange time) was here at ``local``."""
        if local - self._bound_since > ARRIVALS_KEPT:
            self._previous_bound, self._bound, self._bound_since = self._bound, None, local
        bound = event - local
        self._bound = bound if self._bound is None else max(self._bound, bound)

    @property
    def known(self) -> bool:
        """Whether a round trip was measured."""
        return bool(self._trips)

    @property
    def offset(self) -> int:
        """Exchange time minus local time."""
        middle = int(statistics.median(t[0] for t in self._trips)) if self._trips else 0
        bounds = [b for b in (self._bound, self._previous_bound) if b is not None]
        # A wrong event time (beyond what the trips allow) is no bound.
        allowed = [b for b in bounds if not self._trips or b <= middle + self.error]
        return max([middle, *allowed])

    @property
    def error(self) -> int:
        """Half the median round trip: the offset is right within it."""
        return int(statistics.median(t[1] for t in self._trips)) if self._trips else 0

    def exchange_time(self, local: int) -> int:
        """The exchange's time at a local one."""
        return local + self.offset

    def surely_past(self, local: int) -> int:
        """A time that the exchange had certainly reached at a local one."""
        return local + self.offset - self.error
