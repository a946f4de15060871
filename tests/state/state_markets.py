"""Small random markets with everything that a real one has: silences, gaps, sweeps, holes."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from apex_trader.market.resample import bars_from_seconds, merge_bars, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.source import MarketInfo, MemorySource
from apex_trader.market.types import Bars, Seconds, Trades
from apex_trader.state.decisions import clock_window
from apex_trader.state.schema import CLIP, Schema
from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.time import DAY, MINUTE, SECOND
from tests.real_market import real_columns

START = 1_700_006_400_000_000 // DAY * DAY


def real_bars(symbol: str, clock: str, label: str) -> Bars:
    """Bars of a real file; the test is skipped where the file is absent."""
    rows = real_columns(f"binance_{symbol}_{clock}_{label}.parquet")
    unknown = np.full(len(rows["ts"]), np.nan)
    return Bars(
        rows["ts"] * 1000, rows["open"], rows["high"], rows["low"], rows["close"], rows["volume"],
        unknown, unknown, clock,
    )  # fmt: skip


def real_sources(years: list[str]) -> tuple[MemorySource, MemorySource]:
    """(ETH, BTC) sources of real minute bars of the years, with hours and days from 2018 on."""
    out = []
    for symbol in ("ETHUSDT", "BTCUSDT"):
        minutes = concatenate([real_bars(symbol, "1m", y) for y in years])
        coarse = {c: real_bars(symbol, c, "2018-2024") for c in ("1h", "1d")}
        end = int(minutes.ts[-1]) + MINUTE
        coarse = {c: b.between(0, end - b.step + 1) for c, b in coarse.items()}
        info = MarketInfo(f"binance:{symbol}", tick_size=0.01)
        out.append(MemorySource(info, {"1m": minutes, **coarse}))
    return out[0], out[1]


def concatenate(parts: list) -> object:
    """Columns of the parts, one after another."""
    arrays = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts])
        for f in fields(parts[0])
        if isinstance(getattr(parts[0], f.name), np.ndarray)
    }
    return replace(parts[0], **arrays)


def random_trades(
    rng: np.random.Generator, start: int, end: int, price: float, per_second: float = 1.0
) -> Trades:
    """Trades of a random walk on the tick grid: clusters in one millisecond, silences, gaps."""
    n = int((end - start) / SECOND * per_second)
    ts = np.sort(rng.integers(start // 1000, end // 1000, n)) * 1000
    for length in (35 * SECOND, 59 * SECOND, 62 * SECOND, 200 * SECOND, 40 * MINUTE):
        for begin in rng.integers(start, end - length, 3):
            ts = ts[(ts < begin) | (ts >= begin + length)]
    sweep = rng.random(len(ts)) < 0.4
    sweep[:1] = False
    source = np.maximum.accumulate(np.where(sweep, 0, np.arange(len(ts))))
    ts = ts[source]
    walk = np.cumsum(rng.standard_t(4, len(ts))) * 2e-5
    prices = np.round(price * np.exp(walk), 2)
    side = rng.choice(np.array([-1, 1], np.int8), len(ts))
    return Trades(ts, prices, np.round(rng.lognormal(0, 1, len(ts)), 4) + 1e-4, side)


def random_minutes(rng: np.random.Generator, start: int, end: int, price: float) -> Bars:
    """Minute bars of a random walk that ends at ``price``; some are absent."""
    ts = np.arange(start, end, MINUTE)
    steps = rng.standard_t(4, (len(ts), 4)) * 4e-4
    path = np.cumsum(steps.ravel())
    path = (path - path[-1]).reshape(-1, 4) + np.log(price)
    before = np.concatenate((path[:1, 0], path[:-1, 3]))
    whole = np.exp(np.column_stack((before, path)))
    volume = rng.lognormal(2, 1, len(ts))
    bars = Bars(
        ts, whole[:, 0], whole.max(axis=1), whole.min(axis=1), whole[:, 4], volume,
        volume * rng.random(len(ts)), np.ceil(volume), "1m",
    )  # fmt: skip
    kept = np.ones(len(ts), np.bool_)
    for length in (3, 9, 11, 50):
        begins = rng.integers(1, len(ts) - length, max(1, len(ts) // 4000))
        recent = rng.integers(max(1, len(ts) - 2200), len(ts) - length, 1)
        for begin in np.concatenate((begins, recent)):
            kept[begin : begin + length] = False
    arrays = {f.name: getattr(bars, f.name)[kept] for f in fields(bars) if f.name != "clock"}
    return Bars(**arrays, clock="1m")


def source_of(
    market: str, minutes: Bars, seconds: Seconds | None = None, trades: Trades | None = None
) -> MemorySource:
    """A source whose hours and days are made of its minutes, and its last minutes of seconds."""
    if seconds is not None:
        minutes = merge_bars(resample(bars_from_seconds(seconds), "1m"), minutes)
    clocks = {clock: resample(minutes, clock) for clock in ("1m", "1h", "1d")}
    return MemorySource(MarketInfo(market), clocks, seconds, trades)


def random_markets(
    seed: int, history_days: int = 40, second_days: int = 2, per_second: float = 0.7
) -> tuple[MemorySource, MemorySource]:
    """(primary, reference): minutes for ``history_days``, then trades for ``second_days``."""
    rng = np.random.default_rng(seed)
    turn = START + history_days * DAY
    end = turn + second_days * DAY
    out = []
    for market, price in (("random:ETH", 2000.0), ("random:BTC", 40000.0)):
        minutes = random_minutes(rng, START, turn, price)
        if second_days == 0:
            out.append(source_of(market, minutes))
            continue
        trades = random_trades(rng, turn, end, price, per_second)
        out.append(source_of(market, minutes, seconds_from_trades(trades), trades))
    return out[0], out[1]


def last_days(source: MemorySource, count: int) -> list[int]:
    """Starts of the last days of a source's minutes."""
    last = int(source.clock_bars["1m"].ts[-1]) // DAY * DAY
    return [last - DAY * i for i in range(count)][::-1]


