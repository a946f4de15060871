"""Listen keys: names of an account's private stream, which live for a while after each renewal.

https://developers.binance.com/docs/derivatives/usds-margined-futures/user-data-streams
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.local_exchange.feed import Venue


@dataclass
class ListenKey:
    """One key. expires: µs on the exchange's clock."""

    text: str
    venue: Venue
    account: str
    expires: int


class ListenKeys:
    """At most one living key for each account and venue. ``life``: µs after each renewal."""

    def __init__(self, life: int) -> None:
        self._life, self._issued = life, 0
        self._keys: dict[tuple[Venue, str], ListenKey] = {}
        #: Called when a key is new: it may be the next to expire.
        self.listeners: list[Callable[[], None]] = []

    def start(self, venue: Venue, account: str, now: int) -> ListenKey:
        """The account's key, renewed, or a new one where it has none."""
        key = self.renew(venue, account, now)
        if key is None:
            self._issued += 1
            text = hashlib.sha256(f"{venue} {account} {self._issued}".encode()).hexdigest()
            key = self._keys[venue, account] = ListenKey(text, venue, account, now + self._life)
            for listener in self.listeners:
                listener()
        return key

    def renew(self, venue: Venue, account: str, now: int) -> ListenKey | None:
        """Let the account's key live on; None where it has none."""
        key = self._keys.get((venue, account))
        if key is None or key.expires <= now:
            return None
        key.expires = now + self._life
        return key

    def end(self, venue: Venue, account: str) -> None:
        """Forget the account's key."""
        self._keys.pop((venue, account), None)

    def named(self, text: str, now: int) -> ListenKey | None:
        """The living key of that text."""
        found = (key for key in self._keys.values() if key.text == text and key.expires > now)
        return next(found, None)

    @property
    def next_end(self) -> int | None:
        """µs at which the next key expires."""
        return min((key.expires for key in self._keys.values()), default=None)

    def take_expired(self, now: int) -> list[ListenKey]:
        """The keys that have expired by now, which are then forgotten."""
        over = [key for key in self._keys.values() if key.expires <= now]
        for key in over:
            self.end(key.venue, key.account)
        return over
