"""When and at which price an order fills: the only place where a decision meets the future."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.types import Bars, Seconds, Trades
from apex_trader.time import SECOND

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: ``next_open`` is honest; ``this_open``, the price at t itself, is an optimistic scenario.
BarFill = Literal["next_open", "this_open"]


@dataclass(frozen=True)
class FillConfig:
    """How long an order travels and waits.

    latency: µs from the decision until the order can trade. max_fill_wait: µs after that within
    which it must trade, else it is not filled. bar_fill: where only bars exist, ``next_open`` fills
    at the open of the first bar that starts at or after t + latency, ``this_open`` at the open of
    the bar that starts at t (labelled optimistic: no latency).
    """

    latency: int = SECOND
    max_fill_wait: int = 3 * SECOND
    bar_fill: BarFill = "next_open"

    def __post_init__(self) -> None:
        if self.latency < 0:
            raise ConfigError("fills.latency", self.latency, "microseconds, 0 or more")
        if self.max_fill_wait <= 0:
            raise ConfigError("fills.max_fill_wait", self.max_fill_wait, "microseconds above 0")
        if self.bar_fill not in get_args(BarFill):
            raise ConfigError("fills.bar_fill", self.bar_fill, "next_open or this_open")

    @property
    def optimistic(self) -> bool:
        """Whether results must carry the label of an optimistic scenario."""
        return self.bar_fill == "this_open"

    def check(self, decision_interval: int, bars: bool = False) -> None:
        """No order may be pending across a decision: ConfigError when one could be.

        bars: orders fill at the opens of bars of at most the decision interval, however long the
        wait for the next one is.
        """
        if bars:
            if self.latency > decision_interval and not self.optimistic:
                raise ConfigError(
                    "fills.latency",
                    self.latency,
                    f"at most the decision interval, {decision_interval} µs: the order would fill "
                    "behind the next decision",
                )
        elif self.latency + self.max_fill_wait > decision_interval:
            raise ConfigError(
                "fills.max_fill_wait",
                self.max_fill_wait,
                f"latency ({self.latency}) + max_fill_wait at most the decision interval, "
                f"{decision_interval} µs",
            )


def order_fills(
    decision_ts: I64,
    prices: Trades | Seconds | Bars,
    latency: int = SECOND,
    max_fill_wait: int = 3 * SECOND,
    bar_fill: BarFill = "next_open",
) -> tuple[F64, I64]:
    """Fills of orders decided at ``decision_ts`` [n], µs: (ln price [n], time [n] µs).

    Not filled: NaN and 0. Prices are before slippage. With trades: the first one in
    [t + latency, t + latency + max_fill_wait). With seconds or bars: the open of the first one
    with volume (a bar without volume is a carried price, nobody traded) that starts in the same
    interval or, since a minute is longer than any wait, on the first bar boundary at or after
    t + latency; its time is the bar's open. So a fill may lie at the next decision itself, never
    after it. ConfigError when decisions fall inside bars, whose fills would then be pending
    across decisions.
    """
    config = FillConfig(latency, max_fill_wait, bar_fill)
    if isinstance(prices, Trades):
        return _first_between(
            prices.ts, prices.price, decision_ts + latency, decision_ts + latency + max_fill_wait
        )
    step = prices.step if isinstance(prices, Bars) else SECOND
    if len(decision_ts) and np.any(decision_ts % step):
        raise ConfigError(
            "state.decide_every",
            int(np.gcd.reduce(decision_ts)) / SECOND,
            f"a multiple of the {step // SECOND} s bars that orders fill on",
        )
    traded = prices.volume > 0
    opens, open_ts = prices.open[traded], prices.ts[traded]
    if config.bar_fill == "this_open":
        return _first_between(open_ts, opens, decision_ts, decision_ts + 1)
    earliest = decision_ts + latency
    boundary = -(-earliest // step) * step
    return _first_between(
        open_ts, opens, earliest, np.maximum(earliest + max_fill_wait, boundary + 1)
    )


def _first_between(ts: I64, price: F64, earliest: I64, deadline: I64) -> tuple[F64, I64]:
    """The first event in [earliest, deadline) of each order; events in time order."""
    if len(ts) == 0:
        return np.full(len(earliest), np.nan), np.zeros(len(earliest), np.int64)
    place = np.searchsorted(ts, earliest)
    found = place < len(ts)
    place[~found] = 0
    found &= ts[place] < deadline
    chosen = price[place[found]]
    if not np.all(chosen > 0):
        raise ApexError(
            "an order would fill at a price of 0 or less: run `data verify` on the store"
        )
    fill = np.full(len(earliest), np.nan)
    fill[found] = np.log(chosen)
    return fill, np.where(found, ts[place], 0)
