"""What every row of market data must satisfy, wherever it comes from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import DataError
from apex_trader.market.kinds import Data
from apex_trader.market.types import I64, Bars, Trades
from apex_trader.time import format_time

SIDES = "{} is no side: +1 the aggressor bought, -1 sold, 0 unknown"
REPAIR = "Correct or drop that row, then import again"


class ImpossibleError(DataError):
    """Data that cannot be right, whatever a store holds. What to do about it depends on how it
    came: the remedy is for whoever has the file."""

    def remedied(self, remedy: str) -> DataError:
        """The same of data that came in another way."""
        return DataError(self.file, self.reason, remedy, row=self.row, field=self.field)


class Checker:
    """Raises ImpossibleError for the first row that breaks a rule; rows are counted from 0.

    origin: name of the file, as the user knows it. offset: row number of the table's first row.
    """

    def __init__(self, origin: str, offset: int = 0) -> None:
        self.origin, self.offset = origin, offset

    def refuse(
        self, broken: NDArray[np.bool_], values: NDArray[np.generic], field: str, reason: str
    ) -> None:
        """Raise when a row is ``broken``; ``{}`` in the reason stands for that row's value."""
        if broken.any():
            row = int(np.argmax(broken))
            text = reason.format(values[row])
            raise ImpossibleError(self.origin, text, REPAIR, row=row + self.offset, field=field)


def check(data: Data, origin: str, offset: int = 0) -> None:
    """Raise ImpossibleError unless every row is in order, finite and possible."""
    checker = Checker(origin, offset)
    if isinstance(data, Trades):
        _check_trades(data, checker)
    elif isinstance(data, Bars):
        _check_bars(data, checker)
    else:
        _check_order(data.ts, checker, unique=True)
        checker.refuse(~np.isfinite(data.rate), data.rate, "rate", "{} is not a finite number")


def _check_trades(trades: Trades, checker: Checker) -> None:
    for name in ("price", "amount"):
        values = getattr(trades, name)
        checker.refuse(~np.isfinite(values), values, name, "{} is not a finite number")
        checker.refuse(values <= 0, values, name, "{} is not positive")
    side = trades.side
    checker.refuse((side < -1) | (side > 1), side, "side", SIDES)
    _check_order(trades.ts, checker, unique=False)
    if trades.id is not None:
        same = np.r_[False, np.diff(trades.id) <= 0]
        checker.refuse(same, trades.id, "id", "{} is not above the id of the row before")


def _check_bars(bars: Bars, checker: Checker) -> None:
    for name in ("open", "high", "low", "close"):
        values = getattr(bars, name)
        checker.refuse(~np.isfinite(values), values, name, "{} is not a finite number")
        checker.refuse(values <= 0, values, name, "{} is not a positive price")
    checker.refuse(~np.isfinite(bars.volume), bars.volume, "volume", "{} is not a finite number")
    checker.refuse(bars.volume < 0, bars.volume, "volume", "{} is negative")
    checker.refuse(bars.high < bars.low, bars.high, "high", "{} lies below the low")
    top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    checker.refuse(bars.high < top, bars.high, "high", "{} lies below the open or the close")
    checker.refuse(bars.low > bottom, bars.low, "low", "{} lies above the open or the close")
    _check_order(bars.ts, checker, unique=True)
    off_grid = bars.ts % bars.step != 0
    checker.refuse(
        off_grid,
        _as_text(bars.ts, off_grid),
        "ts",
        f"{{}} is no opening time of a {bars.clock} bar",
    )
    taker, count = bars.taker_buy_volume, bars.count
    # Rounding of summed volumes is not a contradiction.
    wrong = (taker < 0) | (taker > bars.volume * (1 + 1e-9) + 1e-9) | np.isinf(taker)
    checker.refuse(wrong, taker, "taker_buy_volume", "{} is not between 0 and the volume")
    checker.refuse((count < 0) | np.isinf(count), count, "count", "{} is not a number of trades")


def _check_order(ts: I64, checker: Checker, *, unique: bool) -> None:
    step = np.diff(ts)
    if unique:
        same = np.r_[False, step == 0]
        checker.refuse(same, _as_text(ts, same), "ts", "a second row for {}, a duplicate")
    back = np.r_[False, step < 0]
    checker.refuse(
        back,
        _as_text(ts, back),
        "ts",
        "{} comes before the row above it: rows are not sorted by time",
    )


def _as_text(ts: I64, broken: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Times as text where they are needed for a message."""
    out = np.zeros(len(ts), object)
    if broken.any():
        row = int(np.argmax(broken))
        out[row] = format_time(int(ts[row]))
    return out


def same(a: NDArray[np.generic], b: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Row by row equality, NaN equal to NaN."""
    equal = a == b
    if a.dtype.kind == "f":
        equal |= np.isnan(a) & np.isnan(b)
    return np.asarray(equal, np.bool_)
