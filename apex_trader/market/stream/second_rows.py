"""Second rows piece by piece, with the bits of one pass over everything."""

from __future__ import annotations

from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.types import Seconds, Trades


class SecondRows:
    """Second rows of consecutive slices of a market's trades, each ending at a whole second.

    Equal to the rows of ``seconds_from_trades`` over all slices at once: a second's statistics
    are those of its own trades, but for the first inter-arrival time, for which the time of the
    trade before it is carried from slice to slice.
    """

    def __init__(self, previous: int | None = None) -> None:
        self._previous = previous

    @property
    def previous(self) -> int | None:
        """Time (µs) of the last trade seen; None before the first."""
        return self._previous

    def close(self, trades: Trades) -> Seconds:
        """The rows of the next slice."""
        rows = seconds_from_trades(trades, self._previous)
        self.passed(trades)
        return rows

    def passed(self, trades: Trades) -> None:
        """Trades that belong to seconds already closed: later gaps are measured to them."""
        if len(trades):
            last = int(trades.ts[-1])
            self._previous = last if self._previous is None else max(self._previous, last)
