"""What happens after each decision. The only columns of a segment that see the future."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.market import intervals
from apex_trader.market.fills import FillConfig
from apex_trader.market.source import MarketSource
from apex_trader.market.types import Bars, Seconds, Trades
from apex_trader.state.segment import Outcomes
from apex_trader.time import CLOCKS, SECOND, floor_to

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


def fill_prices(
    source: MarketSource,
    clock: str,
    start: int,
    end: int,
    fills: FillConfig,
    on_trades: bool = True,
) -> Trades | Seconds | Bars:
    """What orders decided in [start, end) fill on.

    With a fast clock of seconds: trades, or seconds on days whose seconds are not all made of
    trades, since there an order would find no trade although somebody traded. With bars as the fast
    clock: its bars, even where finer data exist, so that all days trade alike; those of a
    look-back market fill nothing. on_trades: the day's seconds before ``start`` were made of
    trades.
    """
    if clock != "1s":
        return own_bars(source, clock).between(start, end + fills.latency + CLOCKS[clock] + 1)
    reach = end + fills.latency + fills.max_fill_wait
    trades, seconds = source.trades(start, reach), source.seconds(start, reach)
    if trades is None or not on_trades:
        return seconds
    return trades if np.isin(seconds.ts, floor_to(trades.ts, SECOND)).all() else seconds


def own_bars(source: MarketSource, clock: str) -> Bars:
    """The bars of a market without those of its look-back market: what can be traded."""
    bars = source.bars(clock)
    if source.info.lookback is None:
        return bars
    own = intervals.covers(source.coverage(clock), bars.ts, bars.step)
    return bars.take(own)


def outcomes(
    ts: I64,
    interval: int,
    decidable: Bool,
    stretch: I64,
    filled: tuple[F64, I64],
    fills: FillConfig,
    funding: tuple[I64, F64],
) -> Outcomes:
    """The outcomes of decisions at ``ts`` [n], µs.

    decidable [n]; stretch [n]: which stretch of trading each lies in (-1: none). filled: from
    ``order_fills``. funding: times and rates of the payments, up to a latency behind the last
    decision interval. Exchanges stamp them some milliseconds late: one at a decision, or behind
    it before an order of that decision could trade, is charged to the position held into the
    decision.
    """
    fill, fill_ts = filled
    going_on = np.zeros(len(ts), np.bool_)
    going_on[:-1] = decidable[:-1] & decidable[1:] & (stretch[:-1] == stretch[1:])
    next_row = np.where(going_on, np.arange(1, len(ts) + 1), -1).astype(np.int32)
    times, rates = funding
    paid = np.concatenate(([0.0], np.cumsum(rates)))
    late = 0 if fills.optimistic else max(0, fills.latency - 1)
    low = np.searchsorted(times, ts + late, side="right")
    high = np.searchsorted(times, ts + interval + late, side="right")
    charged = (paid[high] - paid[low]).astype(np.float32)
    return Outcomes(fill, fill_ts, next_row, _episodes(decidable, going_on), charged)


def _episodes(decidable: Bool, going_on: Bool) -> I32:
    """Number of the unbroken run that each row belongs to, -1 when it is not decidable."""
    begins = decidable.copy()
    begins[1:] &= ~going_on[:-1]
    return np.where(decidable, np.cumsum(begins) - 1, -1).astype(np.int32)
