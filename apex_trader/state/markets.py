"""The markets of a schema: what is traded, and what is watched beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market import intervals
from apex_trader.market.fills import FillConfig
from apex_trader.market.resample import bars_from_seconds
from apex_trader.market.source import MarketSource
from apex_trader.state.clock_tables import ClockTables, DayView, Side
from apex_trader.state.schema import Schema
from apex_trader.time import CLOCKS, DAY, SECOND, format_date

Bool = NDArray[np.bool_]

#: Minute bars that pivots and regime need before enough of their columns exist: the eighth level-5
#: pivot can be 15,700 minutes old, and the regime's longest window is 30 days.
LEAST_MINUTES = {"pivots": 20_000, "regime": 20_000}


@dataclass(frozen=True)
class Markets:
    """A schema with its primary market and, if there is one, its reference.

    fills: how orders fill. ConfigError when the schema's decision interval does not fit the fast
    clock or the fills.
    """

    schema: Schema
    primary: MarketSource
    reference: MarketSource | None = None
    fills: FillConfig = field(default_factory=FillConfig)

    def __post_init__(self) -> None:
        clock, interval = self.schema.fast_clock, self.schema.decision_interval
        step = CLOCKS[clock]
        if interval % step or DAY % interval:
            raise ConfigError(
                "state.decide_every",
                interval / SECOND,
                f"a multiple of the {clock} clock's {step // SECOND} s that divides a day",
            )
        self.fills.check(interval, bars=clock != "1s")

    @property
    def sources(self) -> list[MarketSource]:
        """Those that there are."""
        return [s for s in (self.primary, self.reference) if s is not None]

    @property
    def end(self) -> int:
        """µs; nothing is known of either at or after it."""
        return min(source.end for source in self.sources)

    @property
    def as_of(self) -> int:
        """µs before which nothing is decided: no look-back market's basis was known."""
        lookbacks = [s.info.lookback for s in self.sources]
        return max((b.as_of for b in lookbacks if b is not None), default=0)

    def unavailable(self) -> frozenset[str]:
        """Columns that cannot be there whatever the day, known before any data is read."""
        if self.reference is not None:
            return frozenset()
        return frozenset(
            f"{block.name}.{column.name}"
            for block in self.schema.blocks
            for column in block.columns
            if column.needs == "reference"
        )

    def max_gap(self, clock: str) -> int | None:
        """Longest pause (µs) over which a clock carries its price; None on all but the fast one."""
        return self.schema.max_gap if clock == self.schema.fast_clock else None

    def own_price(self, tables: ClockTables, view: DayView) -> Bool:
        """[n]: the newest price of each decision is the market's own: there, it can be traded."""
        grid = tables.grid
        if self.primary.info.lookback is None or len(grid) == 0:
            return np.ones(len(view.last), np.bool_)
        covered = self.primary.coverage(self.schema.fast_clock)
        own = intervals.covers(covered, grid.opened[np.maximum(view.last, 0)], grid.step)
        return np.asarray(own & (view.last >= 0))

    def check_history(self, day: int, needs: Sequence[Need] | None = None) -> None:
        """ApexError when some block has too few bars for any decision of the day.

        needs: those of the sources, where they are known already.
        """
        for need in self.needs() if needs is None else needs:
            if need.enough_from > day + DAY:
                raise ApexError(need.complaint(day))

    def needs(self) -> list[Need]:
        """What each block on a bar clock needs of its market's history."""
        found = []
        for block in self.schema.blocks:
            source = self.reference if block.symbol == "reference" else self.primary
            if block.clock in CLOCKS and block.clock != "1s" and source is not None:
                least = math.ceil(self.schema.min_coverage * block.window)
                rows = LEAST_MINUTES.get(block.name, least)
                found.append(Need.of(block.name, block.clock, rows, source))
        return found


@dataclass(frozen=True)
class Need:
    """How many bars of a market's clock a block needs before it can be decided on.

    enough_from: close, µs, of the bar with which there are enough; far in the future if never.
    """

    block: str
    clock: str
    rows: int
    source: MarketSource
    enough_from: int

    @classmethod
    def of(cls, block: str, clock: str, rows: int, source: MarketSource) -> Need:
        """The need as the source stands now."""
        bars = source.bars(clock)
        enough = int(np.iinfo(np.int64).max)
        if len(bars) >= rows:
            enough = int(bars.ts[rows - 1]) + bars.step
        return cls(block, clock, rows, source, enough)

    def complaint(self, day: int) -> str:
        """What is missing on a day, and the remedy."""
        bars = self.source.bars(self.clock)
        there = int(np.searchsorted(bars.ts + bars.step, day + DAY, side="right"))
        market = self.source.info.market
        return (
            f"{market} has too little history for {format_date(day)}: block {self.block!r} needs "
            f"{self.rows:,} {self.clock} bars before it and there are {there:,}. Import "
            f"{market} {self.clock} bars (or finer ones) of earlier days, or begin later"
        )


def bar_side(source: MarketSource, clock: str, known: int = 0) -> Side:
    """A market's bars of a clock behind the first ``known`` ones."""
    bars = source.bars(clock)
    return Side(bars.slice(known, len(bars)), source.info.tick_size, source.end)


def second_side(source: MarketSource, start: int, day: int) -> Side:
    """A market's seconds from ``start`` (µs) to the end of a day."""
    seconds = source.seconds(start, day + DAY)
    end = min(source.end // SECOND * SECOND, day + DAY)
    return Side(bars_from_seconds(seconds), source.info.tick_size, end, seconds)


def day_base(close: NDArray[np.float64], view: DayView) -> float | None:
    """The last log price before a day, or the first one in it: known whenever it is used. None
    while there is neither."""
    seen = view.cut(close)
    before = seen[: view.row[0] + 1]
    known = np.flatnonzero(np.isfinite(before))
    if len(known):
        return float(before[known[-1]])
    later = np.flatnonzero(np.isfinite(seen))
    return float(seen[later[0]]) if len(later) else None
