"""How far the exchange's clock is from the local one."""

from __future__ import annotations

import statistics
from collections import deque

#: Round trips that the median is taken over: one slow answer, or three, cannot move it.
ROUND_TRIPS = 9
#: Answers of one exchange's machines may differ by so much (µs).
AGREED = 50_000
#: An event so much (µs) ahead of the clock, or behind it, says that the clock may be wrong.
SUSPICIOUS = 1_000_000
#: Arrivals are bounds for about this long (µs): clocks drift by some ppm.
ARRIVALS_KEPT = 300_000_000


class ClockSkew:
    """Offset to add to local time to get the exchange's; all times µs.

    A round trip says that the exchange's time was read somewhere between sending and receiving:
    its offset is the middle, right to half the trip (Mills, RFC 5905 §8). The median of the last
    trips is used. Two trips in a row that both contradict it, on the same side, say that a clock
    was set or runs at another pace: they take the place of all before. One alone may be a wrong
    answer. An event cannot arrive before it happened, so arrivals bound the offset from below,
    often closer than a slow REST trip does; one that comes far too early or late puts the clock
    ``in_doubt``, until it is measured again.
    """

    def __init__(self) -> None:
        self.in_doubt = False
        self._trips: deque[tuple[int, int]] = deque(maxlen=ROUND_TRIPS)
        self._odd: tuple[int, int] | None = None
        self._bound: int | None = None
        self._previous_bound: int | None = None
        self._bound_since = 0

    def measured(self, sent: int, received: int, exchange: int) -> None:
        """A round trip: local times of question and answer, and the exchange's own in it."""
        self.in_doubt = False
        if received < sent:
            return
        trip = exchange - (sent + received) // 2, (received - sent) // 2
        moved = self._moved(trip)
        if moved == 0:
            self._trips.append(trip)
            self._odd = None
        elif self._odd is None or self._moved(self._odd) != moved:
            self._odd = trip
        else:
            self._trips = deque([self._odd, trip], maxlen=ROUND_TRIPS)
            self._odd = self._bound = self._previous_bound = None

    def arrived(self, event: int, local: int) -> None:
        """Something that happened at ``event`` (exchange time) was here at ``local``."""
        if local - self._bound_since > ARRIVALS_KEPT:
            self._previous_bound, self._bound, self._bound_since = self._bound, None, local
        bound = event - local
        self.in_doubt |= abs(bound - self.offset) > self.error + SUSPICIOUS
        self._bound = bound if self._bound is None else max(self._bound, bound)

    @property
    def settled(self) -> bool:
        """Whether the last round trip agrees with those before."""
        return self._odd is None

    @property
    def known(self) -> bool:
        """Whether a round trip was measured."""
        return bool(self._trips)

    @property
    def offset(self) -> int:
        """Exchange time minus local time."""
        middle = self._middle
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
        """A time that the exchange had certainly reached at a local one; 0 while in doubt."""
        return 0 if self.in_doubt else local + self.offset - self.error

    @property
    def _middle(self) -> int:
        return int(statistics.median(t[0] for t in self._trips)) if self._trips else 0

    def _moved(self, trip: tuple[int, int]) -> int:
        """1 or -1: the trip says that the offset is larger, or smaller, than it can be."""
        away = trip[0] - self._middle
        if not self._trips or abs(away) <= trip[1] + self.error + AGREED:
            return 0
        return 1 if away > 0 else -1
