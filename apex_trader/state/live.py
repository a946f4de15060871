"""Market tables at the live edge: a stream's closed seconds become the rows that offline has.

The functions are those of ``SegmentBuilder``; here they are called for the new rows alone and go on
from the state that earlier rows left. A second costs its own row, a minute its own, whatever lies
behind them. At midnight the 1 s clock of the new day begins with the seconds of the day before, as
the builder's does, which costs a day of seconds once.
"""

from __future__ import annotations

from apex_trader.errors import ApexError, DataError
from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.fills import FillConfig
from apex_trader.market.growing_source import CutSource, GrowingSource
from apex_trader.market.resample import bars_from_seconds
from apex_trader.market.source import MarketSource
from apex_trader.market.types import Seconds
from apex_trader.state.clock_tables import ClockTables, Side
from apex_trader.state.gather import MarketTables
from apex_trader.state.growing_clock import GrowingClock
from apex_trader.state.identity import SegmentKeys
from apex_trader.state.live_day import LiveDay
from apex_trader.state.markets import Markets, bar_side, second_side
from apex_trader.state.regime import SecondResidual
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Decisions, Segment
from apex_trader.state.structure import MINUTES, StructureHistory, second_closes
from apex_trader.time import CLOCKS, DAY, MINUTE, day_start, format_date, format_time

_COARSE = (MINUTES, "1h", "1d")


