"""What a synthetic market is: one drawn world, piece by piece or whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from apex_trader.market.source import MarketInfo, MemorySource
from apex_trader.market.types import Bars, Seconds, Trades

#: The symbols that every generator makes, the traded one first, then the reference.
SYMBOLS = ("ETHUSDT", "BTCUSDT")


@dataclass(frozen=True)
class SyntheticMarket:
    """One synthetic market in memory.

    bars: per clock all bars, those of the tick days aggregated from the trades. trades, seconds:
    None without ticks. hidden: the state that no agent sees, per second (per minute without
    ticks): ``ts`` µs and, for each ts, what a clairvoyant knows at that moment; the generator's
    docstring names the columns. Empty where nothing is hidden.
    """

    info: MarketInfo
    bars: Mapping[str, Bars]
    trades: Trades | None = None
    seconds: Seconds | None = None
    hidden: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def source(self) -> MemorySource:
        """The market as a segment builder reads it."""
        return MemorySource(self.info, dict(self.bars), self.seconds, self.trades)


@dataclass(frozen=True)
class Piece:
    """A stretch of one market, as it is written: bars of one clock, or trades, over [start, end).

    The data speak for all of [start, end): where they hold no row, nothing happened.
    """

    market: str
    data: Bars | Trades
    start: int
    end: int

    @property
    def kind(self) -> str:
        """The clock of its bars, or ``trades``."""
        return self.data.clock if isinstance(self.data, Bars) else "trades"


@dataclass(frozen=True)
class SynthesisSummary:
    """What a synthesis wrote. rows: per market, rows of each kind (a clock or ``trades``)."""

    generator: str
    seed: int
    parameters: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, int]]

    def __str__(self) -> str:
        lines = [f"{self.generator}, seed {self.seed}"]
        for market, kinds in self.rows.items():
            lines.append(f"  {market}: " + ", ".join(f"{n:,} {kind}" for kind, n in kinds.items()))
        return "\n".join(lines)


class World(ABC):
    """One drawn world: its markets' facts, and their data piece by piece, in the order of time."""

    infos: Mapping[str, MarketInfo]

    @abstractmethod
    def pieces(self) -> Iterator[Piece]:
        """Everything a store is told, one market and day (or clock) at a time."""

    @abstractmethod
    def hidden(self, market: str) -> dict[str, NDArray[Any]]:
        """The hidden state of a market, see ``SyntheticMarket``."""
