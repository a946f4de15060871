"""The kinds of market data, as columns. Times are int64 microseconds UTC, prices float64."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from apex_trader.time import CLOCKS

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]


@dataclass(frozen=True)
class _Columns:
    """Equal-length columns, the first of them ``ts``; slicing slices them all."""

    ts: I64

    def __len__(self) -> int:
        return len(self.ts)

    def slice(self, start: int, stop: int) -> Self:
        """Rows [start, stop), as views."""
        return self._rows(slice(start, stop))

    def between(self, start: int, end: int) -> Self:
        """Rows with start <= ts < end, as views."""
        low, high = np.searchsorted(self.ts, [start, end])
        return self._rows(slice(int(low), int(high)))

    def take(self, index: I64 | NDArray[np.bool_]) -> Self:
        """Rows at these places, or where a mask is true; copied."""
        return self._rows(index)

    def _rows(self, index: builtins.slice[int, int, None] | I64 | NDArray[np.bool_]) -> Self:
        changed = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, **changed)


@dataclass(frozen=True)
class Trades(_Columns):
    """Trades in exchange order; ``ts`` is non-decreasing and not unique.

    ts [n] trade time; price [n]; amount [n] in base coin;
    side [n] +1 the aggressor bought, -1 sold, 0 unknown;
    id [n] exchange trade id, or None where the source has none.
    """

    price: F64
    amount: F64
    side: I8
    id: I64 | None = None


@dataclass(frozen=True)
class Bars(_Columns):
    """Bars of one clock: ``ts`` is the OPEN time, strictly increasing multiples of the clock.

    A bar is known only at ts + step. Missing bars are absent rows. ``volume`` is in base coin.
    taker_buy_volume [n] and count [n] hold NaN in the rows whose source cannot provide them.
    ``clock`` is a key of ``apex_trader.time.CLOCKS``.
    """

    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    taker_buy_volume: F64
    count: F64
    clock: str = "1m"

    @property
    def step(self) -> int:
        """Length of a bar in microseconds."""
        return CLOCKS[self.clock]


@dataclass(frozen=True)
class Funding(_Columns):
    """Funding payments of a perpetual: ``rate`` is paid by longs to shorts at ``ts``."""

    rate: F64


@dataclass(frozen=True)
class Seconds(_Columns):
    """One row a second *that had trades*: the statistics every tick column is computed from.

    ts [n] start of the second. open, high, low, close, volume as in ``Bars``; vwap;
    count, count_buy, count_sell trades; volume_buy, volume_sell; largest: the largest trade's
    amount; gap_count, gap_sum, gap_sumsq: number, sum and sum of squares of the inter-arrival
    times (seconds) of the trades in this second, each measured to the trade before it.
    Unknown sides: count_buy, count_sell, volume_buy, volume_sell are NaN. Rows that come from
    imported 1 s bars, not from trades, have NaN in every column a bar cannot provide.
    """

    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    vwap: F64
    count: F64
    count_buy: F64
    count_sell: F64
    volume_buy: F64
    volume_sell: F64
    largest: F64
    gap_count: F64
    gap_sum: F64
    gap_sumsq: F64
