"""Seconds and trades drawn inside real minute bars, which they re-aggregate to exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.source import LookbackSource, MarketInfo
from apex_trader.market.synthetic.assembly import assemble
from apex_trader.market.synthetic.base import Generator
from apex_trader.market.synthetic.bridge import STEPS
from apex_trader.market.synthetic.inside import trades_inside
from apex_trader.market.synthetic.orders import InsideLaw
from apex_trader.market.synthetic.parameters import Parameter
from apex_trader.market.synthetic.points import draw_points
from apex_trader.market.synthetic.ranges import minute_sigma, shared_surprise
from apex_trader.market.synthetic.targets import Minutes
from apex_trader.market.synthetic.waits import Waits, draw_waits
from apex_trader.market.synthetic.walks import start_walks
from apex_trader.market.synthetic.world import Piece, SyntheticMarket, World
from apex_trader.market.types import Bars, Trades
from apex_trader.time import DAY, MINUTE, format_date, parse_time

if TYPE_CHECKING:
    from apex_trader.market.store import MarketStore

F64 = NDArray[np.float64]

#: Days on both sides whose minutes also measure a day's correlation.
AROUND = 2
#: Correlation of the symbols where a day has too few common minutes to measure it.
USUAL_CORRELATION, FEWEST_MINUTES = 0.8, 120


class Densified(Generator):
    """Trades inside the minute bars of real markets, labelled synthetic everywhere.

    Each minute's open, high, low and close are kept bit for bit, its volume exactly in whatever
    order the trades are summed. Inside, the price is a driftless walk given the minute (see
    ``bridge``), the symbols' walks correlated like their minutes. Nothing is hidden: whatever edge
    these markets have on minutes, they have; inside the minutes none is added.
    """

    name = "densified"
    summary = "seconds and trades drawn inside the minute bars of real markets in the store"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Where the minutes are, and how trades lie in them."""
        return (
            Parameter("source", "binance", "exchange in the store whose minute bars are filled"),
            Parameter("symbols", "ETHUSDT,BTCUSDT", "one or two symbols, the traded one first"),
            Parameter("exchange", "densified", "first half of the new markets' names"),
            Parameter("start", "2024-08-05", "first day", date=True),
            Parameter("days", 14, "days from start", 1, 3660),
            Parameter("trades_per_second", 6.0, "number of trades in a minute of median volume, "
                      "per second", 0.5, 200.0),
            Parameter("sweep", 3.0, "mean trades of one order; they share a millisecond and a side",
                      1.0, 50.0),
            Parameter("cluster", 2.0, "mean orders that come together, within tenths of a second",
                      1.0, 50.0),
            Parameter("burstiness", 0.6, "standard deviation of the log pace inside a minute",
                      0.0, 2.0),
            Parameter("amount_dispersion", 2.2, "standard deviation of log amounts (heavy tail)",
                      0.0, 3.0),
            Parameter("flow", 0.7, "how strongly sides follow the price's move: log odds per half "
                      "standard deviation", 0.0, 5.0),
            Parameter("spread_ticks", 1.0, "bid to ask, ticks", 0.0, 100.0),
        )  # fmt: skip

    def world(
        self, seed: int, resolved: Mapping[str, Any], store: MarketStore | None
    ) -> DensifiedWorld:
        """Read the minutes; the tape is drawn day by day as it is asked for."""
        if store is None:
            raise ApexError("densified fills the minute bars of a store: pass the store")
        symbols = [part.strip() for part in str(resolved["symbols"]).split(",")]
        if not 1 <= len(symbols) <= 2 or len(set(symbols)) != len(symbols) or not all(symbols):
            raise ConfigError("densified.symbols", resolved["symbols"], "one or two symbols, "
                              "separated by a comma")  # fmt: skip
        start = parse_time(resolved["start"])
        end = start + resolved["days"] * DAY
        label = {"generator": self.name, "seed": seed, **resolved}
        bars, infos = {}, {}
        for symbol in symbols:
            source, market = f"{resolved['source']}:{symbol}", f"{resolved['exchange']}:{symbol}"
            bars[market] = _minutes(store, source, start, end)
            infos[market] = _info(store.info(source), market, start, label)
        return DensifiedWorld(bars, infos, InsideLaw.of(resolved), start, end, seed)


def densify(
    bars: Mapping[str, Bars],
    seed: int,
    *,
    tick_size: float = 0.01,
    lot_size: float = 0.0001,
    **parameters: object,
) -> dict[str, SyntheticMarket]:
    """Fill minute bars that are in memory, by name of the new market; parameters as of the
    generator (those of place and time do not matter)."""
    resolved = Densified().resolve(parameters)
    label = {"generator": Densified.name, "seed": seed, **resolved}
    start = min(int(b.ts[0]) for b in bars.values()) // DAY * DAY
    end = max(int(b.ts[-1]) for b in bars.values()) // DAY * DAY + DAY
    infos = {
        market: MarketInfo(market, tick_size=tick_size, lot_size=lot_size, synthetic=label)
        for market in bars
    }
    return assemble(DensifiedWorld(bars, infos, InsideLaw.of(resolved), start, end, seed))


def _minutes(store: MarketStore, source: str, start: int, end: int) -> Bars:
    bars = store.read_bars(source, "1m", start, end)
    if len(bars) == 0:
        raise ApexError(
            f"{source} has no minute bars from {format_date(start)} to {format_date(end)} in the "
            f"store {store.url!r}: import them, or choose other days (--set start=… days=…)"
        )
    return bars


