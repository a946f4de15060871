"""What a live stream hands on: seconds that are closed, and never change any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from apex_trader.market.types import Funding, Seconds, Trades


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


class ClosedFeed(Protocol):
    """Batches of closed seconds in order, without gaps between them.

    Iterating waits for the next batch; a live feed gives one at least every few seconds, an empty
    one if need be, so that whoever waits can see to other things. It ends when the stream does.
    """

    def __iter__(self) -> Iterator[ClosedSeconds]: ...
