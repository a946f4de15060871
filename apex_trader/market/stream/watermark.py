"""When a second may close: what is known of every market, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apex_trader.time import SECOND


@dataclass
class _Market:
    """known: no trade before this time is missing. heard: evidence of the socket. whole: nothing
    is known to be missing and the socket is heard. abandoned: closing goes on without it."""

    known: int
    heard: int = 0
    whole: bool = False
    abandoned: bool = False


class Watermark:
    """Up to which time all markets are known, so that their seconds close together.

    Time here is the exchange's (µs), told by the events themselves, never by a local clock: a slow
    reader sees seconds close later, not differently. A market is known up to

    - the time of the last trade before which nothing is missing (``proven``), or
    - ``delay`` before the last sign of life of a socket that has missed nothing (``heard``): a
      trade of any market on that socket, or the ping that a pong answers; or
    - a REST answer that had nothing more (``proven`` as well).

    While a socket is lost, or a hole is open, nothing closes: decisions come late, and tables stay
    what they would have been. Only when a live socket shows that time passes, and for ``patience``
    nothing more becomes known, do the markets that hold the others up count as ``overdue``; the
    feed then goes on without them, and their seconds are incomplete.

    Args:
        markets: their names. start: the first second to close. delay, patience: µs.
    """

    def __init__(self, markets: Sequence[str], start: int, delay: int, patience: int) -> None:
        self._markets = {market: _Market(start) for market in markets}
        self._delay, self._patience = delay, patience
        self.start = self._closed = start
        self._blocked_since: int | None = None
        self._blocked_at = start

    @property
    def closed(self) -> int:
        """Everything before this time is closed (whole seconds, µs)."""
        return self._closed

    def known(self, market: str) -> int:
        """No trade of the market before this time is missing."""
        return self._markets[market].known

    def proven(self, market: str, time: int) -> None:
        """No trade of the market before ``time`` is missing, whatever its socket does."""
        held = self._markets[market]
        held.known = max(held.known, time)

    def heard(self, market: str, time: int) -> None:
        """The market's socket was alive at ``time`` and had sent all there was until shortly."""
        held = self._markets[market]
        held.heard = max(held.heard, time)
        self._follow(held)

    def whole(self, market: str, is_whole: bool) -> None:
        """Whether nothing of the market is known to be missing and its socket can be heard."""
        held = self._markets[market]
        held.whole = is_whole
        if is_whole:
            held.abandoned = False
        self._follow(held)

    def lost(self, market: str) -> None:
        """The market's socket is gone; what it was heard to say counts no more."""
        held = self._markets[market]
        held.whole, held.heard = False, 0
        # Time jumps when the socket is back: patience begins only then.
        self._blocked_since = None

    def abandon(self, market: str) -> None:
        """Close without this market until it is whole again, or known as far as the others."""
        self._markets[market].abandoned = True

    def abandoned(self, market: str) -> bool:
        """Whether seconds close without this market at present."""
        return self._markets[market].abandoned

    def close(self) -> int:
        """Close what can be closed; the new ``closed``."""
        passed = self._passed()
        until = min(m.known if self._waited_for(m) else passed for m in self._markets.values())
        self._closed = max(self._closed, until // SECOND * SECOND)
        return self._closed

    def overdue(self) -> list[str]:
        """Markets that have held the others up for longer than ``patience``."""
        passed = self._passed()
        behind = [
            name for name, market in self._markets.items()
            if market.known < passed // SECOND * SECOND and self._waited_for(market)
        ]  # fmt: skip
        slowest = min((self._markets[name].known for name in behind), default=passed)
        if not behind:
            self._blocked_since = None
        elif self._blocked_since is None or slowest > self._blocked_at:
            self._blocked_since, self._blocked_at = passed, slowest
        elif passed - self._blocked_since > self._patience:
            return behind
        return []

    def _waited_for(self, market: _Market) -> bool:
        """Whether closing waits for this market (again, once it is known as far as any)."""
        market.abandoned &= market.known < self._passed() // SECOND * SECOND
        return not market.abandoned

    def _passed(self) -> int:
        """The time that has certainly passed, by any live socket."""
        return max(m.heard for m in self._markets.values()) - self._delay

    def _follow(self, market: _Market) -> None:
        if market.whole:
            market.known = max(market.known, market.heard - self._delay)
