"""From market sources to segments: one UTC day at a time, each computable alone.

Recursions of the 1 m clock and of coarser ones start at the first bar of the history and are
computed once a builder. Those of the 1 s clock start at the beginning of the UTC day before the
segment's: 288 half-lives later nothing older is left in float64, and any day's tables come out with
the same bits wherever and in whatever order they are computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market import intervals
from apex_trader.market.fills import FillConfig
from apex_trader.market.resample import bars_from_seconds
from apex_trader.market.source import MarketSource
from apex_trader.state.clock_tables import ClockTables, DayView, Side, clock_tables
from apex_trader.state.decisions import Day, clock_window, decisions, stretch_numbers
from apex_trader.state.identity import ContentChain, content_digest
from apex_trader.state.outcomes import fill_prices, outcomes, own_bars
from apex_trader.state.schema import CLIP, Schema
from apex_trader.state.segment import Segment
from apex_trader.state.structure import MINUTES, StructureHistory
from apex_trader.time import CLOCKS, DAY, SECOND, format_date

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


#: Minute bars that pivots and regime need before enough of their columns exist: the eighth level-5
#: pivot can be 15,700 minutes old, and the regime's longest window is 30 days.
LEAST_MINUTES = {"pivots": 20_000, "regime": 20_000}


@dataclass(frozen=True)
class Need:
    """How many bars of a market's clock a block needs before it can be decided on."""

    block: str
    clock: str
    rows: int
    source: MarketSource

    @cached_property
    def enough_from(self) -> int:
        """Close, µs, of the bar with which there are enough; far in the future if never."""
        bars = self.source.bars(self.clock)
        if len(bars) < self.rows:
            return int(np.iinfo(np.int64).max)
        return int(bars.ts[self.rows - 1]) + bars.step

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


