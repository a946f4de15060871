"""The public archive: daily and monthly zip files of every listing, with their checksums.

Layout, columns and headers as on data.binance.vision: spot files have no header and, from
2025-01-01 on, microseconds; futures files have a header and milliseconds. A file appears when its
period is over; the same content always has the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
from dataclasses import dataclass

import numpy as np

from apex_trader.market.types import F64, I64
from apex_trader.time import parse_time
from tests.local_exchange.candles import intervals_of, quote_volume
from tests.local_exchange.endpoints import Exchange
from tests.local_exchange.feed import Listing, Venue
from tests.local_exchange.text import decimal_texts

#: Spot files of this time and later state microseconds.
MICROSECONDS_FROM = parse_time("2025-01-01")
_PATH = re.compile(
    r"/data/(?P<venue>spot|futures/um)/(?P<period>daily|monthly)/"
    r"(?P<table>aggTrades|klines|fundingRate)/(?P<symbol>[A-Z0-9]+)/(?:(?P<interval>1[smhd])/)?"
    r"(?P<file>[A-Za-z0-9-]+)\.zip"
)
_HEADERS = {
    "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,"
                 "is_buyer_maker",
    "klines": "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
              "taker_buy_volume,taker_buy_quote_volume,ignore",
    "fundingRate": "calc_time,funding_interval_hours,last_funding_rate",
}  # fmt: skip
_VENUES: dict[str, Venue] = {"spot": "spot", "futures/um": "futures"}


@dataclass(frozen=True)
class ArchiveFile:
    """A file's place: whose, of which table, for [start, end) µs."""

    listing: Listing
    table: str
    interval: str | None
    name: str
    start: int
    end: int


class Archive:
    """The archive's files, made when they are asked for. Safe to use from several threads."""

    def __init__(self, exchange: Exchange, delay: int = 0) -> None:
        """``delay``: µs after the end of its period at which a file appears."""
        self._exchange, self._delay = exchange, delay
        self._made: dict[str, bytes | None] = {}
        self._lock = threading.Lock()

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None where there is none (yet)."""
        checksum = path.endswith(".CHECKSUM")
        file = self._locate(path.removesuffix(".CHECKSUM"))
        if file is None or self._exchange.now() < file.end + self._delay:
            return None
        with self._lock:
            if file.name not in self._made:
                self._made[file.name] = _zipped(self._exchange, file)
            content = self._made[file.name]
        if content is None or not checksum:
            return content
        name = file.name.rpartition("/")[2]
        return f"{hashlib.sha256(content).hexdigest()}  {name}.zip\n".encode()

    def modified(self, path: str) -> int:
        """When a file appeared, µs."""
        file = self._locate(path.removesuffix(".CHECKSUM"))
        return 0 if file is None else file.end + self._delay

    def _locate(self, path: str) -> ArchiveFile | None:
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        venue, table, interval = _VENUES[match["venue"]], match["table"], match["interval"]
        listing = self._exchange.feed.find(venue, match["symbol"])
        bounds = _period(match["file"], match["period"], interval or table, match["symbol"])
        if listing is None or bounds is None or (interval is None) == (table == "klines"):
            return None
        if interval is not None and interval not in intervals_of(venue):
            return None
        if table == "fundingRate" and (venue == "spot" or match["period"] == "daily"):
            return None
        return ArchiveFile(listing, table, interval, path.removesuffix(".zip"), *bounds)


def _period(file: str, period: str, kind: str, symbol: str) -> tuple[int, int] | None:
    """[start, end) of the period that the file's name ends with."""
    unit, pattern = ("D", r"\d{4}-\d{2}-\d{2}") if period == "daily" else ("M", r"\d{4}-\d{2}")
    match = re.fullmatch(rf"{symbol}-{kind}-({pattern})", file)
    if match is None:
        return None
    try:
        first = np.datetime64(match[1]).astype(f"datetime64[{unit}]")
    except ValueError:
        return None
    edges = np.array([first, first + 1]).astype("datetime64[us]").astype(np.int64)
    return int(edges[0]), int(edges[1])


def _zipped(exchange: Exchange, file: ArchiveFile) -> bytes | None:
    tables = {"aggTrades": _trades, "klines": _klines, "fundingRate": _funding}
    columns = tables[file.table](exchange, file)
    if not columns or not columns[0]:
        return None
    lines = [",".join(row) for row in zip(*columns, strict=True)]
    if file.listing.venue == "futures":
        lines.insert(0, _HEADERS[file.table])
    folder = io.BytesIO()
    with zipfile.ZipFile(folder, "w") as archive:
        entry = zipfile.ZipInfo(file.name.rpartition("/")[2] + ".csv", (1980, 1, 1, 0, 0, 0))
        entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, "\n".join(lines) + "\n", compresslevel=6)
    return folder.getvalue()


def _trades(exchange: Exchange, file: ArchiveFile) -> list[list[str]]:
    listing = file.listing
    low, high = np.searchsorted(listing.trades.ts, [file.start, file.end])
    rows = listing.trades.slice(int(low), int(high))
    fills = _integers(listing.fills[low:high])
    columns = [
        _integers(listing.ids[low:high]), decimal_texts(rows.price, listing.price_places),
        decimal_texts(rows.amount, listing.amount_places), fills, fills, _stamps(file, rows.ts),
        _words(file, rows.side < 0),
    ]  # fmt: skip
    if listing.venue == "spot":
        columns.append(_words(file, np.ones(len(rows), np.bool_)))
    return columns


def _klines(exchange: Exchange, file: ArchiveFile) -> list[list[str]]:
    listing = file.listing
    assert file.interval is not None
    bars = exchange.candles(listing).whole(file.interval).between(file.start, file.end)
    taker, count = np.nan_to_num(bars.taker_buy_volume), np.nan_to_num(bars.count)
    return [
        _stamps(file, bars.ts),
        *(decimal_texts(v, listing.price_places) for v in (bars.open, bars.high, bars.low)),
        decimal_texts(bars.close, listing.price_places),
        decimal_texts(bars.volume, listing.amount_places),
        _stamps(file, bars.ts + bars.step - (1 if _in_micros(file) else 1000)),
        _values(quote_volume(bars, bars.volume)),
        _integers(count.astype(np.int64)),
        decimal_texts(taker, listing.amount_places), _values(quote_volume(bars, taker)),
        ["0"] * len(bars),
    ]  # fmt: skip


def _funding(exchange: Exchange, file: ArchiveFile) -> list[list[str]]:
    paid = file.listing.funding.between(file.start, file.end)
    return [_stamps(file, paid.ts), ["8"] * len(paid), decimal_texts(paid.rate, 8)]


def _in_micros(file: ArchiveFile) -> bool:
    return file.listing.venue == "spot" and file.start >= MICROSECONDS_FROM


def _stamps(file: ArchiveFile, ts: I64) -> list[str]:
    return _integers(ts if _in_micros(file) else ts // 1000)


def _integers(values: I64) -> list[str]:
    texts: list[str] = values.astype(str).tolist()
    return texts


def _values(values: F64) -> list[str]:
    return decimal_texts(np.round(values, 8), 8)


def _words(file: ArchiveFile, values: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[str]:
    """Spot files say True and False, futures files true and false."""
    yes, no = ("True", "False") if file.listing.venue == "spot" else ("true", "false")
    words: list[str] = np.where(values, yes, no).tolist()
    return words