class LiveTables:
    """The tables of the present day, bit for bit those of ``SegmentBuilder``, while it goes on.

    Args:
        schema: of the states.
        primary, reference: the markets up to where the stream begins; both end there, at a whole
            second. Their history must be long enough for every block, or nothing is decided.
        fills: how orders fill, for sealed segments.

    Raises:
        ConfigError: the schema's decision interval does not fit; a source has no end.
        ApexError: the sources end at different times.
    """

    def __init__(
        self,
        schema: Schema,
        primary: MarketSource,
        reference: MarketSource | None = None,
        fills: FillConfig | None = None,
    ) -> None:
        self._primary = GrowingSource(primary)
        self._reference = None if reference is None else GrowingSource(reference)
        if self._reference is not None and self._reference.end != self._primary.end:
            raise ApexError(
                f"the history of {self._primary.info.market} ends at "
                f"{format_time(self._primary.end)}, that of {self._reference.info.market} at "
                f"{format_time(self._reference.end)}: the stream begins where both end"
            )
        self.markets = Markets(schema, self._primary, self._reference, fills or FillConfig())
        self.schema = schema
        self._keys = SegmentKeys(schema, self.markets.fills)
        self._clocks = {c: self._clock(c) for c in _COARSE}
        minutes, hours, days = (self._clocks[c].tables for c in _COARSE)
        self._structure = StructureHistory(minutes, hours, days, primary.info.tick_size)
        self._residual: SecondResidual | None = None
        self._days: dict[int, LiveDay] = {}
        self._begin(day_start(self.end))

    @property
    def end(self) -> int:
        """µs; every event before it is known."""
        return self._primary.end

    @property
    def day(self) -> int:
        """Start of the UTC day (µs) of the newest decision."""
        return max(self._days)

    @property
    def tables(self) -> MarketTables:
        """Tables of the present day, to gather from. Another object after midnight."""
        return self._days[self.day].tables

    @property
    def newest(self) -> int:
        """Row of the newest decision in ``tables``: its state is that of a trader now."""
        return len(self._days[self.day]) - 1

    @property
    def known(self) -> Decisions:
        """The decisions of the present day, row by row those of ``tables``."""
        return self._days[self.day].known

    @property
    def settle(self) -> int:
        """µs after a decision by which everything is known of those before it: fills, funding."""
        fills = self.markets.fills
        return fills.latency + fills.max_fill_wait + 2 * CLOCKS[self.schema.fast_clock]

    def extend(self, closed: ClosedSeconds) -> None:
        """Take the next closed seconds of all markets. DataError when they do not join on."""
        if closed.start != self.end and closed.until > closed.start:
            raise DataError(
                "stream", f"closed seconds begin at {format_time(closed.start)}, the tables end "
                f"at {format_time(self.end)}", "Give every second once, in order.",
            )  # fmt: skip
        while self.end < closed.until:
            midnight = day_start(self.end) + DAY
            self._advance(closed, min(closed.until, midnight))
            if self.end == midnight:
                self._begin(midnight)

    def seal(self, until: int) -> Segment:
        """The segment of the day that ``until`` (µs, a decision's time) ends a part of.

        Its key is that of the same day in a market that ends at ``until``. A part that is sealed
        later holds the same rows and more. ApexError when it is not settled yet, or too old.
        """
        day = day_start(until - 1)
        if until % self.schema.decision_interval or until + self.settle > self.end:
            raise ApexError(
                f"{format_time(until)} cannot be sealed: it must be a decision's time, and closed "
                f"seconds are needed to {format_time(until + self.settle)}"
            )
        if day not in self._days:
            raise ApexError(f"{format_date(day)} is no longer held: seal a day within the next one")
        ended = [CutSource(source, until) for source in self.markets.sources]
        key = self._keys.key(day, ended[0], ended[1] if ended[1:] else None)
        return self._days[day].seal(key, until, self._structure)

    # --- inside ----------------------------------------------------------------------------

    def _clock(self, clock: str) -> GrowingClock:
        sides = [bar_side(source, clock) for source in self.markets.sources]
        return GrowingClock(clock, self.markets.max_gap(clock), *_pair(sides))

    def _advance(self, closed: ClosedSeconds, until: int) -> None:
        """Everything up to a time within the day."""
        start, sources = self.end, self.markets.sources
        known = [{c: len(source.bars(c)) for c in _COARSE} for source in sources]
        seconds = [
            _append(source, closed, start, until)
            for source in (self._primary, self._reference) if source is not None
        ]  # fmt: skip
        if until // MINUTE > start // MINUTE:
            minutes, hours, days = (
                self._clocks[c].extend(*_pair([
                    bar_side(source, c, bars[c])
                    for source, bars in zip(sources, known, strict=True)
                ]))
                for c in _COARSE
            )  # fmt: skip
            self._structure.extend(minutes, hours, days)
        if "1s" in self._clocks:
            self._advance_seconds(seconds, until)
        self._decide(until)

    def _advance_seconds(self, seconds: list[Seconds], until: int) -> None:
        clock = self._clocks["1s"]
        known = len(clock)
        sides = [
            Side(bars_from_seconds(rows), source.info.tick_size, until, rows)
            for rows, source in zip(seconds, self.markets.sources, strict=True)
        ]
        clock.extend(*_pair(sides))
        self._follow_residual(known)

    def _follow_residual(self, known: int) -> None:
        """Take the rows of the 1 s clock behind the first ``known``."""
        rows = self._clocks["1s"].tables
        if self._residual is not None and len(rows.grid) > known:
            self._residual.extend(second_closes(rows, known))

    def _begin(self, day: int) -> None:
        """A new day; the one before it is held until the next."""
        for grown in (self._primary, self._reference):
            if grown is not None:
                grown.forget(day - 2 * DAY)  # the day before may still be sealed
        if "1s" in self.schema.clocks:
            sides = [second_side(source, day - DAY, day) for source in self.markets.sources]
            self._clocks["1s"] = GrowingClock("1s", self.markets.max_gap("1s"), *_pair(sides))
            self._residual = None if self._reference is None else self._structure.residual()
            self._follow_residual(0)
        self._days = {d: held for d, held in self._days.items() if d == day - DAY}
        self._days[day] = LiveDay(self.markets, day)
        self._decide(self.end)

    def _decide(self, until: int) -> None:
        clocks: dict[str, ClockTables] = {c: clock.tables for c, clock in self._clocks.items()}
        residual = self._residual if "1s" in clocks and len(clocks["1s"].grid) else None
        self._days[self.day].extend(until, clocks, self._structure, residual)


def _pair(sides: list[Side]) -> tuple[Side, Side | None]:
    return sides[0], sides[1] if sides[1:] else None


def _append(source: GrowingSource, closed: ClosedSeconds, start: int, until: int) -> Seconds:
    """Hands a source its part of the closed seconds; returns its seconds."""
    market = source.info.market
    if market not in closed.seconds:
        raise DataError(
            "stream", f"closed seconds came without {market}",
            f"Stream it too; there are {', '.join(closed.seconds) or 'none'}.",
        )  # fmt: skip
    seconds = closed.seconds[market].between(start, until)
    trades, funding = closed.trades.get(market), closed.funding.get(market)
    source.append(
        until,
        seconds,
        None if trades is None else trades.between(start, until),
        None if funding is None else funding.between(start, until),
    )
    return seconds
