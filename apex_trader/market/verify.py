"""Reading a whole store anew and checking it: files, rows, and sources against each other.

A violation is data that cannot be right: a file that is not what ``store.json`` says, an
impossible row, ticks far outside the bar of their own minute. A warning is a source's own quirk,
with its count: bars next to a hole that were built from fewer minutes, ticks that hold a part of
the volume, time that is not covered. Each names file and row, and what mends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import DataError
from apex_trader.market import intervals
from apex_trader.market.files import digest
from apex_trader.market.finding import Finding
from apex_trader.market.gaps import Gaps
from apex_trader.market.kinds import KINDS, Data, kind_of, partition_bounds, partition_label
from apex_trader.market.leftovers import leftovers, unfinished
from apex_trader.market.manifest import Partition, describe
from apex_trader.market.mend import days_of, mending
from apex_trader.market.partition import partition_folder, read_minutes, read_partition
from apex_trader.market.resample import resample
from apex_trader.market.store import BEGINNING, FOREVER, MarketStore
from apex_trader.market.transaction import minute_bars
from apex_trader.market.types import Bars
from apex_trader.time import format_time

#: Relative difference of volumes that is more than the rounding of a sum.
ROUNDING = 1e-9
#: Beyond these shares a finer source contradicts a bar. Exchanges revise: real minutes differ from
#: real ticks by 0.004%, and real hours from real minutes by 1.3% in a price and 30% in volume.
MINUTE_PRICE, MINUTE_VOLUME, LONG_PRICE = 0.001, 0.01, 0.05
PRICES = ("open", "high", "low", "close")


def verify(store: MarketStore, markets: list[str] | None = None) -> Iterator[Finding | str]:
    """Check markets (all by default), yielding findings, and a line of text as each part begins."""
    for market in markets or store.markets():
        intact = True
        for kind in store.kinds(market):
            yield f"{market} {kind}"
            for finding in _verify_kind(store, market, kind):
                intact &= not finding.violation
                yield finding
        if intact:
            yield f"{market}: sources against each other"
            yield from _verify_agreement(store, market)
    if markets is None:
        yield from _left_over(store)


def _verify_kind(store: MarketStore, market: str, kind: str) -> Iterator[Finding]:
    last: int | None = None
    entry = store.entry(market).kinds[kind]
    gaps = Gaps(store, market, kind)
    for label, partition in sorted(entry.partitions.items()):
        place = store.files.path(f"{partition_folder(market, kind, label)}/{partition.part}")
        mend = _mend_partition(store, market, kind, partition)
        try:
            data = read_partition(store.files, market, kind, label, partition)
        except FileNotFoundError:
            yield Finding(True, place, "the file is missing", mend)
            continue
        except DataError as error:
            row = "" if error.row is None else f"row {error.row}: "
            yield Finding(True, place, row + error.reason, mend)
            continue
        yield from _verify_partition(store, market, label, partition, data, place, mend)
        if last is not None and data.ts[0] < last:
            yield Finding(True, place, f"row 0 at {format_time(int(data.ts[0]))} lies before the "
                          "end of the partition before it", mend)  # fmt: skip
        last = int(data.ts[-1])
        gaps.add(label, data, place)
    yield from _verify_coverage(store, market, kind)
    yield from gaps.findings()


def _verify_coverage(store: MarketStore, market: str, kind: str) -> Iterator[Finding]:
    """Every partition lies in time that is said to be covered."""
    entry = store.entry(market).kinds[kind]
    outside = np.array([
        [p.first, p.last + 1]
        for p in entry.partitions.values()
        if len(intervals.clip(entry.covered(), p.first, p.last + 1)) == 0
    ], np.int64).reshape(-1, 2)  # fmt: skip
    if len(outside):
        yield Finding(True, f"{market} {kind}", "store.json has rows that no coverage speaks for",
                      mending(store, market, [kind], outside))  # fmt: skip


def _mend_partition(store: MarketStore, market: str, kind: str, partition: Partition) -> str:
    return mending(store, market, [kind], intervals.one(partition.first, partition.last + 1))


def _verify_partition(
    store: MarketStore, market: str, label: str, partition: Partition, data: Data, place: str,
    mend: str,
) -> Iterator[Finding]:  # fmt: skip
    kind = kind_of(data)
    low, high = partition_bounds(kind, label)
    if data.ts[0] < low or data.ts[-1] >= high:
        row = 0 if data.ts[0] < low else int(np.searchsorted(data.ts, high))
        yield Finding(True, place, f"row {row} at {format_time(int(data.ts[row]))} does not belong "
                      f"into the partition {label}", mend)  # fmt: skip
    if describe(data, partition.part, partition.minutes) != partition:
        yield Finding(True, place, "its rows do not give the figures that store.json lists", mend)
    name = f"{partition_folder(market, kind.name, label)}/{partition.part}"
    if digest(store.files.read(name) or b"") not in partition.part:
        yield Finding(True, place, "its content is not the one that its name stands for", mend)
    yield from _verify_minutes(store, market, label, partition, data, mend)


def _verify_minutes(
    store: MarketStore, market: str, label: str, partition: Partition, data: Data, mend: str
) -> Iterator[Finding]:
    """The 1 m bars kept beside ticks are those of the ticks."""
    kind = kind_of(data)
    made = minute_bars(data, *partition_bounds(kind, label))
    if made is None or partition.minutes is None:
        return
    name = f"{partition_folder(market, kind.name, label)}/{partition.minutes}"
    place = store.files.path(name)
    try:
        kept = read_minutes(store.files, market, kind.name, label, partition)
    except (FileNotFoundError, DataError) as error:
        yield Finding(True, place, f"unreadable ({error})", mend)
        return
    if kept is None or not np.array_equal(kept.ts, made.ts):
        yield Finding(True, place, "its minutes are not those of the rows beside it", mend)
        return
    for field in (*PRICES, "volume"):
        wrong = getattr(kept, field) != getattr(made, field)
        if wrong.any():
            yield Finding(True, place, f"row {int(np.argmax(wrong))}, field {field!r}: not what "
                          "the rows beside it give", mend)  # fmt: skip


def _verify_agreement(store: MarketStore, market: str) -> Iterator[Finding]:
    """Finer sources re-aggregated, against the coarser ones that the store also has."""
    held = store.kinds(market)
    for finer, coarser in (
        ("trades", "1m"), ("1s", "1m"), ("1m", "1h"), ("1m", "1d"), ("1h", "1d"),
    ):  # fmt: skip
        if finer in held and coarser in held:
            covered = store.coverage(market, finer)
            bars = (
                store.tick_minutes(market, finer)
                if coarser == "1m"
                else store.read_bars(market, finer)
            )
            made = resample(bars, coarser, covered)
            theirs = store.read_bars(market, coarser, BEGINNING, FOREVER)
            yield from _compare(Pair(store, market, finer, coarser), made, theirs, covered)


@dataclass(frozen=True)
class Pair:
    """Two sources of one market that are held against each other."""

    store: MarketStore
    market: str
    finer: str
    coarser: str

    def finding(
        self, ts: NDArray[np.int64], bars: Bars, which: NDArray[np.bool_], text: str,
        kinds: Sequence[str], *, violation: bool = False,
    ) -> Finding:  # fmt: skip
        """``which`` of the coarser bars at ``ts`` something is to be said of; of which kinds a
        download may mend it. ``bars``: all of that clock."""
        place = f"{self.market} {self.finer} against {self.coarser}"
        count = f"{int(which.sum()):,} of {len(ts):,} {self.coarser} bars {text}"
        first = int(ts[np.argmax(which)])
        mend = mending(self.store, self.market, kinds, days_of(ts[which]))
        return Finding(
            violation, place, f"{count} (first {format_time(first)}, {self._row(bars, first)})",
            mend,
        )  # fmt: skip

    def _row(self, bars: Bars, time: int) -> str:
        """File and row of the coarser bar at a time."""
        kind = KINDS[self.coarser]
        label = partition_label(kind, time)
        start = partition_bounds(kind, label)[0]
        row = int(np.searchsorted(bars.ts, time) - np.searchsorted(bars.ts, start))
        entry = self.store.entry(self.market).kinds[self.coarser].partitions[label]
        folder = partition_folder(self.market, self.coarser, label)
        return f"row {row} of {self.store.files.path(f'{folder}/{entry.part}')}"


def _compare(pair: Pair, made: Bars, theirs: Bars, covered: NDArray[np.int64]) -> Iterator[Finding]:
    shared, mine, other = np.intersect1d(made.ts, theirs.ts, return_indices=True)
    if len(shared) == 0:
        return
    prices = np.zeros(len(shared), np.bool_)
    for name in PRICES:
        prices |= getattr(made, name)[mine] != getattr(theirs, name)[other]
    a, b = made.volume[mine], theirs.volume[other]
    volumes = np.abs(a - b) > ROUNDING * np.maximum(a, b)
    impossible = _contradicts(made, theirs, mine, other, pair.coarser)
    if impossible.any():
        yield pair.finding(shared, theirs, impossible, "contradict the finer source: it has prices "
                           "far outside them, or more volume; one of the two is wrong",
                           [pair.finer, pair.coarser], violation=True)  # fmt: skip
    rest = (prices | volumes) & ~impossible
    if rest.any():
        share = a[rest].sum() / b[rest].sum() if b[rest].sum() > 0 else 1.0
        yield pair.finding(shared, theirs, rest, "differ (built from fewer rows, or revised); the "
                           f"finer source holds {share:.1%} of their volume",
                           [pair.finer])  # fmt: skip
    lacking = intervals.covers(covered, theirs.ts, theirs.step) & (theirs.volume > 0)
    lacking &= ~np.isin(theirs.ts, made.ts)
    if lacking.any():
        yield pair.finding(theirs.ts, theirs, lacking, "have volume where the finer source, which "
                           "covers that time, has no row: a hole in it",
                           [pair.finer])  # fmt: skip


def _contradicts(
    made: Bars, theirs: Bars, mine: NDArray[np.int64], other: NDArray[np.int64], coarser: str
) -> NDArray[np.bool_]:
    """Bars that cannot both be right, well beyond what sources revise."""
    price = MINUTE_PRICE if coarser == "1m" else LONG_PRICE
    high, low = theirs.high[other] * (1 + price), theirs.low[other] * (1 - price)
    wrong = (made.high[mine] > high) | (made.low[mine] < low)
    if coarser == "1m":
        wrong |= made.volume[mine] > theirs.volume[other] * (1 + MINUTE_VOLUME) + ROUNDING
    # A carried price may be stale.
    out: NDArray[np.bool_] = wrong & (theirs.volume[other] > 0)
    return out


def _left_over(store: MarketStore) -> Iterator[Finding]:
    """Files of interrupted writes and downloads: not part of the store, and never read."""
    extra, begun = leftovers(store), unfinished(store)
    if extra:
        yield Finding(
            False, store.files.path(extra[0]), f"{len(extra)} files are not part of the store, "
            "perhaps left by an interrupted import", "delete them",
        )  # fmt: skip
    if begun:
        yield Finding(
            False, store.files.path(begun[0]), f"{len(begun)} files of an interrupted download",
            "run that download again: it goes on where it stopped",
        )  # fmt: skip
