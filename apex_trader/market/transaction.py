"""One write to a store: all of it becomes visible at once, or none of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from apex_trader.errors import ApexError, DataError
from apex_trader.market import intervals
from apex_trader.market.checks import check
from apex_trader.market.files import Files, digest, encode
from apex_trader.market.kinds import (
    KINDS,
    Data,
    Kind,
    default_coverage,
    empty,
    kind_of,
    partition_bounds,
    partition_label,
    periods,
    to_arrow,
)
from apex_trader.market.manifest import (
    KindEntry,
    Manifest,
    MarketEntry,
    Partition,
    cover,
    describe,
    uncover,
)
from apex_trader.market.merge import Incoming, merge_keyed, merge_trades, replace_rows
from apex_trader.market.partition import REMEDY, partition_folder, read_partition
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import group_bounds, seconds_from_trades
from apex_trader.market.source import MarketInfo
from apex_trader.market.types import Bars, Trades

STORE_FILE = "store.json"
_PARTITION = re.compile(
    rf"exchange=([^/]+)/symbol=([^/]+)/kind=(?:{'|'.join(KINDS)})/date=[^/]+/part-[0-9a-f]+\.parquet"
)


@dataclass(frozen=True)
class WriteSummary:
    """What a write did: rows given, rows that were new, [start, end) µs that they speak for."""

    market: str
    kind: str
    rows: int
    new_rows: int
    covered: tuple[int, int]


class Transaction:
    """Writes that belong together; made by ``MarketStore.transaction()``.

    Partitions are put in place under names made of their content, and ``store.json``, which names
    the live ones, is replaced last: killed at any moment, the store is the one before or the one
    after. A new store's is also written first, empty. Superseded files are deleted at the end.
    """

    def __init__(self, files: Files, manifest: Manifest) -> None:
        self.files, self.manifest = files, manifest
        self._before = manifest.copy()
        self._live = live_files(manifest)
        self._written: set[str] = set()
        self._begins = False

    def write(
        self,
        market: str,
        data: Data,
        *,
        covered: tuple[int, int] | None = None,
        replace: bool = False,
        origin: str | None = None,
        row_offset: int = 0,
    ) -> WriteSummary:
        """Merge rows into the store.

        covered: [start, end) µs that these rows speak for; without it, from the first row to the
        end of the last. replace: these rows take the place of the held ones in that time; of a
        partition that can no longer be read nothing else is left, and the coverage says so.
        origin: file named in errors. Raises DataError on rows that are impossible or contradict
        what is there (nothing of the transaction is kept then).
        """
        kind = kind_of(data)
        name = origin or f"{market} {kind.name}"
        check(data, name, row_offset)
        span = default_coverage(data)
        if covered is not None:
            if len(data) and not (covered[0] <= span[0] and span[1] <= covered[1]):
                raise ApexError(f"{name}: rows lie outside the time that they are said to cover")
            span = covered
        entry = self.entry(market).kinds.setdefault(kind.name, KindEntry())
        new_rows = sum(
            self._write_partition(market, entry, label, part, replace)
            for label, part in _partitions(data, name, row_offset, span, entry, replace)
        )
        cover(entry, *span)
        return WriteSummary(market, kind.name, len(data), new_rows, span)

    def set_info(self, info: MarketInfo, *, given: Sequence[str] = ()) -> None:
        """Set what is known of a market. given: fields that a user chose, which imports keep."""
        entry = self.entry(info.market)
        entry.info = info
        entry.given = sorted({*entry.given, *given})

    def entry(self, market: str) -> MarketEntry:
        """The market's entry, made on first use."""
        split_market(market)
        return self.manifest.markets.setdefault(market, MarketEntry(MarketInfo(market)))

    def commit(self) -> None:
        """Make everything visible, then delete what was superseded."""
        if self._changed():
            self.files.write(STORE_FILE, self.manifest.dumps())
        live = live_files(self.manifest)
        for name in (self._live | self._written) - live:
            self.files.remove(name)

    def rollback(self) -> None:
        """Delete what was written; the store is as before."""
        for name in self._written - self._live:
            self.files.remove(name)
        if self._begins:
            self.files.remove(STORE_FILE)

    def _changed(self) -> bool:
        return self.manifest.dumps() != self._before.dumps() or self.files.read(STORE_FILE) is None

    def _write_partition(
        self, market: str, entry: KindEntry, label: str, new: Incoming, replaced: bool
    ) -> int:
        kind = kind_of(new.rows)
        held = self._held(market, kind, entry, label, replaced=replaced)
        if replaced:
            merged, added = replace_rows(held, new), len(new.rows)
        elif isinstance(held, Trades):
            merged, added = merge_trades(held, new, entry.covered())
        else:
            merged, added = merge_keyed(held, new)
        if merged is held:
            return added
        if len(merged) == 0:
            entry.partitions.pop(label, None)
            return added
        check(merged, new.origin)
        entry.partitions[label] = self._put(market, label, merged)
        return added

    def _held(
        self, market: str, kind: Kind, entry: KindEntry, label: str, *, replaced: bool
    ) -> Data:
        """The rows of a partition; none when it is replaced and cannot be read."""
        if label not in entry.partitions:
            return empty(kind.name)
        try:
            return read_partition(self.files, market, kind.name, label, entry.partitions[label])
        except (FileNotFoundError, DataError) as error:
            if not replaced:
                if isinstance(error, DataError):
                    raise
                raise DataError(str(error), "the file is missing", REMEDY) from None
            entry.partitions.pop(label)
            uncover(entry, *partition_bounds(kind, label))
            return empty(kind.name)

    def _put(self, market: str, label: str, data: Data) -> Partition:
        kind = kind_of(data)
        folder = partition_folder(market, kind.name, label)
        minutes = minute_bars(data, *partition_bounds(kind, label))
        part = self._put_file(folder, "part", data)
        minute_part = None if minutes is None else self._put_file(folder, "minutes", minutes)
        return describe(data, part, minute_part)

    def _begin(self) -> None:
        """A new store gets its list before its first file: so files without one have lost it."""
        if not self._begins and self.files.read(STORE_FILE) is None:
            self._begins = True
            self.files.write(STORE_FILE, Manifest().dumps())

    def _put_file(self, folder: str, stem: str, data: Data) -> str:
        content = encode(to_arrow(data))
        self._begin()
        name = f"{stem}-{digest(content)}.parquet"
        path = f"{folder}/{name}"
        # A live file of that name has this content, unless it was damaged since.
        if path not in self._live or self.files.read(path) != content:
            self.files.write(path, content)
        self._written.add(path)
        return name


