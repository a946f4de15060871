"""What a live stream hands on: seconds that are closed, and never change any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self, TypeVar

from apex_trader.market.types import Funding, Seconds, Trades

Rows = TypeVar("Rows", Seconds, Trades, Funding)


@dataclass(frozen=True)
class ClosedSeconds:
    """Everything of some markets from one time up to another, by market ("exchange:SYMBOL").

    start, until: µs, whole seconds; a batch begins where the one before it ended, and one with
    ``start == until`` says nothing. seconds: the seconds with trades in [start, until), maybe none;
    every market that is streamed is named. trades: the same time's trades, of which the seconds
    are made; empty where a stream keeps none. funding: the payments in it.
    """

    start: int
    until: int
    seconds: Mapping[str, Seconds]
    trades: Mapping[str, Trades] = field(default_factory=dict)
    funding: Mapping[str, Funding] = field(default_factory=dict)

    def between(self, start: int, until: int) -> Self:
        """The part in [start, until), µs; its rows are views."""
        start, until = max(start, self.start), min(until, self.until)

        def cut(rows: Mapping[str, Rows]) -> dict[str, Rows]:
            return {market: part.between(start, until) for market, part in rows.items()}

        return replace(
            self, start=start, until=until, seconds=cut(self.seconds), trades=cut(self.trades),
            funding=cut(self.funding),
        )  # fmt: skip


class ClosedFeed(Protocol):
    """Batches of closed seconds in order, without gaps between them.

    Iterating waits for the next batch; a live feed gives one at least every few seconds, an empty
    one if need be, so that whoever waits can see to other things. It ends when the stream does.
    """

    def __iter__(self) -> Iterator[ClosedSeconds]: ...
