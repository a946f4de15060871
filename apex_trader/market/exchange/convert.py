"""Answers of an exchange as market data. Decimal text becomes float64 once, by correct rounding.

Binance's own answers (``raw_…``) hold more than ccxt's unified ones (``unified_…``): taker volume
and counts of bars. Rows of Binance's archive files go through the same numbers, so both agree to
the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from apex_trader.errors import DataError
from apex_trader.market.kinds import Data, empty
from apex_trader.market.plain import EARLIEST, LATEST
from apex_trader.market.types import F64, I64, Bars, Funding, Trades
from apex_trader.time import format_time

_REMEDY = "The exchange's answer is not what it documents: try again, or use its archive"
#: Position of each column of a raw kline; the same as in an archive's file.
KLINE = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "count": 8,
         "taker_buy_volume": 9}  # fmt: skip


def raw_trades(rows: Sequence[Mapping[str, Any]], origin: str = "aggTrades") -> Trades:
    """Aggregate trades as Binance sends them over REST (a, p, q, T, m) or websocket.

    id is the aggregate trade's id; side is the aggressor's: where the buyer was the maker ("m"),
    the seller came to the market. DataError names ``origin`` and the row that cannot be read.
    """
    maker = np.fromiter((_truth(row, origin) for row in rows), np.bool_, len(rows))
    return Trades(
        _micros(_whole(rows, lambda row: row["T"], "T", origin)),
        _floats(rows, lambda row: row["p"], "p", origin),
        _floats(rows, lambda row: row["q"], "q", origin),
        np.where(maker, -1, 1).astype(np.int8),
        _whole(rows, lambda row: row["a"], "a", origin),
    )


def unified_trades(rows: Sequence[Mapping[str, Any]], origin: str = "trades") -> Trades:
    """Trades in ccxt's unified form. id is None unless every trade has a whole number as its id.

    side is the aggressor's, 0 where the exchange does not say.
    """
    sides = {"buy": 1, "sell": -1}
    side = np.fromiter((sides.get(row.get("side") or "", 0) for row in rows), np.int8, len(rows))
    ids = [str(row.get("id") or "") for row in rows]
    numbered = bool(ids) and all(text.isascii() and text.isdigit() for text in ids)
    return Trades(
        _micros(_whole(rows, lambda row: row["timestamp"], "timestamp", origin)),
        _floats(rows, lambda row: row["price"], "price", origin),
        _floats(rows, lambda row: row["amount"], "amount", origin),
        side,
        np.array(ids, object).astype(np.int64) if numbered else None,
    )


def raw_bars(rows: Sequence[Sequence[Any]], clock: str, origin: str = "klines") -> Bars:
    """Binance's klines: with taker buy volume and number of trades."""
    values = {
        name: _floats(rows, _at(place), name, origin) for name, place in KLINE.items()
    }  # fmt: skip
    return Bars(_micros(_whole(rows, _at(0), "open time", origin)), **values, clock=clock)


def unified_bars(rows: Sequence[Sequence[Any]], clock: str, origin: str = "bars") -> Bars:
    """ccxt's bars: open time, open, high, low, close, volume; the rest is unknown (NaN)."""
    names = ("open", "high", "low", "close", "volume")
    values = {name: _floats(rows, _at(i + 1), name, origin) for i, name in enumerate(names)}
    unknown = np.full(len(rows), np.nan)
    ts = _micros(_whole(rows, _at(0), "open time", origin))
    return Bars(ts, **values, taker_buy_volume=unknown, count=unknown, clock=clock)


def raw_funding(rows: Sequence[Mapping[str, Any]], origin: str = "fundingRate") -> Funding:
    """Binance's funding payments (fundingTime, fundingRate)."""
    return Funding(
        _micros(_whole(rows, lambda row: row["fundingTime"], "fundingTime", origin)),
        _floats(rows, lambda row: row["fundingRate"], "fundingRate", origin),
    )


def unified_funding(rows: Sequence[Mapping[str, Any]], origin: str = "funding") -> Funding:
    """ccxt's funding rate history."""
    return Funding(
        _micros(_whole(rows, lambda row: row["timestamp"], "timestamp", origin)),
        _floats(rows, lambda row: row["fundingRate"], "fundingRate", origin),
    )


def micros(time: int) -> int:
    """A time in milliseconds or microseconds (the value tells which), in microseconds."""
    return time if time >= EARLIEST else time * 1000


def refuse_outside(rows: Data, start: int, end: int, origin: str) -> None:
    """DataError when a row lies outside [start, end) µs, where none can be.

    Cut off in silence, such a row would be missing in time that counts as known.
    """
    outside = (rows.ts < start) | (rows.ts >= end)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            origin, f"{_time_text(int(rows.ts[row]))} cannot be: it was asked for "
            f"{_time_text(start)} to {_time_text(end)}", _REMEDY, row=row, field="ts",
        )  # fmt: skip


def no_trades() -> Trades:
    """No trades, with ids: appending to it keeps the ids of what is appended."""
    none = empty("trades")
    assert isinstance(none, Trades)
    return Trades(none.ts, none.price, none.amount, none.side, np.empty(0, np.int64))


def _at(place: int) -> Callable[[Sequence[Any]], Any]:
    return lambda row: row[place]


def _floats(rows: Sequence[Any], get: Callable[[Any], Any], field: str, origin: str) -> F64:
    values: F64 = _values(rows, lambda row: float(get(row)), np.float64, field, origin)
    return values


def _whole(rows: Sequence[Any], get: Callable[[Any], Any], field: str, origin: str) -> I64:
    values: I64 = _values(rows, lambda row: int(get(row)), np.int64, field, origin)
    return values


def _values(
    rows: Sequence[Any], get: Callable[[Any], Any], dtype: Any, field: str, origin: str
) -> Any:
    try:
        return np.fromiter(map(get, rows), dtype, len(rows))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise _unreadable(rows, get, field, origin) from None


def _unreadable(
    rows: Sequence[Any], get: Callable[[Any], Any], field: str, origin: str
) -> DataError:
    """What is wrong with the first row that cannot be read."""
    for number, row in enumerate(rows):
        try:
            get(row)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            reason = f"no value that can be read ({type(error).__name__}: {error})"
            return DataError(origin, reason, _REMEDY, row=number, field=field)
    return DataError(origin, "no table of rows", _REMEDY, field=field)


def _truth(row: Mapping[str, Any], origin: str) -> bool:
    if not isinstance(row, Mapping):
        raise DataError(origin, f"{row!r} is no trade", _REMEDY)
    value = row.get("m")
    if isinstance(value, bool):
        return value
    raise DataError(origin, f"{value!r} does not say who was the maker", _REMEDY, field="m")


def _time_text(time: int) -> str:
    """A time in words where it can be one at all."""
    return format_time(time) if 0 <= time < LATEST else f"{time} µs since 1970"


def _micros(times: I64) -> I64:
    """Times in milliseconds or microseconds (the value tells which), in microseconds."""
    return np.where(times >= EARLIEST, times, times * 1000)