def minute_bars(data: Data, start: int, end: int) -> Bars | None:
    """The 1 m bars of a partition of trades or seconds, whole or not; None for other kinds.

    They are kept beside the partition, so that years of ticks need not be read to know their
    minutes. Which of them are complete is judged from the coverage when they are read.
    """
    if isinstance(data, Trades):
        seconds = seconds_from_trades(data)
    elif isinstance(data, Bars) and data.clock == "1s":
        return resample(data, "1m", intervals.one(start, end))
    else:
        return None
    return resample(bars_from_seconds(seconds), "1m", intervals.one(start, end))


def split_market(market: str) -> tuple[str, str]:
    """("exchange", "SYMBOL") of a market's name. ApexError when it is none."""
    exchange, colon, symbol = market.partition(":")
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    if not (colon and exchange and symbol and set(exchange + symbol) <= allowed):
        raise ApexError(
            f"{market!r} is not a market: write exchange:SYMBOL, for example binance:ETHUSDT"
        )
    return exchange, symbol


def orphaned(files: Files) -> list[str]:
    """Markets with partitions in the folder of a store, whatever its list says, sorted."""
    return sorted({
        f"{found[1]}:{found[2]}"
        for name in files.listing(deep=True)
        if (found := _PARTITION.fullmatch(name)) is not None
    })  # fmt: skip


def live_files(manifest: Manifest) -> set[str]:
    """Names of all files that a manifest counts as part of the store."""
    return {
        f"{partition_folder(market, kind, label)}/{name}"
        for market, entry in manifest.markets.items()
        for kind, held in entry.kinds.items()
        for label, partition in held.partitions.items()
        for name in (partition.part, partition.minutes)
        if name is not None
    }


def _partitions(
    data: Data, origin: str, offset: int, span: tuple[int, int], entry: KindEntry, replaced: bool
) -> list[tuple[str, Incoming]]:
    """The rows of each partition; when replacing, also partitions that lose their rows."""
    kind = kind_of(data)
    out = []
    bounds = group_bounds(periods(kind, data.ts))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        label = partition_label(kind, int(data.ts[start]))
        low, high = partition_bounds(kind, label)
        part = (max(span[0], low), min(span[1], high))
        out.append((label, Incoming(data.slice(start, stop), origin, offset + start, part)))
    if replaced:
        named = {label for label, _ in out}
        for label in sorted(set(entry.partitions) - named):
            low, high = partition_bounds(kind, label)
            if low < span[1] and span[0] < high:
                part = (max(span[0], low), min(span[1], high))
                out.append((label, Incoming(empty(kind.name), origin, offset, part)))
    return out
