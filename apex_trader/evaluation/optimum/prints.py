"""What a trader sees of a planted market: prices, and the moment from which each is known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.source import MarketSource
from apex_trader.market.types import Trades
from apex_trader.time import DAY, day_start

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Prints:
    """Observed prices of one market in time order; m = prints.

    ts [m] µs at which each price was made: strictly ascending, and known to a decision at t
    exactly when ts < t. log_price [m].
    """

    ts: I64
    log_price: F64

    def __len__(self) -> int:
        return len(self.ts)

    @classmethod
    def of(cls, source: MarketSource, start: int, end: int) -> Prints:
        """Prints of [start, end) µs: trades, or the closes of minute bars where there are none."""
        edges = [start, *range(day_start(start) + DAY, end, DAY), end]
        # a day at a time: trades are several times as large as the prints in them
        days = (source.trades(*edge) for edge in pairwise(edges))
        parts = [cls.of_trades(trades) for trades in days if trades is not None]
        if not parts:
            return cls.of_bars(source, start, end)
        return cls(
            np.concatenate([part.ts for part in parts]),
            np.concatenate([part.log_price for part in parts]),
        )

    @classmethod
    def of_trades(cls, trades: Trades) -> Prints:
        """The first trade of each moment: the others of a sweep walk away from the price."""
        first = np.flatnonzero(np.diff(trades.ts, prepend=-1))
        return cls(trades.ts[first], np.log(trades.price[first]))

    @classmethod
    def of_bars(cls, source: MarketSource, start: int, end: int) -> Prints:
        """Minute closes, each made in the last microsecond of its minute."""
        bars = source.bars("1m")
        made = bars.ts + bars.step - 1
        seen = (made >= start) & (made < end)
        return cls(made[seen], np.log(bars.close[seen]))

    def before(self, ts: I64) -> I64:
        """[n] place of the last print that is known at each time, -1 where there is none."""
        place: I64 = np.searchsorted(self.ts, ts, side="left") - 1
        return place
