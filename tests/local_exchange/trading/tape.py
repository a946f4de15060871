"""A listing's trades in the order in which they become known, one after another."""

from __future__ import annotations

import numpy as np

from tests.local_exchange.feed import Listing
from tests.local_exchange.trading.book import Print
from tests.local_exchange.trading.money import exact


class Tape:
    """How far a listing's trades have been seen. Places count trades in the order of knowledge."""

    def __init__(self, listing: Listing, now: int) -> None:
        self._listing = listing
        self._known = listing.known[listing.order]
        self.seen = 0
        self.skip_to(now)

    @property
    def next_time(self) -> int | None:
        """µs at which the next trade becomes known; None after the last."""
        return int(self._known[self.seen]) if self.seen < len(self._known) else None

    @property
    def last(self) -> Print | None:
        """The latest trade seen."""
        return self.at(self.seen - 1) if self.seen else None

    def skip_to(self, now: int) -> None:
        """Everything known by now has been seen."""
        self.seen = max(self.seen, int(np.searchsorted(self._known, now, side="right")))

    def step(self) -> Print:
        """See the next trade."""
        self.seen += 1
        return self.at(self.seen - 1)

    def since(self, moment: int) -> list[Print]:
        """Those seen that became known at ``moment`` or after it."""
        first = int(np.searchsorted(self._known, moment))
        return [self.at(place) for place in range(first, self.seen)]

    def at(self, place: int) -> Print:
        """The trade at a place."""
        row, trades = int(self._listing.order[place]), self._listing.trades
        return Print(
            place, int(self._known[place]), exact(trades.price[row]), exact(trades.amount[row]),
            int(trades.side[row]), int(self._listing.ids[row]),
        )  # fmt: skip
