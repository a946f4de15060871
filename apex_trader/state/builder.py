"""From market sources to segments: one UTC day at a time, each computable alone.

Recursions of the 1 m clock and of coarser ones start at the first bar of the history and are
computed once a builder. Those of the 1 s clock start at the beginning of the UTC day before the
segment's: 288 half-lives later nothing older is left in float64, and any day's tables come out with
the same bits wherever and in whatever order they are computed. ``state.live`` computes the same
tables while the market goes on, with the same functions.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ApexError
from apex_trader.market.fills import FillConfig, order_fills
from apex_trader.market.source import MarketSource
from apex_trader.state.assembly import clip_shares, day_tables, not_provided
from apex_trader.state.clock_tables import ClockTables, DayView, clock_tables
from apex_trader.state.decisions import Day, clock_window, decisions, stretch_numbers
from apex_trader.state.identity import SegmentKeys
from apex_trader.state.markets import Markets, Need, bar_side, day_base, second_side
from apex_trader.state.outcomes import fill_prices, outcomes, own_bars
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.state.stretch import traded_bars
from apex_trader.state.structure import MINUTES, StructureHistory, second_closes
from apex_trader.time import DAY, format_date

I64 = NDArray[np.int64]


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
        self.markets = Markets(schema, primary, reference, self.fills)
        self._keys = SegmentKeys(schema, self.fills)
        self._history: dict[str, ClockTables] = {}
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
            bars = traded_bars(own_bars(self.primary, self.schema.fast_clock))
            days = np.unique(bars.ts // DAY * DAY)
        if len(days) == 0:
            raise ApexError(
                f"{self.primary.info.market} has no {self._fast_kind()}: import some, or choose a "
                f"schema without the {self.schema.fast_clock} clock"
            )
        as_of = self.markets.as_of
        enough = days[days + DAY > as_of]
        if len(enough) == 0:
            raise ApexError(
                f"{self.primary.info.market}: every day lies before the look-back market's basis "
                f"was measured ({format_date(as_of)}): import later days"
            )
        first = max(need.enough_from for need in self._needs)
        kept = enough[enough + DAY > first]
        if len(kept) == 0:
            self.markets.check_history(int(enough[-1]), self._needs)
        return [int(day) for day in kept]

    def build(self, day: int) -> Segment:
        """The segment of the UTC day that starts at ``day`` µs.

        Where the sources end within the day, its decisions end there too. ApexError when the
        history is too short for any decision of the day: it names the block, how much there is,
        how much it needs and what to import.
        """
        if day % DAY:
            raise ApexError(f"{day} is not the start of a UTC day")
        self.markets.check_history(day, self._needs)
        ts = np.arange(day, min(day + DAY, self.markets.end + 1), self._interval)
        if len(ts) == 0:
            raise ApexError(f"{format_date(day)} lies behind the end of the market data")
        seen = self._see(day, ts)
        known = decisions(self.schema, seen)
        tables = day_tables(self.schema, seen)
        prices = fill_prices(self.primary, self.schema.fast_clock, day, day + DAY, self.fills)
        return Segment(
            key=self._keys.key(day, self.primary, self.reference),
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
                order_fills(
                    ts, prices, self.fills.latency, self.fills.max_fill_wait, self.fills.bar_fill
                ),
                self.fills,
                self.primary.funding(day, day + DAY + self.fills.latency + 1),
            ),
            pivot_events=self._minutes().events(ts, self._interval),
            cannot_provide=not_provided(self.schema, tables),
            synthetic=self.primary.info.synthetic is not None,
            clip_share=clip_shares(self.schema, tables),
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
            day_base(clocks[fast].primary.close, views[fast]) or 0.0,
            day_base(clocks[fast].follower.last_close, views[fast]) or 0.0,
        )
        residual = None
        if "1s" in clocks and self.reference is not None and len(clocks["1s"].grid):
            residual = self._minutes().residual()
            residual.extend(second_closes(clocks["1s"]))
        view = views[MINUTES]
        structure = self._minutes().rows(view.low, view.high, base[0], residual).known(view.row)
        own = self.markets.own_price(clocks[fast], views[fast])
        unavailable, as_of = self.markets.unavailable(), self.markets.as_of
        return Day(ts, clocks, views, structure, base, unavailable, as_of, own)

    def _window(self, clock: str) -> int:
        return clock_window(self.schema, clock) if clock in self.schema.clocks else 1

    def _clock(self, clock: str, day: int) -> ClockTables:
        gap = self.markets.max_gap(clock)
        if clock == "1s":
            sides = [second_side(source, day - DAY, day) for source in self.markets.sources]
            return clock_tables(clock, sides[0], sides[1] if sides[1:] else None, gap)[0]
        if clock not in self._history:
            sides = [bar_side(source, clock) for source in self.markets.sources]
            reference = sides[1] if sides[1:] else None
            self._history[clock] = clock_tables(clock, sides[0], reference, gap)[0]
        return self._history[clock]

    def _minutes(self) -> StructureHistory:
        if self._structure is None:
            self._structure = StructureHistory(
                self._clock(MINUTES, 0),
                self._clock("1h", 0),
                self._clock("1d", 0),
                self.primary.info.tick_size,
            )
        return self._structure

    # --- enough history --------------------------------------------------------------------

    def _fast_kind(self) -> str:
        clock = self.schema.fast_clock
        return "trades or 1s bars" if clock == "1s" else f"{clock} bars"

    @cached_property
    def _needs(self) -> list[Need]:
        return self.markets.needs()
