"""A feed that repeats what a store of minute bars holds, as if it came live."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Bars, Seconds
from apex_trader.time import MINUTE


class RecordedFeed:
    """Closed seconds from ``start`` to ``end`` (µs) in batches of whole minutes.

    spoiled: a time (µs) whose minute comes live with another volume than the store has. second: µs
    into each minute at which all of it trades.
    """

    def __init__(
        self, store: MarketStore, markets: list[str], start: int, end: int,
        batch: int = 7 * MINUTE, spoiled: int = -1, second: int = 0,
    ) -> None:  # fmt: skip
        self.start, self.end, self._batch, self._spoiled = start, end, batch, spoiled
        self._second = second
        self._bars = {market: StoreSource(store, market).bars("1m") for market in markets}
        self.closed, self.at = False, start

    def __iter__(self) -> Iterator[ClosedSeconds]:
        while self.at < self.end:
            start, until = self.at, min(self.at + self._batch, self.end)
            seconds = {m: self._seconds(b.between(start, until)) for m, b in self._bars.items()}
            self.at = until
            yield ClosedSeconds(start, until, seconds)

    def now(self) -> int:
        return self.at

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self.closed = True

    def _seconds(self, bars: Bars) -> Seconds:
        """Each minute as one second that makes the same minute bar."""
        unknown = np.full(len(bars), np.nan)
        spoiled = bars.ts == self._spoiled // MINUTE * MINUTE
        volume = np.where(spoiled, 2.0 * bars.volume + 1.0, bars.volume)
        ts, bought = bars.ts + self._second, bars.taker_buy_volume
        return Seconds(
            ts, bars.open, bars.high, bars.low, bars.close, volume, unknown, bars.count,
            unknown, unknown, bought, volume - bought, unknown, unknown, unknown, unknown,
        )  # fmt: skip
