"""Recordings as exchanges and collectors leave them, and what they mean, in plain Python."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from apex_trader.market.types import Trades
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.market.samples import MONDAY

Row = tuple[int, float, float, int, int]


@dataclass(frozen=True)
class Recording:
    """Fragments [k] of one tape, each a list of (µs, price, amount, side, id), in order of time."""

    fragments: list[list[Row]]
    with_ids: bool

    def trades(self, k: int) -> Trades:
        ts, price, amount, side, number = (
            np.array(c) for c in zip(*self.fragments[k], strict=True)
        )
        return Trades(ts, price, amount, side.astype(np.int8), number if self.with_ids else None)

    def write(self, folder: Path, market: str = "binance_ETHUSDT") -> list[str]:
        """A plain file for each fragment."""
        paths = []
        for k in range(len(self.fragments)):
            trades = self.trades(k)
            columns = {n: getattr(trades, n) for n in ("ts", "price", "amount", "side")}
            if trades.id is not None:
                columns["id"] = trades.id
            paths.append(str(folder / f"{market}_trades_{k}.parquet"))
            pq.write_table(pa.table(columns), paths[-1])
        return paths


#: Where trades fall: on the borders of seconds, minutes and days, between milliseconds, in crowds.
_STEPS = st.sampled_from(
    [0, 0, 0, 1, 999, 1000, 1000, 17_000, SECOND - 1, SECOND, 3 * SECOND + 500, 59 * SECOND,
     MINUTE, MINUTE + 1, 5 * MINUTE]
)  # fmt: skip
_STARTS = st.sampled_from(
    [0, 1, 250_000, SECOND - 1, MINUTE - 1, HOUR, DAY - 2 * SECOND, DAY - 1, DAY - 500_500]
)
#: Between recordings: more than the minute that joins two, up to days.
_HOLES = st.sampled_from([90 * SECOND, 2 * HOUR, DAY, 3 * DAY])


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Some fragments with holes between them; times in µs, half of the tapes in whole ms."""
    grid = draw(st.sampled_from([1, 1000]))
    at, number, fragments = MONDAY + draw(_STARTS), draw(st.integers(0, 10**9)), []
    for _ in range(draw(st.integers(1, 4))):
        rows: list[Row] = []
        for step in draw(st.lists(_STEPS, min_size=1, max_size=25)):
            at += step if rows else 0
            ts = -(-at // grid) * grid
            price = 2000 + draw(st.integers(-3, 3)) / 100
            rows.append((ts, price, draw(st.integers(1, 3)) / 2, draw(st.sampled_from([-1, 1])),
                         number))  # fmt: skip
            # A sweep: the same fill once more.
            for _ in range(draw(st.sampled_from([0, 0, 0, 2]))):
                number += 1
                rows.append((*rows[-1][:4], number))
            number += 1
            at = ts
        fragments.append(rows)
        at = rows[-1][0] + draw(_HOLES)
        number += draw(st.integers(0, 1000))
    return Recording(fragments, draw(st.booleans()))


def seconds_by_hand(recording: Recording) -> dict[int, dict[str, float]]:
    """What each second is made of, one trade after another."""
    out: dict[int, dict[str, float]] = {}
    for fragment in recording.fragments:
        before: int | None = None
        for ts, price, amount, side, _ in fragment:
            row = out.setdefault(ts // SECOND * SECOND, {
                "open": price, "high": price, "low": price, "volume": 0.0, "count": 0.0,
                "count_buy": 0.0, "volume_buy": 0.0, "largest": 0.0, "gap_count": 0.0,
                "gap_sum": 0.0,
            })  # fmt: skip
            row["high"], row["low"] = max(row["high"], price), min(row["low"], price)
            row["close"] = price
            row["volume"] += amount
            row["count"] += 1
            row["count_buy"] += side > 0
            row["volume_buy"] += amount if side > 0 else 0.0
            row["largest"] = max(row["largest"], amount)
            if before is not None:
                row["gap_count"] += 1
                row["gap_sum"] += (ts - before) / 1e6
            before = ts
    return out


def covered_by_hand(recording: Recording) -> list[list[int]]:
    """Whole seconds from the first to the last trade of each fragment."""
    return [
        [rows[0][0] // SECOND * SECOND, rows[-1][0] // SECOND * SECOND + SECOND]
        for rows in recording.fragments
    ]


def minutes_by_hand(recording: Recording) -> dict[int, dict[str, float]]:
    """Bars of the minutes that are recorded from their open to their close."""
    out: dict[int, dict[str, float]] = {}
    for (start, end), rows in zip(covered_by_hand(recording), recording.fragments, strict=True):
        for minute, group in itertools.groupby(rows, key=lambda row: row[0] // MINUTE * MINUTE):
            prices, amounts = zip(*((row[1], row[2]) for row in group), strict=True)
            if start <= minute and minute + MINUTE <= end:
                out[minute] = {
                    "open": prices[0], "high": max(prices), "low": min(prices),
                    "close": prices[-1], "volume": sum(amounts), "count": float(len(prices)),
                }  # fmt: skip
    return out
