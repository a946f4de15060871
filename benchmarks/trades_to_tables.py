"""How fast trades become tables, and minutes of a year become states' tables; one core.

    OMP_NUM_THREADS=1 python benchmarks/trades_to_tables.py trades                 # synthetic
    OMP_NUM_THREADS=1 python benchmarks/trades_to_tables.py trades --store DIR     # a store's
    OMP_NUM_THREADS=1 python benchmarks/trades_to_tables.py minutes                # synthetic
    OMP_NUM_THREADS=1 python benchmarks/trades_to_tables.py minutes --store DIR --from 2023-01-01

``trades``: arrays of trades of two markets → rows of seconds → every table of the 1 s clock
(ticks, primary_1s, reference_1s) of one day, as a builder makes them; beside it the machine's own
limits on the same bytes. ``minutes``: 1 m bars of two markets in a store → every segment of a year
of eth_minutes, less the CNN's rows. Medians of several runs, times of the processor, compiled
kernels.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from apex_trader.market.history import StoreSource
from apex_trader.market.kinds import columns
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Bars, Trades
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.clock_tables import Side, clock_tables
from apex_trader.state.schema import eth_minutes
from apex_trader.time import DAY, MINUTE, SECOND, parse_time

#: The 1 s clock's longest pause (DESIGN, section 4).
MAX_GAP = 60 * SECOND
START = 1_709_510_400_000_000  # 2024-03-04, midnight
MARKETS = ("binance:ETHUSDT", "binance:BTCUSDT")
#: Days of coarse bars before the first minutes: what windows of 300 days need. Days of minutes
#: before the year.
HISTORY, BEFORE = 345, 20


def seconds_of(work: Callable[[], Any], runs: int) -> float:
    """Median seconds of the processor, once everything is compiled and in memory."""
    work()
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


# -- trades ---------------------------------------------------------------------------------------


def noisy_day(rng: np.random.Generator, count: int, price: float) -> Trades:
    """A day of trades: bursts in one millisecond (two thirds, as on Binance), random sides."""
    ts = START + np.sort(rng.integers(0, DAY // 1000, count)) * 1000
    first = rng.random(count) < 0.35
    first[:1] = True
    ts = ts[np.maximum.accumulate(np.where(first, np.arange(count), 0))]
    steps = rng.integers(-1, 2, count) * first
    prices = np.round(price + 0.01 * np.cumsum(steps), 2)
    side = rng.choice(np.array([-1, 1], np.int8), count)
    return Trades(ts, prices, rng.integers(1, 50_000, count) / 1e4, side, np.arange(count))


def tables(day: list[Trades]) -> None:
    """All tables of the 1 s clock, from trades."""
    sides = []
    for trades in day:
        rows = seconds_from_trades(trades)
        sides.append(Side(bars_from_seconds(rows), 0.01, int(rows.ts[-1]) + SECOND, rows))
    clock_tables("1s", sides[0], sides[1], MAX_GAP)


def minutes_as_well(day: list[Trades]) -> None:
    """The 1 m bars that the store keeps beside trades."""
    for trades in day:
        resample(bars_from_seconds(seconds_from_trades(trades)), "1m")


def from_store(store: MarketStore) -> list[Trades]:
    """All trades of a store, read and decoded."""
    return [store.read_trades(market) for market in store.markets()]


def show_trades(days: dict[str, list[Trades]], runs: int) -> None:
    for name, day in days.items():
        with tempfile.TemporaryDirectory() as folder:
            store = MarketStore(folder)
            for market, trades in zip(MARKETS, day, strict=False):
                store.write_trades(market, trades)
            show_day(name, day, store, runs)


def show_day(name: str, day: list[Trades], store: MarketStore, runs: int) -> None:
    """What one day costs, a step more with each line."""
    count = sum(len(trades) for trades in day)
    arrays = [a for trades in day for n, a in columns(trades).items() if n != "id"]
    work: dict[str, Callable[[], Any]] = {
        "→ rows of seconds": lambda: [seconds_from_trades(t) for t in day],
        "→ seconds → 1 m bars": lambda: minutes_as_well(day),
        "→ seconds → all 1 s tables": lambda: tables(day),
        "a store's Parquet → all 1 s tables": lambda: tables(from_store(store)),
        "limit: copy the same bytes": lambda: [a.copy() for a in arrays],
        "limit: cumsum of every column": lambda: [np.cumsum(a) for a in arrays],
    }
    print(f"{name}: {count:,} trades, {len(np.unique(day[0].ts // SECOND)):,} seconds of the first")
    for label, one in work.items():
        cost = seconds_of(one, runs)
        print(f"  {label:34} {count / cost:14,.0f} trades/s {1e3 * cost:8.1f} ms")


def stored_days(store: MarketStore, primary: str, reference: str) -> dict[str, list[Trades]]:
    """The day of a store with the most trades, of both markets."""
    counts = {d: len(store.read_trades(primary, d, d + DAY)) for d in store.days(primary, "trades")}
    busiest = max(counts, key=lambda day: counts[day])
    span = busiest, busiest + DAY
    day = [store.read_trades(market, *span) for market in (primary, reference)]
    return {f"{primary} and {reference}": [trades for trades in day if len(trades)]}


# -- minutes --------------------------------------------------------------------------------------


def noisy_bars(rng: np.random.Generator, clock: str, start: int, end: int, price: float) -> Bars:
    """Bars of a random walk, all of them there."""
    step = {"1m": MINUTE, "1h": 60 * MINUTE, "1d": DAY}[clock]
    ts = np.arange(start, end, step)
    close = price * np.exp(np.cumsum(rng.standard_t(4, len(ts))) * 3e-4 * (step / MINUTE) ** 0.5)
    open_ = np.concatenate(([price], close[:-1]))
    wick = rng.random((2, len(ts))) * 2e-4
    high = np.maximum(open_, close) * (1 + wick[0])
    low = np.minimum(open_, close) * (1 - wick[1])
    volume = rng.lognormal(2, 1, len(ts))
    bought = volume * rng.random(len(ts))
    return Bars(ts, open_, high, low, close, volume, bought, np.ceil(volume), clock)


def synthetic_year(store: MarketStore) -> None:
    """A year of minutes of two markets, and the hours and days before it."""
    for seed, market in enumerate(MARKETS):
        rng, begin = np.random.default_rng(seed), START - BEFORE * DAY
        for clock in ("1d", "1h"):
            store.write_bars(market, noisy_bars(rng, clock, begin - HISTORY * DAY, begin, 2000.0))
        store.write_bars(market, noisy_bars(rng, "1m", begin, START + 366 * DAY, 2000.0))


def show_minutes(store: MarketStore, start: int, runs: int) -> None:
    def build() -> tuple[int, int]:
        """(days, states) of a year, every segment built and let go."""
        builder = SegmentBuilder(schema, *(StoreSource(store, market) for market in MARKETS))
        days = [day for day in builder.days() if start <= day < start + 366 * DAY]
        return len(days), sum(builder.build(day).rows for day in days)

    schema = eth_minutes().without("cnn_hidden", "cnn_predictions")
    days, states = build()
    cost = seconds_of(build, runs)
    print(f"{days} days, {states:,} states of {schema.market_size:,} features: {cost:.2f} s, "
          f"{1e3 * cost / days:.1f} ms a day, reading and hashing included")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mode", choices=("trades", "minutes"))
    parser.add_argument("--store", help="a market store (default: synthetic data)")
    parser.add_argument("--from", dest="start", help="first day of the year of minutes")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    if args.mode == "trades":
        rng = np.random.default_rng(0)
        if args.store:
            days = stored_days(MarketStore(args.store), *MARKETS)
        else:
            days = {
                name: [noisy_day(rng, count, 2000.0), noisy_day(rng, count, 40_000.0)]
                for name, count in (("quiet", 200_000), ("usual", 1_000_000), ("busy", 3_000_000))
            }
        show_trades(days, args.runs)
    elif args.store:
        show_minutes(MarketStore(args.store), parse_time(args.start or "1970-01-01"), args.runs)
    else:
        with tempfile.TemporaryDirectory() as folder:
            store = MarketStore(folder)
            synthetic_year(store)
            show_minutes(store, START, args.runs)


if __name__ == "__main__":
    main()