class SegmentBuilder:
    """Builds the segments of one schema from a primary market and, if given, a reference.

    The sources' ``end`` hides every event at or after it, so a builder on a source that ends at t
    knows what a trader knew at t. Without a reference, its columns are declared missing
    (``Segment.cannot_provide``) and do not count in coverage. ConfigError when the schema's
    decision interval does not fit the fast clock or the fills.
    """

    def __init__(
        self,
        schema: Schema,
        primary: MarketSource,
        reference: MarketSource | None = None,
        fills: FillConfig | None = None,
    ) -> None:
        self.schema, self.primary, self.reference = schema, primary, reference
        self.fills = fills or FillConfig()
        step = CLOCKS[schema.fast_clock]
        if schema.decision_interval % step or DAY % schema.decision_interval:
            raise ConfigError(
                "state.decision_interval",
                schema.decision_interval,
                f"a multiple of the {schema.fast_clock} clock's {step} µs that divides a day",
            )
        self.fills.check(schema.decision_interval, bars=schema.fast_clock != "1s")
        self._history: dict[str, ClockTables] = {}
        self._chains: dict[tuple[str, str], ContentChain] = {}
        self._structure: StructureHistory | None = None

    def days(self) -> list[int]:
        """Starts of the UTC days that can hold a decision, ascending.

        They have rows of the fast clock and, by their end, enough bars of every other clock and
        are past the look-back markets' ``as_of``. ApexError that names what is missing when no
        day is left.
        """
        if self.schema.fast_clock == "1s":
            days = np.array(self.primary.second_days(), np.int64)
        else:
            bars = own_bars(self.primary, self.schema.fast_clock)
            days = np.unique(bars.ts // DAY * DAY)
        if len(days) == 0:
            raise ApexError(
                f"{self.primary.info.market} has no {self._fast_kind()}: import some, or choose a "
                f"schema without the {self.schema.fast_clock} clock"
            )
        enough = days[days + DAY > self._as_of()]
        if len(enough) == 0:
            raise ApexError(
                f"{self.primary.info.market}: every day lies before the look-back market's basis "
                f"was measured ({format_date(self._as_of())}): import later days"
            )
        first = max(need.enough_from for need in self._needs)
        kept = enough[enough + DAY > first]
        if len(kept) == 0:
            self._check_history(int(enough[-1]))
        return [int(day) for day in kept]

    def build(self, day: int) -> Segment:
        """The segment of the UTC day that starts at ``day`` µs.

        Where the sources end within the day, its decisions end there too. ApexError when the
        history is too short for any decision of the day: it names the block, how much there is,
        how much it needs and what to import.
        """
        if day % DAY:
            raise ApexError(f"{day} is not the start of a UTC day")
        self._check_history(day)
        ends = [s.end for s in (self.primary, self.reference) if s is not None]
        ts = np.arange(day, min(day + DAY, *(end + 1 for end in ends)), self._interval)
        if len(ts) == 0:
            raise ApexError(f"{format_date(day)} lies behind the end of the market data")
        seen = self._see(day, ts)
        known = decisions(self.schema, seen)
        tables = self._tables(seen)
        events = self._minutes().events(ts, self._interval)
        return Segment(
            key=self._key(day),
            schema=self.schema.fingerprint,
            market=self.primary.info.market,
            day=day,
            base=seen.base,
            tables=tables,
            row_scale=dict(seen.structure.row_scale) if self.schema.has("pivots") else {},
            decisions=known,
            outcomes=outcomes(
                ts,
                self._interval,
                known.decidable,
                stretch_numbers(self.schema, seen),
                fill_prices(self.primary, self.schema.fast_clock, day, day + DAY, self.fills),
                self.fills,
                self.primary.funding(day, day + DAY + self.fills.latency + 1),
            ),
            pivot_events=events,
            cannot_provide=self._cannot_provide(tables),
            synthetic=self.primary.info.synthetic is not None,
            clip_share=self._clip_shares(tables),
        )

    @property
    def _interval(self) -> int:
        return self.schema.decision_interval

    # --- what a day sees -------------------------------------------------------------------

    def _see(self, day: int, ts: I64) -> Day:
        clocks = {c: self._clock(c, day) for c in {*self.schema.clocks, MINUTES}}
        views = {c: DayView.of(tables.grid, ts, self._window(c)) for c, tables in clocks.items()}
        fast = self.schema.fast_clock
        base = (
            _base(clocks[fast].primary.close, views[fast]),
            _base(clocks[fast].follower.last_close, views[fast]),
        )
        seconds = clocks.get("1s")
        structure = self._minutes().day(views[MINUTES], base[0], seconds)
        own = self._own_price(clocks[fast], views[fast])
        return Day(ts, clocks, views, structure, base, self._unavailable(), self._as_of(), own)

    def _own_price(self, tables: ClockTables, view: DayView) -> NDArray[np.bool_]:
        """[n]: the newest price of each decision is the market's own: there, it can be traded."""
        if self.primary.info.lookback is None:
            return np.ones(len(view.last), np.bool_)
        grid = tables.grid
        opens = grid.ts[~grid.carried][grid.source]
        covered = self.primary.coverage(self.schema.fast_clock)
        own = intervals.covers(covered, opens, grid.step).astype(np.float64)
        return np.asarray(view.at_last(own) == 1.0)

    def _window(self, clock: str) -> int:
        return clock_window(self.schema, clock) if clock in self.schema.clocks else 1

    def _clock(self, clock: str, day: int) -> ClockTables:
        if clock == "1s":
            return self._second_tables(day)
        if clock not in self._history:
            gap = self.schema.max_gap if clock == self.schema.fast_clock else None
            reference = None if self.reference is None else _bar_side(self.reference, clock)
            primary = _bar_side(self.primary, clock)
            self._history[clock] = clock_tables(clock, primary, reference, gap)
        return self._history[clock]

    def _second_tables(self, day: int) -> ClockTables:
        reference = None if self.reference is None else _second_side(self.reference, day)
        primary = _second_side(self.primary, day)
        return clock_tables("1s", primary, reference, self.schema.max_gap)

    def _minutes(self) -> StructureHistory:
        if self._structure is None:
            self._structure = StructureHistory(
                self._clock(MINUTES, 0),
                self._clock("1h", 0),
                self._clock("1d", 0),
                self.primary.info.tick_size,
            )
        return self._structure

    # --- what a segment holds --------------------------------------------------------------

    def _tables(self, day: Day) -> dict[str, F32]:
        tables: dict[str, F32] = {}
        for block in self.schema.blocks:
            if block.clock not in CLOCKS:
                continue
            if block.name in day.structure.tables:
                tables[block.name] = day.structure.tables[block.name]
                continue
            values = day.views[block.clock].cut(day.clocks[block.clock].block(block.name))
            base = day.base[block.symbol == "reference"]
            final = np.clip(values, -CLIP, CLIP)
            final[:, : block.anchored] = values[:, : block.anchored] - base
            tables[block.name] = final.astype(np.float32)
        return tables

    def _clip_shares(self, tables: Mapping[str, F32]) -> dict[str, F64]:
        shares = {}
        for name, table in tables.items():
            present = np.isfinite(table).sum(axis=0)
            clipped = (np.abs(table) >= CLIP).sum(axis=0)
            share = clipped / np.maximum(present, 1)
            share[: self.schema.block(name).anchored] = np.nan
            shares[name] = share
        return shares

    def _cannot_provide(self, tables: Mapping[str, F32]) -> tuple[str, ...]:
        """Columns that need something of the source and are nowhere in the segment."""
        return tuple(
            f"{name}.{column.name}"
            for name, table in tables.items()
            for i, column in enumerate(self.schema.block(name).columns)
            if column.needs is not None and not np.isfinite(table[:, i]).any()
        )

    def _unavailable(self) -> frozenset[str]:
        """Columns that cannot be there whatever the day, known before any data is read."""
        if self.reference is not None:
            return frozenset()
        return frozenset(
            f"{block.name}.{column.name}"
            for block in self.schema.blocks
            for column in block.columns
            if column.needs == "reference"
        )

    # --- identity --------------------------------------------------------------------------

    def _key(self, day: int) -> str:
        """Hex digest of the schema and of everything that the day's tables were computed from."""
        digest = f"{self.schema.fingerprint} {day}".encode()
        for name, source in (("primary", self.primary), ("reference", self.reference)):
            if source is None:
                continue
            info = source.info
            digest += f" {name} {info.market} {info.tick_size!r} {info.lookback!r}".encode()
            for clock in sorted({*self.schema.clocks, MINUTES, "1h", "1d"} - {"1s"}):
                chain = self._chains.get((name, clock))
                if chain is None:
                    chain = self._chains[name, clock] = ContentChain(source.bars(clock))
                digest += chain.digest(day)
            if name == "primary" and info.lookback is not None:
                own = intervals.clip(source.coverage(self.schema.fast_clock), day - DAY, day + DAY)
                digest += own.tobytes()
            if self.schema.fast_clock == "1s":
                digest += content_digest(b"", source.seconds(day - DAY, day + DAY))
        trades = None
        if self.schema.fast_clock == "1s":
            trades = self.primary.trades(day, day + DAY)
        funding = self.primary.funding(day, day + DAY + self.fills.latency + 1)
        return content_digest(digest, trades, *funding).hex()

    # --- enough history --------------------------------------------------------------------

    def _as_of(self) -> int:
        sources = (self.primary, self.reference)
        lookbacks = [s.info.lookback for s in sources if s is not None]
        return max((b.as_of for b in lookbacks if b is not None), default=0)

    def _fast_kind(self) -> str:
        clock = self.schema.fast_clock
        return "trades or 1s bars" if clock == "1s" else f"{clock} bars"

    @cached_property
    def _needs(self) -> list[Need]:
        """What each block on a bar clock needs of its market's history."""
        needs = []
        for block in self.schema.blocks:
            source = self.reference if block.symbol == "reference" else self.primary
            if block.clock in CLOCKS and block.clock != "1s" and source is not None:
                rows = LEAST_MINUTES.get(block.name, self._rows(block.window))
                needs.append(Need(block.name, block.clock, rows, source))
        return needs

    def _rows(self, window: int) -> int:
        return math.ceil(self.schema.min_coverage * window)

    def _check_history(self, day: int) -> None:
        """ApexError when some block has too few bars for any decision of the day."""
        for need in self._needs:
            if need.enough_from > day + DAY:
                raise ApexError(need.complaint(day))


def _bar_side(source: MarketSource, clock: str) -> Side:
    return Side(source.bars(clock), source.info.tick_size, source.end)


def _second_side(source: MarketSource, day: int) -> Side:
    seconds = source.seconds(day - DAY, day + DAY)
    end = min(source.end // SECOND * SECOND, day + DAY)
    return Side(bars_from_seconds(seconds), source.info.tick_size, end, seconds)


def _base(close: F64, view: DayView) -> float:
    """The last log price before the day, or the first one in it: known whenever it is used."""
    seen = view.cut(close)
    before = seen[: view.row[0] + 1]
    known = np.flatnonzero(np.isfinite(before))
    if len(known):
        return float(before[known[-1]])
    later = np.flatnonzero(np.isfinite(seen))
    return float(seen[later[0]]) if len(later) else 0.0