def until(source: MemorySource, end: int) -> MemorySource:
    """The source as it was at ``end``: later events do not exist."""
    return replace(source, end=end)


def poisoned(source: MemorySource, end: int, rng: np.random.Generator) -> MemorySource:
    """The source with every price, volume and time of trade after ``end`` replaced by garbage."""

    def spoil(rows):
        if rows is None:
            return None
        step = getattr(rows, "step", SECOND if isinstance(rows, Seconds) else 0)
        late = rows.ts + step > end
        factor = np.exp(rng.normal(0, 0.3))
        arrays = {
            f.name: np.where(late, getattr(rows, f.name) * factor, getattr(rows, f.name))
            for f in fields(rows)
            if f.name != "ts" and getattr(getattr(rows, f.name), "dtype", None) == np.float64
        }
        return replace(rows, **arrays)

    bars = {clock: spoil(b) for clock, b in source.clock_bars.items()}
    return replace(
        source, clock_bars=bars, all_seconds=spoil(source.all_seconds),
        all_trades=spoil(source.all_trades),
    )  # fmt: skip


def mirrored(source: MemorySource, pivot: float) -> MemorySource:
    """The market turned upside down: every price p becomes pivot / p, buyers become sellers."""

    def turn(bars: Bars) -> Bars:
        return replace(
            bars, open=pivot / bars.open, high=pivot / bars.low, low=pivot / bars.high,
            close=pivot / bars.close, taker_buy_volume=bars.volume - bars.taker_buy_volume,
        )  # fmt: skip

    seconds = source.all_seconds
    if seconds is not None:
        seconds = replace(
            seconds, open=pivot / seconds.open, high=pivot / seconds.low, low=pivot / seconds.high,
            close=pivot / seconds.close, vwap=pivot / seconds.vwap,
            count_buy=seconds.count_sell, count_sell=seconds.count_buy,
            volume_buy=seconds.volume_sell, volume_sell=seconds.volume_buy,
        )  # fmt: skip
    bars = {clock: turn(b) for clock, b in source.clock_bars.items()}
    return replace(source, clock_bars=bars, all_seconds=seconds, all_trades=None)


def random_segment(schema: Schema, seed: int, decisions: int = 30) -> Segment:
    """A segment of noise: missing cells, values beyond the guard, short stretches."""
    rng = np.random.default_rng(seed)
    tables, row_scale, start, row, scale = {}, {}, {}, {}, {}
    for clock in schema.clocks:
        window = clock_window(schema, clock)
        rows = window - 1 + decisions
        last = np.sort(rng.integers(window - 1, rows, decisions)).astype(np.int32)
        row[clock] = last
        valid = np.full(decisions, window)
        if clock == schema.fast_clock:
            valid = rng.integers(0, window + 1, decisions)
        start[clock] = (last - valid + 1).astype(np.int32)
        scale[clock] = rng.uniform(0.1, 50, (decisions, 2)).astype(np.float32)
        scale[clock][rng.random((decisions, 2)) < 0.1] = np.nan
        for block in schema.blocks:
            if block.clock == clock:
                values = np.clip(rng.normal(0, 2, (rows, block.width)), -CLIP, CLIP)
                values[rng.random(values.shape) < 0.1] = np.nan
                tables[block.name] = values.astype(np.float32)
                if block.row_scaled:
                    shape = (rows, block.anchored)
                    row_scale[block.name] = rng.normal(0, 3, shape).astype(np.float32)
    nothing = np.zeros(decisions, np.float32)
    ts = START + np.arange(decisions) * schema.decision_interval
    anchor = rng.normal(0, 1, (decisions, 2)).astype(np.float32)
    anchor[rng.random((decisions, 2)) < 0.1] = np.nan
    known = Decisions(
        ts, start, row, anchor, scale, np.ones((decisions, len(schema.blocks)), np.float32),
        np.ones(decisions, np.bool_), nothing, nothing, nothing, nothing, np.zeros(decisions),
    )  # fmt: skip
    none = np.zeros(0, np.int32)
    events = PivotEvents(none, none.astype(np.int8), none.astype(np.int8), none.astype(np.int64))
    later = Outcomes(
        np.zeros(decisions), ts, np.arange(decisions, dtype=np.int32),
        np.zeros(decisions, np.int32), nothing,
    )  # fmt: skip
    return Segment(
        f"segment{seed}", schema.fingerprint, "random:ETH", START, (0.0, 0.0), tables, row_scale,
        known, later, events,
    )  # fmt: skip
