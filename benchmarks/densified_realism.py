"""How densified markets compare with real ticks, and whether anything in them pays.

    python benchmarks/densified_realism.py realism --folder DIR            # DIR: real market files
    python benchmarks/densified_realism.py edge --days 100                 # martingale minutes
    python benchmarks/densified_realism.py speed --folder DIR

``realism`` fills the minutes of real tick files and prints both tapes' figures beside each other.
``edge`` fills minutes of a martingale and prints what policies gain on them at no cost and no
latency, with t-statistics over days; ``--fault`` plants a leak that must be found.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.synthetic import SyntheticMarket, generate
from apex_trader.market.synthetic.densified import densify
from apex_trader.market.synthetic.edge import EdgeTest, sure_t, t_statistics
from apex_trader.market.types import Bars, Trades
from apex_trader.time import DAY, MINUTE, SECOND, parse_time

F64 = NDArray[np.float64]
#: Of each policy, per decision.
Gains = dict[str, float]

#: Pairs of tick files (the traded symbol, its reference) that hold the same minutes.
STRETCHES = {
    "spot 2024-08-08": ("binance_ETHUSDT_trades_2024-08-08", "binance_BTCUSDT_trades_2024-08-08"),
    "perpetual 2024-08-08": (
        "binanceusdm_ETHUSDT_trades_2024-08-08", "binanceusdm_BTCUSDT_trades_2024-08-08",
    ),
    "coinbase BTC 2023-09-05": ("coinbase_BTCUSD_trades_2023-09-05T16",),
}  # fmt: skip
#: Coinbase's file is de-duplicated and knows no sweeps: its venue has parameters of its own.
OWN_TAPE = {"coinbase BTC 2023-09-05": {"sweep": 1.0, "cluster": 1.4, "burstiness": 0.3}}
HORIZONS = (1, 5, 15)


def read_trades(path: Path) -> Trades:
    table = pq.read_table(path)
    names = ("ts", "price", "amount", "side")
    return Trades(*(table[name].to_numpy() for name in names))


def whole_minutes(tapes: list[Trades]) -> list[Trades]:
    """The minutes that all the tapes hold from end to end."""
    start = max(-(-int(tape.ts[0]) // MINUTE) for tape in tapes) * MINUTE
    end = min(int(tape.ts[-1]) // MINUTE for tape in tapes) * MINUTE
    return [tape.between(start, end) for tape in tapes]


def minute_bars(tape: Trades) -> Bars:
    start, end = int(tape.ts[0]) // MINUTE * MINUTE, (int(tape.ts[-1]) // MINUTE + 1) * MINUTE
    seconds = bars_from_seconds(seconds_from_trades(tape))
    return resample(seconds, "1m", np.array([[start, end]]))


def without_counts(bars: Bars) -> Bars:
    unknown = np.full(len(bars), np.nan)
    return Bars(
        bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, unknown, unknown, "1m"
    )


def figures(tape: Trades, other: Trades | None) -> dict[str, float]:
    """Facts of a tape of whole minutes."""
    start, end = int(tape.ts[0]) // MINUTE * MINUTE, (int(tape.ts[-1]) // MINUTE + 1) * MINUTE
    seconds = (end - start) // SECOND
    place = (tape.ts - start) // SECOND
    count = np.bincount(place, minlength=seconds).astype(np.float64)
    volume = np.bincount(place, tape.amount, minlength=seconds)
    log_amount = np.log(tape.amount)
    begins = np.r_[True, (np.diff(tape.ts) > 0) | (np.diff(tape.side) != 0)]
    side, change = tape.side[begins].astype(np.float64), np.diff(tape.price)
    largest = np.sort(tape.amount)[-max(len(tape) // 100, 1) :]
    found = {
        "trades per second": float(count.mean()),
        "variance / mean of trades per second": float(count.var() / count.mean()),
        "share of empty seconds": float((count == 0).mean()),
        "autocorrelation of counts, 1 s": correlation(count[1:], count[:-1]),
        "trades per order": len(tape) / float(begins.sum()),
        "log amount, deviation": float(log_amount.std()),
        "volume in the largest 1% of trades": float(largest.sum() / tape.amount.sum()),
        "volume per second, deviation / mean": float(volume.std() / volume.mean()),
        "share of zero returns, trade to trade": float((change == 0).mean()),
        "side autocorrelation, orders": correlation(side[1:], side[:-1]),
        "silence before a minute's first trade, s": float(first_waits(tape, start, end).mean()),
    }
    price = last_price(tape, start, end)
    for horizon in HORIZONS:
        moves = np.diff(price[::horizon])
        found[f"volatility at {horizon} s, bp per √s"] = 1e4 * float(
            np.sqrt((moves**2).mean() / horizon)
        )
    if other is not None:
        found |= pair_figures(price, last_price(other, start, end))
    return found


def pair_figures(price: F64, other: F64) -> dict[str, float]:
    found = {}
    for horizon in (1, 5, 15):
        both = [np.diff(values[::horizon]) for values in (price, other)]
        found[f"correlation with the reference at {horizon} s"] = correlation(*both)
    one, two = np.diff(price), np.diff(other)
    lead = correlation(one[1:], two[:-1]) - correlation(two[1:], one[:-1])
    found["lead of the reference over it, 1 s"] = lead
    return found


def correlation(one: F64, two: F64) -> float:
    return float(np.corrcoef(one, two)[0, 1])


def first_waits(tape: Trades, start: int, end: int) -> F64:
    minutes = np.arange(start, end, MINUTE)
    return np.asarray((tape.ts[np.searchsorted(tape.ts, minutes)] - minutes) / SECOND)


def last_price(tape: Trades, start: int, end: int) -> F64:
    row = np.searchsorted(tape.ts, np.arange(start, end + 1, SECOND), side="left") - 1
    return np.log(tape.price[np.maximum(row, 0)])


def realism(folder: Path, known_counts: bool, draws: int) -> None:
    for name, files in STRETCHES.items():
        real = whole_minutes([read_trades(folder / f"{file}.parquet") for file in files])
        bars = {f"x:{k}": minute_bars(tape) for k, tape in enumerate(real)}
        if not known_counts:
            bars = {market: without_counts(b) for market, b in bars.items()}
        rate = {} if known_counts else {"trades_per_second": rate_of(real[0])}
        drawn = []
        for seed in range(draws):
            made = densify(bars, seed, **rate, **OWN_TAPE.get(name, {}))
            tapes = [made[market].trades for market in bars]
            drawn.append(figures(tapes[0], tapes[1] if len(tapes) > 1 else None))  # type: ignore[arg-type]
        print(f"\n{name}: {len(bars['x:0'])} minutes, {draws} draws")
        print(f"{'':44} {'real':>9} {'drawn':>9} {'ratio':>7}")
        for key, value in figures(real[0], real[1] if len(real) > 1 else None).items():
            mean = float(np.mean([one[key] for one in drawn]))
            print(f"{key:44} {value:9.3f} {mean:9.3f} {mean / value if value else np.nan:7.2f}")


def rate_of(tape: Trades) -> float:
    """Trades per second of the median minute."""
    return float(np.median(np.bincount((tape.ts - tape.ts[0]) // MINUTE))) / 60.0


#: The law of the martingale's own tape.
MATCHED = {"trades_per_second": 4.0, "sweep": 2.0, "cluster": 1.0}


def edge(days: int, fault: str, tape: str, law: dict[str, float], first: int = 0) -> None:
    """Ten days a world, so that memory stays small; each symbol beside the other as reference.

    Days of one world share the estimates that its minutes were filled by: where those decide, the
    worlds are the independent observations, not the days.
    """
    gains, worlds = [], []
    tests = {kind: _edge_tests(fault) for kind in ("original", "filled")}
    for seed in range(first, first - (-days // 10)):
        world = generate("martingale", seed, days=10, history_days=2, minute_days=1)
        start = parse_time("2024-01-01")
        found = []
        if tape != "original":
            bars = {market: one.bars["1m"].between(start, 2**62) for market, one in world.items()}
            found.append(_gains(densify(bars, seed, **law), tests["filled"], start))
        if tape != "filled":
            found.append(_gains(world, tests["original"], start))
        gains += found[0] if len(found) == 1 else [_less(*day) for day in zip(*found, strict=True)]
        worlds.append(_mean(gains[-10:]))
        print(f"world {seed}", file=sys.stderr, flush=True)
    print(f"{len(gains)} days, {TAPES[tape]}, fault: {fault}; gross gain per decision of 5 s, bp "
          f"(t over days; last column: over worlds of ten days)")  # fmt: skip
    columns = [t_statistics([day[k] for day in gains]) for k in range(3)]
    if len(worlds) > 1:
        columns.append(t_statistics(worlds))
    print(f"{'policy':32} {'ETHUSDT':>16} {'BTCUSDT':>16} {'both':>16} {'both, worlds':>16}")
    for name in columns[0]:
        cells = [f"{1e4 * mean:9.4f} ({t:.1f})" for mean, t in (column[name] for column in columns)]
        print(f"{name:32} " + " ".join(f"{cell:>16}" for cell in cells))
    print(f"sure of {len(columns[0])} policies: |t| > {sure_t([day[2] for day in gains]):.1f} over "
          f"days, {sure_t(worlds):.1f} over worlds")  # fmt: skip


#: What the gains are of.
TAPES = {
    "filled": "filled minutes",
    "original": "the worlds' own trades",
    "paired": "filled minutes less the same worlds' own trades",
}


def _edge_tests(fault: str) -> tuple[EdgeTest, EdgeTest]:
    leak = SECOND if fault == "second" else 0
    return EdgeTest(leak), EdgeTest(leak)


def _gains(
    world: Mapping[str, SyntheticMarket], tests: tuple[EdgeTest, EdgeTest], start: int
) -> list[tuple[Gains, Gains, Gains]]:
    """Of each of ten days: ETH's gains, BTC's, and the mean of both."""
    tapes = [one.trades for one in world.values() if one.trades is not None]
    found = []
    for day in range(start, start + 10 * DAY, DAY):
        eth, btc = (tape.between(day, day + DAY) for tape in tapes)
        one, two = tests[0].gains(eth, btc), tests[1].gains(btc, eth)
        found.append((one, two, {name: 0.5 * (one[name] + two[name]) for name in one}))
    return found


def _less(
    filled: tuple[Gains, Gains, Gains], own: tuple[Gains, Gains, Gains]
) -> tuple[Gains, Gains, Gains]:
    one, two, both = (
        {name: of[name] - own_of[name] for name in of}
        for of, own_of in zip(filled, own, strict=True)
    )
    return one, two, both


def _mean(days: list[tuple[Gains, Gains, Gains]]) -> Gains:
    """Both symbols' mean gain of each policy over a world's days."""
    both = [day[2] for day in days]
    names = dict.fromkeys(name for day in both for name in day)
    return {name: float(np.mean([day[name] for day in both if name in day])) for name in names}


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def speed(folder: Path) -> None:
    bars = {}
    for symbol in ("ETHUSDT", "BTCUSDT"):
        table = pq.read_table(folder / f"binance_{symbol}_1m_2024.parquet")
        o, h, low, c, v = (table[n].to_numpy() for n in ("open", "high", "low", "close", "volume"))
        ts = table["ts"].to_numpy() * 1000
        unknown = np.full(len(ts), np.nan)
        start = parse_time("2024-08-05")
        year = Bars(ts, o, h, low, c, v, unknown, unknown)
        bars[f"x:{symbol}"] = year.between(start, start + 14 * DAY)
    densify({market: b.slice(0, 60) for market, b in bars.items()}, 0)
    begun, worked = time.perf_counter(), time.process_time()
    made = densify(bars, 0)
    trades = sum(len(one.trades) for one in made.values() if one.trades is not None)
    print(f"14 days of two symbols, {trades:,} trades: {time.perf_counter() - begun:.1f} s, "
          f"of one core {time.process_time() - worked:.1f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("realism", "edge", "speed"))
    parser.add_argument("--folder", type=Path, help="where the real market files lie")
    parser.add_argument("--known-counts", action="store_true", help="bars tell their trades")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world of ten days")
    parser.add_argument("--fault", choices=("none", "second"), default="none")
    parser.add_argument("--tape", choices=tuple(TAPES), default="filled", help="whose gains")
    parser.add_argument("--defaults", action="store_true", help="densified's own tape parameters")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE",
                        help="parameters of the tape that fills the minutes")  # fmt: skip
    options = parser.parse_args()
    if options.what == "edge":
        law = dict(map(_setting, options.set))
        law = law or ({} if options.defaults else MATCHED)
        edge(options.days, options.fault, options.tape, law, options.first)
    elif options.folder is None:
        parser.error("--folder is needed")
    elif options.what == "realism":
        realism(options.folder, options.known_counts, options.draws)
    else:
        speed(options.folder)


if __name__ == "__main__":
    main()
