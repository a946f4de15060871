"""The market store: trades, bars and funding of many markets as Parquet partitions.

Layout: ``exchange=E/symbol=S/kind=K/date=D/part-<digest>.parquet``, D one UTC day for trades and
1 s, one month for 1 m, one year for 1 h, 1 d and funding; beside ticks and seconds,
``minutes-<digest>.parquet``, their 1 m bars. Times are microseconds UTC everywhere in it.
``store.json`` names the files that belong to the store, and is replaced last.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import numpy as np

from apex_trader.errors import ApexError, DataError
from apex_trader.market import intervals
from apex_trader.market.files import Files
from apex_trader.market.kinds import KINDS, Data, concatenate, kind_named, partition_bounds
from apex_trader.market.manifest import KindEntry, Manifest, MarketEntry
from apex_trader.market.partition import read_minutes, read_partition
from apex_trader.market.seconds import (
    concatenate_seconds,
    merge_seconds,
    seconds_from_bars,
    seconds_from_trades,
)
from apex_trader.market.source import MarketInfo
from apex_trader.market.transaction import STORE_FILE, Transaction, WriteSummary, orphaned
from apex_trader.market.types import I64, Bars, Funding, Seconds, Trades
from apex_trader.time import CLOCKS, DAY, MINUTE, SECOND

#: Before and after every time that a market can have.
BEGINNING, FOREVER = 0, int(np.iinfo(np.int64).max)
T = TypeVar("T")
#: What to do about a store without its list.
LOST = (
    "Put it back from a copy. The files alone do not say which of them count, which time they "
    "speak for, or what a synthetic market is made of, so it cannot be made again from them: "
    "without a copy, move the folder away and fill a new one with `data download`, `import` or "
    "`synthesize`"
)


class MarketStore:
    """A store at a folder or an fsspec URL. A place that does not exist yet is an empty store.

    Reading is safe in any number of processes while one writes. The object is small and can be
    pickled.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.files = Files(url)
        self._manifest: Manifest | None = None

    @property
    def url(self) -> str:
        """Where the store is, as it was given."""
        return self.files.url

    @property
    def manifest(self) -> Manifest:
        """What the store holds, as of the last ``reload``. DataError when its list is lost."""
        if self._manifest is None:
            content = self.files.read(STORE_FILE)
            if content is None and (orphans := orphaned(self.files)):
                # Perhaps another process began the store just now.
                content = self.files.read(STORE_FILE)
                if content is None:
                    raise DataError(
                        self.files.path(STORE_FILE), "the list of the store's markets is missing, "
                        f"though files of {' and '.join(orphans)} are there", LOST,
                    )  # fmt: skip
            self._manifest = Manifest.loads(content, self.files.path(STORE_FILE))
        return self._manifest

    def reload(self) -> None:
        """Look at the store anew: another process may have written to it."""
        self._manifest = None

    def viewing(self, manifest: Manifest) -> MarketStore:
        """The store as another manifest describes it, such as a transaction's own."""
        view = MarketStore(self.url)
        view._manifest = manifest
        return view

    # -- what there is ------------------------------------------------------------------------

    def markets(self) -> list[str]:
        """Names ("exchange:SYMBOL") of the markets with data, sorted."""
        held = self.manifest.markets.items()
        return sorted(
            name for name, entry in held if any(k.partitions for k in entry.kinds.values())
        )

    def entry(self, market: str) -> MarketEntry:
        """The market's part of the manifest; ApexError names similar markets when there is none."""
        if market not in self.manifest.markets:
            raise ApexError(self._unknown(market))
        return self.manifest.markets[market]

    def info(self, market: str) -> MarketInfo:
        """What is known of a market."""
        return self.entry(market).info

    def kinds(self, market: str) -> list[str]:
        """The kinds of data that a market has, finest first."""
        held = self.entry(market).kinds
        return [name for name in KINDS if name in held and held[name].partitions]

    def coverage(self, market: str, kind: str) -> I64:
        """[k, 2] intervals (µs) in which every event of that kind is in the store.

        An absent row inside one is a true absence. Ticks cover whole seconds (the second of a
        file's first and last trade counts as whole), and recordings whose ends lie within a minute
        are one.
        """
        described = kind_named(kind)
        held = self.entry(market).kinds.get(kind, KindEntry()).covered()
        if kind == "trades":
            held = intervals.round_out(held, SECOND)
        return intervals.union(held, tolerance=described.join)

    def days(self, market: str, kind: str) -> list[int]:
        """Starts (µs) of the UTC days that have partitions of a daily kind."""
        labels = self.entry(market).kinds.get(kind, KindEntry()).partitions
        return sorted(partition_bounds(kind_named(kind), label)[0] for label in labels)

    # -- reading ------------------------------------------------------------------------------

    def read_trades(self, market: str, start: int = BEGINNING, end: int = FOREVER) -> Trades:
        """Trades with start <= ts < end, in exchange order."""
        return cast(Trades, self._read(market, "trades", start, end))

    def read_bars(
        self, market: str, clock: str, start: int = BEGINNING, end: int = FOREVER
    ) -> Bars:
        """Imported bars of one clock that open in [start, end)."""
        if clock not in CLOCKS:
            kind_named(clock if clock not in KINDS else f"{clock} bars")
        return cast(Bars, self._read(market, clock, start, end))

    def read_funding(self, market: str, start: int = BEGINNING, end: int = FOREVER) -> Funding:
        """Funding payments in [start, end)."""
        return cast(Funding, self._read(market, "funding", start, end))

    def read_seconds(self, market: str, start: int = BEGINNING, end: int = FOREVER) -> Seconds:
        """Second rows with start <= ts < end (only whole seconds): of ticks, else of 1 s bars.

        The rows do not depend on where the reading starts: a second's first inter-arrival time is
        measured to the trade before it, wherever that lies, unless a hole in the recording does.
        """
        end = end // SECOND * SECOND
        start = -(-start // SECOND) * SECOND
        parts = []
        for low, high in self.coverage(market, "trades").tolist():
            first, last = max(low, start), min(high, end)
            if first < last:
                trades = self.read_trades(market, first, last)
                previous = self._trade_before(market, low, first)
                parts.append(seconds_from_trades(trades, previous))
        rows = concatenate_seconds(parts)
        if "1s" in self.kinds(market):
            rows = merge_seconds(rows, seconds_from_bars(self.read_bars(market, "1s", start, end)))
        return rows

    def tick_minutes(
        self, market: str, kind: str, start: int = BEGINNING, end: int = FOREVER
    ) -> Bars:
        """1 m bars of the market's ``trades`` or ``1s`` that open in [start, end), whole or not.

        Which of them are complete, ``coverage`` tells.
        """

        def read(label: str, entry: KindEntry) -> Bars | None:
            return read_minutes(self.files, market, kind, label, entry.partitions[label])

        # A minute's first trade may come after its open: a partition that begins so counts too.
        within = -(-end // MINUTE) * MINUTE if end < FOREVER else end
        parts = self._partitions(market, kind, start, within, read)
        bars = cast(Bars, concatenate("1m", [part for part in parts if part is not None]))
        return bars.between(start, end)

    # -- writing ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Writes that become visible together, or not at all when an error ends the block."""
        with self.files.lock():
            self.reload()
            transaction = Transaction(self.files, self.manifest.copy())
            try:
                yield transaction
                transaction.commit()
            except BaseException:
                transaction.rollback()
                raise
            finally:
                self.reload()

    def write_trades(
        self,
        market: str,
        trades: Trades,
        *,
        covered: tuple[int, int] | None = None,
        replace: bool = False,
        origin: str | None = None,
    ) -> WriteSummary:
        """Merge trades into the store; see ``Transaction.write``."""
        return self._write(market, trades, covered, replace, origin)

    def write_bars(
        self,
        market: str,
        bars: Bars,
        *,
        covered: tuple[int, int] | None = None,
        replace: bool = False,
        origin: str | None = None,
    ) -> WriteSummary:
        """Merge bars into the store; see ``Transaction.write``."""
        return self._write(market, bars, covered, replace, origin)

    def write_funding(
        self,
        market: str,
        funding: Funding,
        *,
        covered: tuple[int, int] | None = None,
        replace: bool = False,
        origin: str | None = None,
    ) -> WriteSummary:
        """Merge funding payments into the store; see ``Transaction.write``."""
        return self._write(market, funding, covered, replace, origin)

    def set_info(self, info: MarketInfo, *, given: Sequence[str] = ()) -> None:
        """Set what is known of a market; see ``Transaction.set_info``."""
        with self.transaction() as transaction:
            transaction.set_info(info, given=given)

    # -- inside -------------------------------------------------------------------------------

    def _write(
        self, market: str, data: Data, covered: tuple[int, int] | None, replace: bool,
        origin: str | None,
    ) -> WriteSummary:  # fmt: skip
        with self.transaction() as transaction:
            return transaction.write(market, data, covered=covered, replace=replace, origin=origin)

    def _read(self, market: str, kind: str, start: int, end: int) -> Data:
        def read(label: str, entry: KindEntry) -> Data:
            return read_partition(self.files, market, kind, label, entry.partitions[label])

        parts = self._partitions(market, kind, start, end, read)
        return concatenate(kind, parts).between(start, end)

    def _partitions(
        self, market: str, kind: str, start: int, end: int, read: Callable[[str, KindEntry], T]
    ) -> list[T]:
        """What ``read`` makes of each partition that touches [start, end), in order of time.

        A file that another process has superseded meanwhile is looked up anew, once.
        """
        for last_try in (False, True):
            entry = self.entry(market).kinds.get(kind, KindEntry())
            labels = sorted(
                label for label, p in entry.partitions.items() if p.first < end and p.last >= start
            )
            try:
                return [read(label, entry) for label in labels]
            except FileNotFoundError as error:
                if last_try:
                    raise ApexError(
                        f"{error} is missing, but store.json lists it: import that period again"
                    ) from None
                self.reload()
        raise AssertionError("unreachable")

    def _trade_before(self, market: str, low: int, time: int) -> int | None:
        """Time of the last trade in [low, time), or None."""
        if time <= low:
            return None
        entry = self.entry(market).kinds.get("trades", KindEntry())
        for label in sorted(entry.partitions, reverse=True):
            partition = entry.partitions[label]
            if partition.first < time:
                if partition.last < low:
                    return None
                if partition.last < time:
                    return partition.last
                day = time // DAY * DAY
                before = self.read_trades(market, max(low, day), time)
                if len(before):
                    return int(before.ts[-1])
        return None

    def _unknown(self, market: str) -> str:
        known = self.markets()
        if not known:
            return (
                f"the market store {self.url!r} holds no markets: import or synthesize some first"
            )
        close = difflib.get_close_matches(market, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "it has " + ", ".join(known)
        return f"market {market!r} is not in the store {self.url!r}: {hint}"
