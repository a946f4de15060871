"""Where an exchange's public archive keeps the files of a stretch of time.

Binance: ``data/<spot|futures/um>/<daily|monthly>/<table>/<SYMBOL>[/<interval>]/<file>.zip`` and the
same with ``.CHECKSUM``; funding is published by the month alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apex_trader.market import intervals
from apex_trader.market.download.want import Want
from apex_trader.market.exchange.config import ARCHIVES
from apex_trader.market.naming import FileName, parse_name
from apex_trader.market.types import I64

_TABLES = {"trades": "aggTrades", "funding": "fundingRate"}


@dataclass(frozen=True)
class ArchiveFile:
    """A file of the archive: its path below the base URL, and what it holds."""

    path: str
    name: FileName

    @property
    def file(self) -> str:
        """Its own name."""
        return self.path.rpartition("/")[2]

    @property
    def monthly(self) -> bool:
        """Whether it holds a month (else a day)."""
        return "/monthly/" in self.path

    @property
    def covered(self) -> tuple[int, int]:
        """[start, end) µs that it speaks for."""
        assert self.name.covered is not None
        return self.name.covered


def files_for(wanted: Want, parts: I64, now: int) -> list[ArchiveFile]:
    """The files that hold the time of ``parts``, in order: months that are wanted whole, else days.

    Only files whose period is over by ``now`` are named; funding comes by the month.
    """
    months, days = _periods(parts, "M"), []
    if wanted.kind == "funding":
        return [_file(wanted, "M", month) for month, _ in months if _end("M", month) <= now]
    files = []
    for month, whole in months:
        if whole and _end("M", month) <= now:
            files.append(_file(wanted, "M", month))
        else:
            days += days_of(wanted, intervals.clip(parts, *_bounds("M", month)), now)
    return sorted(files + days, key=lambda file: file.covered)


def days_of(wanted: Want, parts: I64, now: int) -> list[ArchiveFile]:
    """The daily files that hold the time of ``parts``; funding has none."""
    if wanted.kind == "funding":
        return []
    return [_file(wanted, "D", day) for day, _ in _periods(parts, "D") if _end("D", day) <= now]


def _periods(parts: I64, unit: str) -> list[tuple[int, bool]]:
    """(number since 1970, whether wanted whole) of every month or day that ``parts`` touch."""
    found: dict[int, bool] = {}
    for start, end in parts.tolist():
        first, last = (
            int(np.datetime64(t, "us").astype(f"datetime64[{unit}]").astype(np.int64))
            for t in (start, end - 1)
        )
        for number in range(first, last + 1):
            low, high = _bounds(unit, number)
            found[number] = found.get(number, False) or (start <= low and high <= end)
    return sorted(found.items())


def _bounds(unit: str, number: int) -> tuple[int, int]:
    edges = np.array([number, number + 1]).astype(f"datetime64[{unit}]").astype("datetime64[us]")
    start, end = edges.astype(np.int64).tolist()
    return start, end


def _end(unit: str, number: int) -> int:
    return _bounds(unit, number)[1]


def _file(wanted: Want, unit: str, number: int) -> ArchiveFile:
    exchange, symbol = wanted.market.split(":", 1)
    period = "monthly" if unit == "M" else "daily"
    table = _TABLES.get(wanted.kind, "klines")
    stem = wanted.kind if table == "klines" else table
    label = str(np.datetime64(number, unit))  # type: ignore[call-overload]
    folder = f"{symbol}/{wanted.kind}" if table == "klines" else symbol
    file = f"{symbol}-{stem}-{label}.zip"
    path = f"data/{ARCHIVES[exchange]}/{period}/{table}/{folder}/{file}"
    return ArchiveFile(path, parse_name(file, exchange))