def _info(source: MarketInfo, market: str, start: int, label: Mapping[str, object]) -> MarketInfo:
    return MarketInfo(
        market,
        instrument=source.instrument,
        tick_size=source.tick_size,
        lot_size=source.lot_size,
        min_notional=source.min_notional,
        has_sides=True,
        synthetic=dict(label),
        lookback=LookbackSource(source.market, 0.0, start),
    )


class DensifiedWorld(World):
    """Minute bars over [start, end) and the law of what lies inside them.

    bars: per market, 1 m bars; a minute that is absent or has no volume has no trades.
    """

    def __init__(
        self,
        bars: Mapping[str, Bars],
        infos: Mapping[str, MarketInfo],
        law: InsideLaw,
        start: int,
        end: int,
        seed: int,
    ) -> None:
        self.infos, self._law, self._start, self._end = infos, law, start, end
        self._markets = list(bars)
        sigma_seed, self._day_seed = np.random.SeedSequence(seed).spawn(2)
        self._ts = np.unique(np.concatenate([b.ts for b in bars.values()]))
        # where the minutes begin and end, nothing is said of the rest of the day
        self._spans = [(int(b.ts[0]), int(b.ts[-1]) + MINUTE) for b in bars.values()]
        self._minutes = [
            Minutes.of(bars[market], self._ts, infos[market]) for market in self._markets
        ]
        rng = np.random.default_rng(sigma_seed)
        self._volatility = [
            minute_sigma(m.up, m.reach - m.up, m.move, law.clusters(m), law.trades(m),
                         np.nan_to_num(m.tick_size / m.open), rng)
            for m in self._minutes
        ]  # fmt: skip
        self._shared = 0.0
        if len(self._volatility) == 2:
            one, two = self._volatility
            self._shared = shared_surprise(one, two, _correlation(self._minutes))
        self._sizes = [
            law.sizes(m, known.moments)
            for m, known in zip(self._minutes, self._volatility, strict=True)
        ]

    def pieces(self) -> Iterator[Piece]:
        """The tape, a day of every market at a time."""
        first_id = [0] * len(self._markets)
        for day in range(self._start, self._end, DAY):
            for k, trades in enumerate(self._day(day, first_id)):
                first_id[k] += len(trades)
                start, end = max(day, self._spans[k][0]), min(day + DAY, self._spans[k][1])
                if start < end:
                    yield Piece(self._markets[k], trades, start, end)

    def hidden(self, market: str) -> dict[str, NDArray[Any]]:
        """Nothing is hidden."""
        return {}

    def _rows(self, start: int, end: int) -> slice:
        low, high = np.searchsorted(self._ts, [start, end])
        return slice(int(low), int(high))

    def _day(self, day: int, first_id: list[int]) -> list[Trades]:
        rows = self._rows(day, day + DAY)
        around = self._rows(day - AROUND * DAY, day + (AROUND + 1) * DAY)
        root = self._day_seed
        seeds = np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, day // DAY)).spawn(
            3 + len(self._markets)
        )
        minutes = [m.rows(rows) for m in self._minutes]
        volatility = [known.rows(rows) for known in self._volatility]
        sigma = np.stack([known.sigma for known in volatility])
        sizes = [size.rows(rows) for size in self._sizes]
        clusters = np.stack([size.clusters for size in sizes])
        of_minutes = _correlation([m.rows(around) for m in self._minutes])
        rngs = [np.random.default_rng(seed) for seed in seeds]
        waits = _waits(minutes, clusters, sigma, of_minutes, rngs[0])
        correlation = float(np.clip(of_minutes / _together(minutes, waits), -0.99, 0.99))
        pace = self._law.pace(waits, rngs[1])
        walks = start_walks(minutes, volatility, waits, correlation, rngs[2])
        points = draw_points(
            minutes, clusters, volatility, waits, walks, correlation, self._shared, rngs[2]
        )
        return [
            trades_inside(minute, points[k], pace, sizes[k], self._law, rngs[3 + k], first_id[k])
            for k, minute in enumerate(minutes)
        ]


def _waits(
    minutes: list[Minutes],
    clusters: F64,
    sigma: F64,
    correlation: float,
    rng: np.random.Generator,
) -> Waits:
    gap = np.stack([m.gap for m in minutes])
    bounce = np.stack([m.bounce for m in minutes])
    return draw_waits(clusters / STEPS, gap, sigma, bounce, correlation, rng)


def _correlation(minutes: list[Minutes]) -> float:
    """Of the symbols' minutes, by Kendall's tau of their log returns: ρ = sin(π/2·τ).

    That holds for every elliptical law (Lindskog, McNeil & Schmock 2003), so also for returns of
    changing volatility, where the usual estimate weighs the wildest minutes alone.
    """
    if len(minutes) < 2:
        return 0.0
    known = (minutes[0].move != 0) & (minutes[1].move != 0)
    if known.sum() < FEWEST_MINUTES:
        return USUAL_CORRELATION
    tau = float(stats.kendalltau(minutes[0].move[known], minutes[1].move[known]).statistic)
    return math.sin(0.5 * math.pi * tau)


def _together(minutes: list[Minutes], waits: Waits) -> float:
    """Correlation of the symbols' minutes where their steps' is 1: minutes that do not begin and
    end at the same trades share less of their time than they last."""
    traded = np.all([m.activity > 0 for m in minutes], axis=0)
    lasted = (waits.last - waits.first)[:, traded]
    if len(minutes) < 2 or not traded.any():
        return 1.0
    shared = waits.last[:, traded].min(axis=0) - waits.first[:, traded].max(axis=0)
    return float((shared / np.sqrt(lasted[0] * lasted[1])).mean())
