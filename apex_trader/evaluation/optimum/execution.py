"""How orders decided on a fixed beat meet the market: what a plan can expect of its fills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ConfigError
from apex_trader.evaluation.optimum.pace import Pace
from apex_trader.market.fills import FillConfig
from apex_trader.time import CLOCKS, DAY, SECOND

F64 = NDArray[np.float64]

#: Cells of the waiting time.
_WAITS = 32


@dataclass(frozen=True)
class Execution:
    """The law of an order's fill, as far as it is known when the order is decided.

    interval: seconds between decisions. unfilled: chance that an order is not filled. delays [m]
    seconds from decision to fill and weights [m] of each, given a fill. Fills come with the tape's
    pace, which says nothing of the price's direction: the law is independent of the signal.
    """

    interval: float
    unfilled: float
    delays: F64
    weights: F64

    @property
    def decisions_per_day(self) -> float:
        """Number of decisions in a day."""
        return DAY / SECOND / self.interval

    @property
    def delay(self) -> float:
        """Mean seconds from decision to fill."""
        return float(self.delays @ self.weights)

    def typical_delays(self, count: int) -> F64:
        """[count] delays that are equally likely: the middles of the law's quantiles."""
        if len(self.delays) == 1:
            return self.delays
        middles = (np.arange(count) + 0.5) / count
        # A cell's own middle is where half of its chance lies behind.
        return np.interp(middles, np.cumsum(self.weights) - 0.5 * self.weights, self.delays)

    def mean(self, values: F64) -> float:
        """Average over the delay of ``values`` [m], given a fill."""
        return float(values @ self.weights)

    @classmethod
    def of(cls, pace: Pace | None, fills: FillConfig, interval: int) -> Execution:
        """Of a market's pace, None where there are minute bars alone; ``interval`` in µs.

        Trades: the first one behind the latency. Minute bars: the next open, always there.
        """
        fills.check(interval, bars=pace is None)
        if pace is None:
            return cls._on_bars(fills, interval)
        return cls._on_trades(pace, fills, interval)

    @classmethod
    def _on_bars(cls, fills: FillConfig, interval: int) -> Execution:
        step = CLOCKS["1m"]
        if interval % step:
            raise ConfigError(
                "state.decide_every", interval / SECOND,
                f"a multiple of {step // SECOND} s: between minute bars nothing is filled",
            )  # fmt: skip
        delay = 0.0 if fills.optimistic else -(-fills.latency // step) * step / SECOND
        return cls(interval / SECOND, 0.0, np.array([delay]), np.ones(1))

    @classmethod
    def _on_trades(cls, pace: Pace, fills: FillConfig, interval: int) -> Execution:
        edges = fills.max_fill_wait / SECOND * np.linspace(0.0, 1.0, _WAITS + 1)
        silent = pace.silent(edges)
        delays = fills.latency / SECOND + 0.5 * (edges[1:] + edges[:-1])
        weights = -np.diff(silent) / (1.0 - silent[-1])
        return cls(interval / SECOND, float(silent[-1]), delays, weights)
