"""Merging new rows with those a store holds: equal rows are known, contradicting ones refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import DataError
from apex_trader.market import intervals
from apex_trader.market.checks import same
from apex_trader.market.kinds import Data, columns, concatenate, from_columns, kind_of
from apex_trader.market.types import I64, Trades
from apex_trader.time import format_time

REMEDY = (
    "Check which one is right; --replace puts the file's rows in place of the store's for the "
    "time that the file covers"
)


@dataclass(frozen=True)
class Incoming:
    """Rows on their way into a store.

    origin: file that they come from; offset: its row number of the first of them.
    covered: [start, end) µs that the file speaks for.
    """

    rows: Data
    origin: str
    offset: int
    covered: tuple[int, int]


def replace_rows(held: Data, new: Incoming) -> Data:
    """The held rows outside the time that the new ones cover, and the new rows."""
    kind = kind_of(new.rows).name
    low, high = np.searchsorted(held.ts, new.covered)
    before, after = held.slice(0, int(low)), held.slice(int(high), len(held))
    return concatenate(kind, [before, new.rows, after])


def merge_keyed(held: Data, new: Incoming) -> tuple[Data, int]:
    """Merge rows with unique times (bars, funding): (all rows, number of new ones).

    At one time both may have a row: it must be equal. A value may take the place of a NaN, so a
    source that knows more can complete one that knew less.
    """
    kind = kind_of(new.rows).name
    place = np.searchsorted(held.ts, new.rows.ts)
    known = np.zeros(len(new.rows), np.bool_)
    inside = place < len(held)
    known[inside] = held.ts[place[inside]] == new.rows.ts[inside]
    mine, theirs = np.flatnonzero(known), place[known]
    old, fresh = columns(held), columns(new.rows)
    for name in fresh:
        if name in old:
            _refuse_contradiction(old[name][theirs], fresh[name][mine], mine, new, name)
    completed = _complete(old, fresh, theirs, mine)
    if known.all() and not completed:
        return held, 0
    merged = concatenate(kind, [from_columns(kind, completed or old), _take(new.rows, ~known)])
    return _take(merged, np.argsort(merged.ts, kind="stable")), int((~known).sum())


def merge_trades(held: Trades, new: Incoming, known: I64) -> tuple[Trades, int]:
    """Merge trades: (all trades, number of new ones).

    known: [k, 2] intervals that the store's trades speak for. Trades have no key: identical rows
    are different fills. So inside the time that both speak for, the rows must be the same ones, in
    the same order; the rest is new. Where both have exchange ids, trades at the very edges of an
    interval may be new, since a recording can be cut inside one timestamp; and of a time in whole
    milliseconds and one in microseconds of the same trade the finer one counts.
    """
    rows = new.rows
    assert isinstance(rows, Trades)
    if held.id is not None and rows.id is not None and len(held) and len(rows):
        return _merge_by_id(held, rows, new, known)
    fresh = np.ones(len(rows), np.bool_)
    for start, end in intervals.clip(known, *new.covered).tolist():
        low, high = (int(i) for i in np.searchsorted(rows.ts, [start, end]))
        _refuse_different_trades(held.between(start, end), rows.slice(low, high), low, new)
        fresh[low:high] = False
    if not fresh.any():
        return held, 0
    merged = concatenate("trades", [held, _take(rows, fresh)])
    ordered = _take(merged, np.argsort(merged.ts, kind="stable"))
    assert isinstance(ordered, Trades)
    return ordered, int(fresh.sum())


def _merge_by_id(given: Trades, rows: Trades, new: Incoming, known: I64) -> tuple[Trades, int]:
    assert given.id is not None
    assert rows.id is not None
    _, theirs, mine = np.intersect1d(given.id, rows.id, assume_unique=True, return_indices=True)
    held, rows = _in_finer_time(given, rows, theirs, mine)
    assert rows.id is not None
    old, fresh = columns(held), columns(rows)
    for name in ("ts", "price", "amount", "side"):
        _refuse_contradiction(old[name][theirs], fresh[name][mine], mine, new, name)
    start = max(int(held.ts[0]), int(rows.ts[0]))
    end = min(int(held.ts[-1]), int(rows.ts[-1]))
    unknown = np.ones(len(rows), np.bool_)
    unknown[mine] = False
    if len(mine):
        extra = np.flatnonzero(
            unknown & (rows.ts > start) & (rows.ts < end) & intervals.covers(known, rows.ts, 1)
        )
        if len(extra):
            raise DataError(
                new.origin, f"id {rows.id[extra[0]]} is missing in the store, which holds the "
                "trades around it: these are different recordings", REMEDY,
                row=int(extra[0]) + new.offset, field="id",
            )  # fmt: skip
    if not unknown.any():
        return held, 0
    merged = concatenate("trades", [held, _take(rows, unknown)])
    assert isinstance(merged, Trades)
    assert merged.id is not None
    ordered = _take(merged, np.argsort(merged.id, kind="stable"))
    back = np.flatnonzero(np.diff(ordered.ts) < 0)
    if len(back):
        raise DataError(
            new.origin, f"its trade ids do not follow the store's in time, near "
            f"{format_time(int(ordered.ts[back[0]]))}: ids of another kind or symbol", REMEDY,
            field="id",
        )  # fmt: skip
    assert isinstance(ordered, Trades)
    return ordered, int(unknown.sum())


def _in_finer_time(held: Trades, rows: Trades, theirs: I64, mine: I64) -> tuple[Trades, Trades]:
    """Both with the microseconds of a trade that one of them has in whole milliseconds.

    Exchanges state milliseconds on their streams, and microseconds in their archives.
    """
    a, b = held.ts[theirs], rows.ts[mine]
    rounded = (a != b) & (a // 1000 == b // 1000) & ((a % 1000 == 0) | (b % 1000 == 0))
    if not rounded.any():
        return held, rows
    finer = np.maximum(a, b)[rounded]
    ours, new = held.ts.copy(), rows.ts.copy()
    ours[theirs[rounded]], new[mine[rounded]] = finer, finer
    changed = bool((finer != a[rounded]).any())
    return replace(held, ts=ours) if changed else held, replace(rows, ts=new)


def _refuse_different_trades(held: Data, rows: Data, row: int, new: Incoming) -> None:
    shared = min(len(held), len(rows))
    old, fresh = columns(held.slice(0, shared)), columns(rows.slice(0, shared))
    index = np.arange(row, row + shared)
    for name in ("ts", "price", "amount", "side"):
        _refuse_contradiction(old[name], fresh[name], index, new, name)
    if len(held) != len(rows):
        raise DataError(
            new.origin, f"it has {len(rows):,} trades where the store already holds "
            f"{len(held):,} for the same time", REMEDY, row=row + shared + new.offset,
        )  # fmt: skip


def _refuse_contradiction(
    old: NDArray[np.generic], fresh: NDArray[np.generic], row: NDArray[np.int64] | NDArray[np.intp],
    new: Incoming, name: str,
) -> None:  # fmt: skip
    wrong = ~same(old, fresh)
    if old.dtype.kind == "f":
        wrong &= ~(np.isnan(old) | np.isnan(fresh))
    if wrong.any():
        at = int(np.argmax(wrong))
        time = format_time(int(new.rows.ts[row[at]]))
        raise DataError(
            new.origin, f"{fresh[at]} at {time} contradicts {old[at]}, which the store already "
            "holds", REMEDY, row=int(row[at]) + new.offset, field=name,
        )  # fmt: skip


def _complete(
    old: dict[str, NDArray[np.generic]], fresh: dict[str, NDArray[np.generic]],
    theirs: NDArray[np.intp], mine: NDArray[np.intp],
) -> dict[str, NDArray[np.generic]] | None:  # fmt: skip
    """The old columns with NaN replaced where the fresh ones have a value; None: no change."""
    out, changed = dict(old), False
    for name, values in fresh.items():
        if values.dtype.kind != "f":
            continue
        length = len(old["ts"])
        column = np.array(out.get(name, np.full(length, np.nan)), np.float64)
        lacking = np.isnan(column[theirs]) & ~np.isnan(values[mine])
        if lacking.any():
            column[theirs[lacking]] = values[mine[lacking]]
            out[name], changed = column, True
    return out if changed else None


def _take(rows: Data, index: NDArray[np.bool_] | NDArray[np.intp]) -> Data:
    kind = kind_of(rows).name
    return from_columns(kind, {n: v[index] for n, v in columns(rows).items()})
