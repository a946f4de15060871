"""Minute bars that are to be filled, as rows on a common list of minutes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Bars
from apex_trader.time import MINUTE

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

#: Trades of a minute grow with its volume to this power (measured relations lie near 0.6).
VOLUME_POWER = 0.6
#: Least and most orders of a minute, relative to one of median volume.
LEAST_ACTIVITY, MOST_ACTIVITY = 0.1, 10.0


@dataclass(frozen=True)
class Minutes:
    """Minute bars of one market on a common list of minutes [n]; NaN where it has no trades.

    reach: ln(high/low), 0 where flat or absent; move: ln(close/open). count: trades, NaN where the
    bars do not tell. activity: relative number of orders, by volume; 0 where absent. tick_size,
    lot_size: the market's grids.
    """

    ts: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    count: F64
    activity: F64
    tick_size: float
    lot_size: float

    @classmethod
    def of(cls, bars: Bars, ts: I64, info: MarketInfo) -> Minutes:
        """The bars' rows at each of ``ts``; bars without volume carry a price: nobody traded."""
        place = np.minimum(np.searchsorted(bars.ts, ts), len(bars) - 1)
        present = (bars.ts[place] == ts) & (bars.volume[place] > 0)
        columns = {
            name: np.where(present, getattr(bars, name)[place], np.nan)
            for name in ("open", "high", "low", "close", "volume", "count")
        }
        median = np.median(columns["volume"][present]) if present.any() else 1.0
        relative = np.nan_to_num(columns["volume"]) / median
        activity = np.clip(relative**VOLUME_POWER, LEAST_ACTIVITY, MOST_ACTIVITY)
        return cls(ts, **columns, activity=np.where(present, activity, 0.0),
                   tick_size=info.tick_size, lot_size=info.lot_size)  # fmt: skip

    def rows(self, index: slice) -> Minutes:
        """Some of the minutes."""
        arrays = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if f.name not in ("tick_size", "lot_size")
        }
        return Minutes(**arrays, tick_size=self.tick_size, lot_size=self.lot_size)

    @property
    def log_low(self) -> F64:
        """ln(low), 0 where absent."""
        return np.log(np.where(np.isnan(self.low), 1.0, self.low))

    @property
    def log_open(self) -> F64:
        """ln(open), 0 where absent."""
        return np.log(np.where(np.isnan(self.open), 1.0, self.open))

    @property
    def log_close(self) -> F64:
        """ln(close), 0 where absent."""
        return np.log(np.where(np.isnan(self.close), 1.0, self.close))

    @property
    def reach(self) -> F64:
        """ln(high/low), 0 where flat or absent."""
        return np.nan_to_num(np.log(self.high / self.low))

    @property
    def up(self) -> F64:
        """ln(high/open), 0 where absent."""
        return np.nan_to_num(np.log(self.high / self.open))

    @property
    def move(self) -> F64:
        """ln(close/open), 0 where absent."""
        return np.nan_to_num(np.log(self.close / self.open))

    @property
    def gap(self) -> F64:
        """Log return [n + 1] from the close in front of each minute to its open, the last one
        behind the last minute; NaN where the minute or the one right in front of it is absent."""
        gap = np.full(len(self.ts) + 1, np.nan)
        joined = np.diff(self.ts) == MINUTE
        gap[1:-1][joined] = np.log(self.open[1:] / self.close[:-1])[joined]
        return gap

    @property
    def single(self) -> Bool:
        """Which minutes have room for one trade alone."""
        flat = (self.high == self.low) & (self.lots < 2)
        return np.asarray(flat | (self.count == 1))

    @property
    def high_apart(self) -> Bool:
        """Which minutes reach their high at another trade than the first and the last."""
        apart = (self.open != self.high) & (self.close != self.high)
        return np.asarray(apart & (self.activity > 0))

    @property
    def low_apart(self) -> Bool:
        """Which minutes reach their low at another trade than the first and the last."""
        apart = (self.open != self.low) & (self.close != self.low)
        return np.asarray(apart & (self.activity > 0))

    @property
    def lots(self) -> F64:
        """Whole lots of the volume, NaN where absent."""
        whole: F64 = np.floor(self.volume / self.lot_size + 1e-6)
        return whole

    @property
    def bounce(self) -> F64:
        """Variance of a log price that its tick alone makes; 0 where absent."""
        return np.nan_to_num(0.25 * (self.tick_size / self.open) ** 2)
