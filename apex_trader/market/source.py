"""What a segment builder reads of one market, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.types import Bars, Seconds, Trades
from apex_trader.time import CLOCKS


@dataclass(frozen=True)
class LookbackSource:
    """Another market whose bars stand in where this one has none.

    ln(price of this market) = ln(price of ``market``) + basis. The basis was measured on data
    before ``as_of`` (µs UTC), so nothing is decided earlier.
    """

    market: str
    basis: float
    as_of: int


@dataclass(frozen=True)
class MarketInfo:
    """What the store knows of one market.

    market: "exchange:SYMBOL". tick_size: smallest price step (also the floor of every σ).
    lot_size: smallest step of an amount. min_notional: least traded value of an order.
    has_sides: the aggressor's side of each trade is known.
    synthetic: None for a real market, else the generator with its parameters and seed.
    """

    market: str
    instrument: Literal["spot", "perpetual"] = "spot"
    tick_size: float = 0.01
    lot_size: float = 0.0001
    min_notional: float = 5.0
    has_sides: bool = True
    synthetic: Mapping[str, object] | None = None
    lookback: LookbackSource | None = None


class MarketSource(Protocol):
    """One market's history up to ``end``: events at or after it do not exist."""

    @property
    def info(self) -> MarketInfo:
        """What the market is."""
        ...

    @property
    def end(self) -> int:
        """Events at or after this time (µs) do not exist."""
        ...

    def bars(self, clock: str) -> Bars:
        """Every bar closed by ``end``, of the finest source that covers it whole; look-back
        market's bars (shifted by the basis) where this one has none. Zero-volume bars carry the
        last price. Absent bars are absent."""

    def seconds(self, start: int, end: int) -> Seconds:
        """Seconds with trades in [start, min(end, self.end)); only whole seconds."""

    def trades(self, start: int, end: int) -> Trades | None:
        """Trades in [start, min(end, self.end)), or None where only bars exist."""

    def second_days(self) -> list[int]:
        """Starts of the UTC days that have second rows, ascending."""

    def coverage(self, clock: str) -> NDArray[np.int64]:
        """[k, 2] times (µs, whole bars up to ``end``) whose bars are this market's own.

        Outside it bars are the look-back market's: they give a decision its past, but nothing can
        be traded there.
        """

    def funding(self, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(times µs, rates) of the funding payments in [start, end); empty for spot."""


@dataclass(frozen=True)
class MemorySource:
    """A ``MarketSource`` over arrays in memory, for tests and notebooks. Nothing is resampled."""

    info: MarketInfo
    clock_bars: Mapping[str, Bars]
    all_seconds: Seconds | None = None
    all_trades: Trades | None = None
    end: int = np.iinfo(np.int64).max
    funding_times: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    funding_rates: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def bars(self, clock: str) -> Bars:
        """See ``MarketSource.bars``."""
        bars = self.clock_bars[clock]
        return bars.slice(0, int(np.searchsorted(bars.ts, self.end - bars.step, side="right")))

    def seconds(self, start: int, end: int) -> Seconds:
        """See ``MarketSource.seconds``."""
        if self.all_seconds is None:
            raise LookupError(f"{self.info.market} has no second rows")
        return self.all_seconds.between(start, min(end, self.end // 1_000_000 * 1_000_000))

    def trades(self, start: int, end: int) -> Trades | None:
        """See ``MarketSource.trades``."""
        if self.all_trades is None:
            return None
        return self.all_trades.between(start, min(end, self.end))

    def second_days(self) -> list[int]:
        """See ``MarketSource.second_days``."""
        if self.all_seconds is None:
            return []
        days = np.unique(self.all_seconds.ts // 86_400_000_000) * 86_400_000_000
        return [int(day) for day in days if day < self.end]

    def coverage(self, clock: str) -> NDArray[np.int64]:
        """See ``MarketSource.coverage``: all bars in memory are the market's own."""
        step = CLOCKS[clock]
        return np.array([[0, self.end // step * step]], np.int64)

    def funding(self, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See ``MarketSource.funding``."""
        low, high = np.searchsorted(self.funding_times, [start, min(end, self.end)])
        return self.funding_times[low:high], self.funding_rates[low:high]
