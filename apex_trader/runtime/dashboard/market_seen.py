"""Candles and pivots as the trading run saw them: out of the rows in its journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.report.market_view import MINUTES, PRICES, Candles, Pivots, minute_bars
from apex_trader.execution.journal_tail import JournalTail
from apex_trader.execution.trade_journal import SeenRows, rows_schema, seen_rows
from apex_trader.state.excerpt import Excerpt
from apex_trader.state.pivots import TYPICAL_AGE
from apex_trader.state.schema import PIVOT_COLUMNS, PIVOT_LEVELS, PIVOT_MEMORY, Schema
from apex_trader.time import MINUTE

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

PIVOTS = "pivots"
#: The lowest level of a pivot that charts know; level 1 is every other bar.
LOWEST = 2
_PLACE = {column.name: i for i, column in enumerate(PIVOT_COLUMNS)}
#: Numbers between two stretches of bars that do not join; no pivot is remembered for as long.
_APART = 10_000_000
#: Prices that are relative to another base differ by less.
_ROUNDING = 1e-6
_LEVELS = np.arange(LOWEST, PIVOT_LEVELS + 1)


def _columns(what: str) -> I64:
    """[levels, memory]: where a value of each remembered pivot lies in a row of the table."""
    slots = range(1, PIVOT_MEMORY + 1)
    return np.array([[_PLACE[f"l{k}_p{i}_{what}"] for i in slots] for k in _LEVELS])


_KIND, _AGE, _DELAY = _columns("type"), _columns("age"), _columns("delay")


class MarketSeen:
    """Minute candles and confirmed pivots, bar after bar.

    Bars have a number of their own that goes on from one day's tables to the next, so a pivot
    that is confirmed after midnight finds the bar before it.
    """

    def __init__(self, journal: Path, schema: Schema) -> None:
        self._schema = schema
        self.charted = schema.has(MINUTES)
        wanted = {"day", "record", "decision", "ts", "from 1m", "last 1m", "anchor",
                  f"block {MINUTES}", f"block {PIVOTS}"}  # fmt: skip
        names = [name for name in rows_schema(schema).names if name in wanted]
        self._tail = JournalTail(journal, "rows", names)
        self._waiting: list[SeenRows] = []
        self._bases: dict[int, float] = {}
        self._day, self._shift = -1, 0
        self._new: list[Candles] = []
        self._last: Candles | None = None
        self._number: dict[int, int] = {}
        self._ts: dict[int, int] = {}
        self._found: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._candles = _joined([])

    def update(self, mark_at: Callable[[int], float]) -> bool:
        """Take what the journal gained; whether it did.

        mark_at: ln price at a decision (µs), NaN where unknown: the rows are relative to a base
        that it tells.
        """
        if not self.charted:
            return False
        gained = self._tail.read()
        if gained is not None:
            self._waiting += seen_rows(gained, self._schema)
        for seen in self._waiting:
            excerpt = seen.excerpt
            base = mark_at(int(excerpt.ts[-1])) - float(excerpt.columns["anchor"][-1, 0])
            if not np.isnan(base):
                self._bases.setdefault(seen.day, base)
        before = len(self._candles)
        while self._waiting and self._waiting[0].day in self._bases:
            self._take(self._waiting.pop(0))
        self._candles = _joined([self._candles, *self._new])
        self._new.clear()
        return gained is not None or len(self._candles) > before

    @property
    def candles(self) -> Candles:
        """All minute bars that decisions saw close."""
        return self._candles

    @property
    def pivots(self) -> Pivots:
        """Pivots of level 2 and up whose bar is among the candles."""
        candles, keys = self._candles, list(self._found)
        level = np.array([key[0] for key in keys], np.int8)
        kind = np.array([key[1] for key in keys], np.int8)
        ts = np.array([self._found[key][0] for key in keys], np.int64)
        known = np.array([self._found[key][1] for key in keys], np.int64)
        at = np.minimum(np.searchsorted(candles.ts, ts), max(len(candles) - 1, 0))
        price = np.where(kind > 0, candles.high[at], candles.low[at]) if len(keys) else np.empty(0)
        return Pivots(ts, known, price, kind, level)

    # --- inside ----------------------------------------------------------------------------

    def _take(self, seen: SeenRows) -> None:
        excerpt, begin = seen.excerpt, seen.excerpt.rows["1m"]
        table = excerpt.columns[f"block {MINUTES}"]
        if seen.day != self._day or excerpt.decision == 0:
            self._join(seen.day, table, begin)
        candles, rows = minute_bars(
            excerpt.ts, excerpt.columns["last 1m"] - begin, table, self._schema,
            self._bases[seen.day], seen.day,
        )  # fmt: skip
        numbers = rows + begin + self._shift
        new = np.flatnonzero([int(number) not in self._ts for number in numbers])
        self._ts |= dict(zip(numbers[new].tolist(), candles.ts[new].tolist(), strict=True))
        self._number |= dict(zip(candles.ts[new].tolist(), numbers[new].tolist(), strict=True))
        if len(new):
            self._new.append(_part(candles, new))
            self._last = self._new[-1]
        if f"block {PIVOTS}" in excerpt.columns:
            self._take_pivots(excerpt, begin)

    def _join(self, day: int, table: F32, begin: int) -> None:
        """Number the rows of tables that were begun anew behind those known: where the last known
        bar is among them (the last of a day is none that its decisions saw close)."""
        self._day = day
        # elsewhere none of them may be taken for a bar that is known
        self._shift = max(self._ts, default=0) + _APART - begin
        if self._last is None:
            return
        names = [column.name for column in self._schema.block(MINUTES).columns]
        last = [float(getattr(self._last, name)[-1]) for name in PRICES]
        columns = [names.index(name) for name in PRICES]
        prices = np.exp(table[:, columns].astype(np.float64) + self._bases[day])
        same = np.flatnonzero(np.isclose(prices, last, rtol=_ROUNDING, atol=0.0).all(axis=1))
        if len(same):
            self._shift = self._number[int(self._last.ts[-1])] - int(same[-1]) - begin

    def _take_pivots(self, excerpt: Excerpt, begin: int) -> None:
        table = excerpt.columns[f"block {PIVOTS}"]
        if not len(table):
            return
        kind = table[:, _KIND]
        scale = np.log1p(TYPICAL_AGE)[_LEVELS - 1][:, None]
        age, delay = (
            np.rint(np.expm1(table[:, where].astype(np.float64) * scale)).astype(np.int64)
            for where in (_AGE, _DELAY)
        )
        now = np.arange(len(table))[:, None, None] + begin + self._shift
        bar, known = now - age, now - age + delay
        level = np.broadcast_to(_LEVELS[:, None], kind.shape)
        there = kind != 0
        keys = np.stack([level[there], kind[there].astype(np.int64), bar[there], known[there]], 1)
        for one, side, at, when in np.unique(keys, axis=0).tolist():
            ts, confirmed = self._ts.get(at), self._ts.get(when)
            if ts is not None and confirmed is not None:
                self._found.setdefault((one, side, at), (ts, confirmed + MINUTE))


def _part(candles: Candles, rows: I64) -> Candles:
    return Candles(
        candles.span, candles.ts[rows], candles.open[rows], candles.high[rows], candles.low[rows],
        candles.close[rows],
    )  # fmt: skip


def _joined(parts: list[Candles]) -> Candles:
    def column(name: str) -> F64:
        values = [getattr(part, name) for part in parts]
        return np.concatenate(values) if values else np.empty(0)

    ts = column("ts").astype(np.int64)
    return Candles(MINUTE, ts, column("open"), column("high"), column("low"), column("close"))
