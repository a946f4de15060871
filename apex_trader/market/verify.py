"""Reading a whole store anew and checking it: files, rows, and sources against each other.

A violation is data that cannot be right: a file that is not what ``store.json`` says, an
impossible row, ticks far outside the bar of their own minute. A warning is a source's own quirk,
with its count: bars next to a hole that were built from fewer minutes, ticks that hold a part of
the volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import DataError
from apex_trader.market import intervals
from apex_trader.market.files import digest
from apex_trader.market.kinds import Data, kind_of, partition_bounds
from apex_trader.market.leftovers import leftovers
from apex_trader.market.manifest import Partition, describe
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


@dataclass(frozen=True)
class Finding:
    """One thing that was found. violation: it cannot be right; otherwise a quirk worth knowing."""

    violation: bool
    place: str
    text: str

    def __str__(self) -> str:
        return f"{'violation' if self.violation else 'warning'}: {self.place}: {self.text}"


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
    for label, partition in sorted(entry.partitions.items()):
        place = store.files.path(f"{partition_folder(market, kind, label)}/{partition.part}")
        try:
            data = read_partition(store.files, market, kind, label, partition)
        except FileNotFoundError:
            yield Finding(True, place, "the file is missing. Import that period with --replace")
            continue
        except DataError as error:
            yield Finding(True, place, str(error).removeprefix(place).lstrip(":, "))
            continue
        yield from _verify_partition(store, market, label, partition, data, place)
        if last is not None and data.ts[0] < last:
            yield Finding(True, place, f"row 0 at {format_time(int(data.ts[0]))} lies before the "
                          "end of the partition before it")  # fmt: skip
        last = int(data.ts[-1])
    outside = ~np.array([
        len(intervals.clip(entry.covered(), p.first, p.last + 1)) > 0
        for p in entry.partitions.values()
    ])  # fmt: skip
    if outside.any():
        yield Finding(True, f"{market} {kind}", "store.json has rows that no coverage speaks for")


def _verify_partition(
    store: MarketStore, market: str, label: str, partition: Partition, data: Data, place: str
) -> Iterator[Finding]:
    kind = kind_of(data)
    low, high = partition_bounds(kind, label)
    if data.ts[0] < low or data.ts[-1] >= high:
        row = 0 if data.ts[0] < low else int(np.searchsorted(data.ts, high))
        yield Finding(True, place, f"row {row} at {format_time(int(data.ts[row]))} does not belong "
                      f"into the partition {label}")  # fmt: skip
    if describe(data, partition.part, partition.minutes) != partition:
        yield Finding(True, place, "its rows do not give the figures that store.json lists")
    name = f"{partition_folder(market, kind.name, label)}/{partition.part}"
    if digest(store.files.read(name) or b"") not in partition.part:
        yield Finding(True, place, "its content is not the one that its name stands for")
    yield from _verify_minutes(store, market, label, partition, data)


def _verify_minutes(
    store: MarketStore, market: str, label: str, partition: Partition, data: Data
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
        yield Finding(True, place, f"unreadable ({error}). Import that period with --replace")
        return
    if kept is None or not np.array_equal(kept.ts, made.ts):
        yield Finding(True, place, "its minutes are not those of the rows beside it")
        return
    for field in (*PRICES, "volume"):
        wrong = getattr(kept, field) != getattr(made, field)
        if wrong.any():
            yield Finding(True, place, f"row {int(np.argmax(wrong))}, field {field!r}: not what "
                          "the rows beside it give")  # fmt: skip


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
            yield from _compare(market, finer, coarser, made, theirs, covered)


def _compare(
    market: str, finer: str, coarser: str, made: Bars, theirs: Bars, covered: NDArray[np.int64]
) -> Iterator[Finding]:
    place = f"{market} {finer} against {coarser}"
    shared, mine, other = np.intersect1d(made.ts, theirs.ts, return_indices=True)
    if len(shared) == 0:
        return
    prices = np.zeros(len(shared), np.bool_)
    for name in PRICES:
        prices |= getattr(made, name)[mine] != getattr(theirs, name)[other]
    a, b = made.volume[mine], theirs.volume[other]
    volumes = np.abs(a - b) > ROUNDING * np.maximum(a, b)
    impossible = _contradicts(made, theirs, mine, other, coarser)
    if impossible.any():
        yield _finding(True, place, shared, impossible, coarser, "contradict the finer source: it "
                       "has prices far outside them, or more volume. One of the two is wrong: "
                       "import it again with --replace")  # fmt: skip
    rest = (prices | volumes) & ~impossible
    if rest.any():
        share = a[rest].sum() / b[rest].sum() if b[rest].sum() > 0 else 1.0
        yield _finding(False, place, shared, rest, coarser, "differ (built from fewer rows, or "
                       f"revised); the finer source holds {share:.1%} of their volume")  # fmt: skip
    lacking = intervals.covers(covered, theirs.ts, theirs.step) & (theirs.volume > 0)
    lacking &= ~np.isin(theirs.ts, made.ts)
    if lacking.any():
        yield _finding(False, place, theirs.ts, lacking, coarser, "have volume where the finer "
                       "source, which covers that time, has no row: a hole in it")  # fmt: skip


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


def _finding(
    violation: bool, place: str, ts: NDArray[np.int64], which: NDArray[np.bool_], clock: str,
    text: str,
) -> Finding:  # fmt: skip
    first = format_time(int(ts[np.argmax(which)]))
    count = f"{int(which.sum()):,} of {len(ts):,} {clock} bars {text}"
    return Finding(violation, place, f"{count} (first {first})")


def _left_over(store: MarketStore) -> Iterator[Finding]:
    """Files of interrupted writes: not part of the store, and never read."""
    extra = leftovers(store)
    if extra:
        yield Finding(False, store.files.path(extra[0]), f"{len(extra)} files are not part of the "
                      "store, left by an interrupted import: they can be deleted")  # fmt: skip
