"""A UTC day that is still going on: the rows of its segment, as far as they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.fills import order_fills
from apex_trader.market.growing import GrowingArrays
from apex_trader.market.types import Trades
from apex_trader.state.assembly import clip_shares, day_tables, not_provided
from apex_trader.state.clock_tables import ClockTables, DayView
from apex_trader.state.decisions import (
    Day,
    Structure,
    clock_window,
    decisions,
    stretch_numbers,
)
from apex_trader.state.gather import MarketTables, Place
from apex_trader.state.markets import Markets, day_base
from apex_trader.state.outcomes import fill_prices, outcomes
from apex_trader.state.regime import SecondResidual
from apex_trader.state.schema import PIVOT_COLUMNS, REGIME_COLUMNS, Schema
from apex_trader.state.segment import Decisions, Segment
from apex_trader.state.structure import MINUTES, StructureHistory, StructureRows
from apex_trader.time import CLOCKS, DAY

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

Clocks = Mapping[str, ClockTables]
#: Columns of a minute's structure, by the names of ``StructureRows``.
_STRUCTURE_WIDTHS = {
    "pivots": len(PIVOT_COLUMNS),
    "row_scale": sum(column.anchored for column in PIVOT_COLUMNS),
    "regime": len(REGIME_COLUMNS),
}


class LiveDay:
    """The decisions of a day up to now, and the table rows that they see.

    Rows are only ever added: what a decision saw stays as it was. Everything is computed by the
    functions that ``SegmentBuilder`` uses, on the new rows alone.

    tables: the same rows as tensors, to be gathered from; decision row i of the day is row i.
    """

    def __init__(self, markets: Markets, day: int) -> None:
        self.markets, self.schema, self.day = markets, markets.schema, day
        self._unavailable, self._as_of = markets.unavailable(), markets.as_of
        self._clocks = {*self.schema.clocks, MINUTES}
        self._reset((None, None))

    def __len__(self) -> int:
        """Decisions so far."""
        return len(self._known)

    @property
    def known(self) -> Decisions:
        """All decisions so far, their table rows counted as in ``tables``; views."""
        return self._decisions(len(self))

    def extend(
        self,
        until: int,
        clocks: Clocks,
        structure: StructureHistory,
        residual: SecondResidual | None,
    ) -> None:
        """Decide up to ``until`` (µs, that time included): the clocks hold all rows closed by it.

        residual: of the seconds so far, where there are some.
        """
        base = self._base_at(until, clocks)
        if base != self._base:  # nothing that the day holds was anchored until now
            self._reset(base)
        interval = self.schema.decision_interval
        start = self.day + len(self) * interval
        ts = np.arange(start, min(until + 1, self.day + DAY), interval)
        if len(ts):
            self._decide(ts, clocks, structure, residual)

    def seal(self, key: str, until: int, structure: StructureHistory) -> Segment:
        """The day's segment up to ``until`` (µs, a decision's time or the day's end), for good.

        It ends with the decision at ``until``, which has no next one yet. What happens to those
        before it must be known: see ``LiveTables.settle``. Its arrays are views of the day's.
        """
        count = int(np.searchsorted(self._known["ts"], until, side="right"))
        known = self._decisions(count)
        high = {c: int(known.row[c][-1]) + 1 for c in self.schema.clocks}
        tables = {
            b.name: self._table(b.name)[: high[b.clock]]
            for b in self.schema.blocks if b.clock in CLOCKS
        }  # fmt: skip
        scale = {n: t[: high[MINUTES]] for n, t in self._row_scale(self._minutes).items()}
        primary, fills = self.markets.primary, self.markets.fills
        self._fill(until)
        interval, stretch = self.schema.decision_interval, self._known["stretch"][:count]
        funding = primary.funding(self.day, until + max(fills.latency, 1))
        return Segment(
            key, self.schema.fingerprint, primary.info.market, self.day, self._anchors, tables,
            scale, known,
            outcomes(known.ts, interval, known.decidable, stretch, self._filled(known), fills,
                     funding),
            structure.events(known.ts, interval), not_provided(self.schema, tables),
            primary.info.synthetic is not None, clip_shares(self.schema, tables),
        )  # fmt: skip

    # --- decisions -------------------------------------------------------------------------

    @property
    def _anchors(self) -> tuple[float, float]:
        primary, reference = self._base
        return primary or 0.0, reference or 0.0

    def _base_at(self, until: int, clocks: Clocks) -> tuple[float | None, float | None]:
        """The base log prices, as far as they can be known: see ``day_base``."""
        wanted = self._base if self.markets.reference is not None else self._base[:1]
        if None not in wanted:
            return self._base
        fast = clocks[self.schema.fast_clock]
        newest = min(until, self.day + DAY - 1)
        ts = np.array([self.day, newest // self._interval * self._interval])
        view = DayView.of(fast.grid, ts, self._window(self.schema.fast_clock))
        return day_base(fast.primary.close, view), day_base(fast.follower.last_close, view)

    def _reset(self, base: tuple[float | None, float | None]) -> None:
        """An empty day. Until a price is known nothing is decided, so nobody refers to a row."""
        schema, self._base = self.schema, base
        self._low: dict[str, int] = {}
        self._high: dict[str, int] = {}
        self._rows: dict[str, GrowingArrays] = {}
        self._minutes = GrowingArrays(
            ts=np.empty(0, np.int64),
            **{n: np.empty((0, w), np.float32) for n, w in _STRUCTURE_WIDTHS.items()},
        )
        self._known = GrowingArrays(ts=np.empty(0, np.int64))
        self._fills = GrowingArrays(fill=np.empty(0), ts=np.empty(0, np.int64))
        self._on_trades = True
        self.tables = empty_day(schema)

    def _decide(
        self,
        ts: I64,
        clocks: Clocks,
        structure: StructureHistory,
        residual: SecondResidual | None,
    ) -> None:
        """Take decisions at ``ts`` and the rows that they are the first to see."""
        views = {c: DayView.of(clocks[c].grid, ts, self._window(c)) for c in self._clocks}
        self._low = self._low or {c: view.low for c, view in views.items()}
        begin = self._high or self._low
        self._high = {c: view.high for c, view in views.items()}
        minutes = structure.rows(begin[MINUTES], self._high[MINUTES], self._anchors[0], residual)
        fast = self.schema.fast_clock
        day = Day(
            ts, clocks, {c: replace(v, low=begin[c]) for c, v in views.items()},
            minutes.known(np.empty(0, np.int64)), self._anchors, self._unavailable, self._as_of,
            self.markets.own_price(clocks[fast], views[fast]),
        )  # fmt: skip
        rows = day_tables(self.schema, day)
        self._append(rows, minutes)
        day = replace(day, views=views, structure=self._structure(views[MINUTES]))
        known = _shifted(
            decisions(self.schema, day),
            {c: views[c].low - self._low[c] for c in self.schema.clocks},
        )
        place = Place(len(self), {c: begin[c] - self._low[c] for c in self.schema.clocks})
        self._note(known, stretch_numbers(self.schema, day))
        known = _shifted(known, {c: -at for c, at in place.rows.items()})
        self.tables.put(place, rows, self._row_scale(vars(minutes)), known)

    def _append(self, rows: Mapping[str, F32], minutes: StructureRows) -> None:
        for name, values in rows.items():
            if name in _STRUCTURE_WIDTHS:
                continue
            if name not in self._rows:
                self._rows[name] = GrowingArrays(rows=values[:0])
            self._rows[name].append(rows=values)
        self._minutes.append(**vars(minutes))

    def _table(self, block: str) -> F32:
        """All rows of a block so far."""
        table = self._minutes[block] if block in _STRUCTURE_WIDTHS else self._rows[block]["rows"]
        return np.asarray(table, np.float32)

    def _row_scale(self, minutes: Mapping[str, F32] | GrowingArrays) -> dict[str, F32]:
        return {"pivots": minutes["row_scale"]} if self.schema.has("pivots") else {}

    def _structure(self, view: DayView) -> Structure:
        """Pivots and regime on the rows of a minute view."""
        low = view.low - self._low[MINUTES]
        rows = {name: self._minutes[name][low:] for name in self._minutes.names}
        return StructureRows(**rows).known(view.row)

    @property
    def _interval(self) -> int:
        return self.schema.decision_interval

    def _window(self, clock: str) -> int:
        return clock_window(self.schema, clock) if clock in self.schema.clocks else 1

    def _note(self, known: Decisions, stretch: I64) -> None:
        columns: dict[str, NDArray[Any]] = {"stretch": stretch}
        for name, value in vars(known).items():
            if isinstance(value, dict):
                columns |= {f"{name} {clock}": column for clock, column in value.items()}
            else:
                columns[name] = value
        if len(self._known) == 0:
            self._known = GrowingArrays(**{name: c[:0] for name, c in columns.items()})
        self._known.append(**columns)

    def _decisions(self, count: int) -> Decisions:
        """The first ``count`` decisions."""
        columns: dict[str, Any] = {}
        for name in self._known.names:
            field, _, clock = name.partition(" ")
            values = self._known[name][:count]
            if clock:
                columns.setdefault(field, {})[clock] = values
            elif field != "stretch":
                columns[field] = values
        return Decisions(**columns)

    # --- what became of them ---------------------------------------------------------------

    def _fill(self, until: int) -> None:
        """Note how orders of the decisions before ``until`` filled."""
        ts, fills = self._known["ts"], self.markets.fills
        new = ts[len(self._fills) : np.searchsorted(ts, until)]
        if len(new) == 0:
            return
        prices = fill_prices(
            self.markets.primary, self.schema.fast_clock, int(new[0]), until, fills,
            self._on_trades,
        )  # fmt: skip
        self._on_trades &= isinstance(prices, Trades)
        fill, fill_ts = order_fills(new, prices, fills.latency, fills.max_fill_wait, fills.bar_fill)
        self._fills.append(fill=fill, ts=fill_ts)

    def _filled(self, known: Decisions) -> tuple[F64, I64]:
        """Prices and times of the fills of decisions [n]: the last has none yet in a part."""
        fill, ts = np.full(len(known.ts), np.nan), np.zeros(len(known.ts), np.int64)
        count = min(len(self._fills), len(known.ts))
        fill[:count], ts[:count] = self._fills["fill"][:count], self._fills["ts"][:count]
        return fill, ts


def empty_day(schema: Schema) -> MarketTables:
    """Tables with room for one day and its look-back, none of it written."""
    room = {c: DAY // CLOCKS[c] + clock_window(schema, c) for c in schema.clocks}
    tables = MarketTables.allocate(schema, room, DAY // schema.decision_interval)
    tables.first_row.append(0)
    return tables


def _shifted(known: Decisions, by: Mapping[str, int]) -> Decisions:
    """The decisions with their table rows counted from elsewhere."""
    row = {c: (rows + by[c]).astype(np.int32) for c, rows in known.row.items()}
    start = {c: (rows + by[c]).astype(np.int32) for c, rows in known.start.items()}
    return replace(known, row=row, start=start)
