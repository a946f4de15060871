"""Planted markets: a latent log price with a known law, and the tape and bars drawn around it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from apex_trader.errors import ConfigError
from apex_trader.market.resample import resample
from apex_trader.market.source import MarketInfo
from apex_trader.market.synthetic.base import Generator
from apex_trader.market.synthetic.grids import STEPS_PER_MINUTE, TimeGrid
from apex_trader.market.synthetic.minutes import minute_bars
from apex_trader.market.synthetic.parameters import Parameter
from apex_trader.market.synthetic.processes import YEAR_SECONDS, volatility_path
from apex_trader.market.synthetic.tape import TapeLaw, trades_of_day
from apex_trader.market.synthetic.world import SYMBOLS, Piece, World
from apex_trader.market.types import Trades
from apex_trader.time import DAY, SECOND, parse_time

if TYPE_CHECKING:
    from apex_trader.market.store import MarketStore

F64 = NDArray[np.float64]

#: Seconds of a day on the tick grid.
DAY_SECONDS = DAY // SECOND

COMMON: tuple[Parameter, ...] = (
    Parameter("clock", "1s", "finest data: trades, or minute bars alone", choices=("1s", "1m")),
    Parameter("start", "2024-01-01", "first day, behind the history", date=True),
    Parameter("days", 5, "days from start: of trades, or of minute bars", 1, 3660,
              minute_default=90),
    Parameter("history_days", 320, "days of bars in front of start", 1, 3660),
    Parameter("minute_days", 30, "of these, the last ones as minute bars, the others as 1h and 1d",
              1, 3660),
    Parameter("exchange", "synthetic", "first half of the market's name"),
    Parameter("instrument", "perpetual", "what is traded", choices=("perpetual", "spot")),
    Parameter("eth_price", 2500.0, "price of ETHUSDT at start", 1.0, 1e6),
    Parameter("btc_price", 60000.0, "price of BTCUSDT at start", 1.0, 1e7),
    Parameter("volatility", 0.6, "of the random walk in ETH's log price, per √year", 0.01, 5.0),
    Parameter("btc_ratio", 0.8, "volatility of BTC over that of ETH", 0.1, 10.0),
    Parameter("correlation", 0.8, "of the two random walks", -0.99, 0.99),
    Parameter("clustering", 0.35, "standard deviation of log volatility", 0.0, 1.5),
    Parameter("clustering_half_life", 86400.0, "of its slow half, seconds; the fast one is 48 "
              "times faster", 60.0, 1e8),
    Parameter("season", 0.25, "daily amplitude of log volatility, peak at 15:00 UTC", 0.0, 1.5),
    Parameter("trades_per_second", 4.0, "mean number of trades", 0.2, 200.0),
    Parameter("sweep", 2.0, "mean trades of one order; they share a millisecond and a side",
              1.0, 50.0),
    Parameter("burstiness", 0.5, "standard deviation of the log rate of orders, half-life 20 s",
              0.0, 2.0),
    Parameter("notional", 1000.0, "mean value of a trade, quote currency", 1.0, 1e7),
    Parameter("amount_dispersion", 1.4, "standard deviation of log amounts (heavy tail)", 0.0, 3.0),
    Parameter("flow", 0.7, "how strongly sides follow the price's move in their second: log odds "
              "per half standard deviation", 0.0, 5.0),
    Parameter("spread_ticks", 1.0, "bid to ask, ticks", 0.0, 100.0),
    Parameter("tick_size", 0.01, "price step", 1e-8, 10.0),
    Parameter("lot_size", 0.0001, "amount step", 1e-8, 10.0),
)  # fmt: skip


def with_defaults(table: tuple[Parameter, ...], **defaults: float) -> tuple[Parameter, ...]:
    """The table with other defaults for some of its parameters."""
    return tuple(
        replace(parameter, default=defaults.get(parameter.name, parameter.default))
        for parameter in table
    )


@dataclass(frozen=True)
class Latent:
    """What a planted law draws; row 0 is ETH, row 1 BTC.

    log_price [2, n + 1] at the grid's edges, from any level; sigma [2, n] total volatility of each
    step per √second, typical [2] its long-run level. hidden: per symbol, columns [n + 1] known to a
    clairvoyant at each edge.
    """

    log_price: F64
    sigma: F64
    typical: tuple[float, float]
    hidden: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)


class PlantedGenerator(Generator):
    """A generator whose market has a hidden state with a known law.

    All of them are martingales in the *log* price where no edge is planted: rewards are log
    returns, and the mirrored market (log prices negated) is as likely as the market itself.
    The hidden columns ``ts``, ``log_price`` and ``volatility`` (per √second) exist in every one.
    """

    own: tuple[Parameter, ...] = ()
    defaults: Mapping[str, float] = {}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The planted law's own parameters, then the common ones."""
        return self.own + with_defaults(COMMON, **self.defaults)

    @abstractmethod
    def latent(
        self, grid: TimeGrid, sigma: F64, parameters: Mapping[str, Any], rng: np.random.Generator
    ) -> Latent:
        """Draw the hidden law; sigma [2, n] is the random walks' volatility per √second."""

    def world(
        self, seed: int, resolved: Mapping[str, Any], store: MarketStore | None
    ) -> PlantedWorld:
        """Draw the latent prices; the tape is drawn day by day as it is asked for."""
        if resolved["minute_days"] > resolved["history_days"]:
            raise ConfigError(
                f"{self.name}.minute_days", resolved["minute_days"],
                f"at most history_days, {resolved['history_days']}",
            )  # fmt: skip
        volatility_seed, latent_seed, tape_seed = np.random.SeedSequence(seed).spawn(3)
        start = parse_time(resolved["start"])
        grid = TimeGrid.of(
            start - resolved["history_days"] * DAY,
            start,
            start + resolved["days"] * DAY,
            seconds=resolved["clock"] == "1s",
        )
        path = volatility_path(
            grid,
            resolved["volatility"],
            resolved["clustering"],
            resolved["clustering_half_life"],
            resolved["season"],
            np.random.default_rng(volatility_seed),
        )
        sigma = np.stack([path, path * resolved["btc_ratio"]])
        latent = self.latent(grid, sigma, resolved, np.random.default_rng(latent_seed))
        label = {"generator": self.name, "seed": seed, **resolved}
        return PlantedWorld(grid, latent, resolved, label, tape_seed)


def per_second(annual: float) -> float:
    """Volatility per √second of one per √year."""
    return annual / float(np.sqrt(YEAR_SECONDS))


class PlantedWorld(World):
    """A drawn latent price, and the tape and bars around it."""

    def __init__(
        self,
        grid: TimeGrid,
        latent: Latent,
        parameters: Mapping[str, Any],
        label: Mapping[str, object],
        seed: np.random.SeedSequence,
    ) -> None:
        self.grid, self.latent, self._parameters = grid, latent, parameters
        self._law = TapeLaw.of(parameters)
        self._seeds = dict(zip(SYMBOLS, seed.spawn(len(SYMBOLS)), strict=True))
        prices = (parameters["eth_price"], parameters["btc_price"])
        level = latent.log_price[:, grid.start : grid.start + 1]
        self._mid = latent.log_price - level + np.log(np.array(prices))[:, None]
        self._names = {f"{parameters['exchange']}:{symbol}": symbol for symbol in SYMBOLS}
        self.infos = {
            market: MarketInfo(
                market,
                instrument=parameters["instrument"],
                tick_size=parameters["tick_size"],
                lot_size=parameters["lot_size"],
                synthetic=dict(label),
            )
            for market in self._names
        }

    def pieces(self) -> Iterator[Piece]:
        """Bars of the history, then the tape day by day; first ETH, then BTC."""
        for market, symbol in self._names.items():
            bars_seed, tape_seed = np.random.SeedSequence(
                self._seeds[symbol].entropy, spawn_key=self._seeds[symbol].spawn_key
            ).spawn(2)
            yield from self._bar_pieces(market, symbol, np.random.default_rng(bars_seed))
            first_id = 0
            for day, seed in enumerate(tape_seed.spawn(self._tape_days)):
                trades = self._day(symbol, day, first_id, np.random.default_rng(seed))
                first_id += len(trades)
                start = int(self.grid.edges[self.grid.start]) + day * DAY
                yield Piece(market, trades, start, start + DAY)

    @property
    def _tape_days(self) -> int:
        return (len(self.grid.edges) - 1 - self.grid.fine) // DAY_SECONDS

    def _bar_pieces(self, market: str, symbol: str, rng: np.random.Generator) -> Iterator[Piece]:
        row, fine, edges = SYMBOLS.index(symbol), self.grid.fine, self.grid.edges
        minutes = minute_bars(
            edges[: fine + 1],
            self._mid[row, : fine + 1],
            self.latent.sigma[row, :fine],
            self.latent.typical[row],
            self._law,
            rng,
        )
        first, end = int(edges[0]), int(edges[fine])
        near = int(edges[self.grid.start]) - self._parameters["minute_days"] * DAY
        if first < near:
            far = minutes.between(first, near)
            yield Piece(market, resample(far, "1d"), first, near)
            yield Piece(market, resample(far, "1h"), first, near)
        yield Piece(market, minutes.between(near, end), near, end)

    def _day(self, symbol: str, day: int, first_id: int, rng: np.random.Generator) -> Trades:
        row = SYMBOLS.index(symbol)
        low = self.grid.fine + day * DAY_SECONDS
        return trades_of_day(
            int(self.grid.edges[low]),
            self._mid[row, low : low + DAY_SECONDS + 1],
            self.latent.sigma[row, low : low + DAY_SECONDS],
            self.latent.typical[row],
            self._law,
            rng,
            first_id,
        )

    def hidden(self, market: str) -> dict[str, NDArray[Any]]:
        """Per second from start, or per minute of the minute bars where there are no ticks."""
        symbol = self._names[market]
        row, grid = SYMBOLS.index(symbol), self.grid
        if grid.fine == grid.start:
            rows = slice(grid.start, None)
        else:
            rows = slice(0, None, STEPS_PER_MINUTE)
        sigma = self.latent.sigma[row]
        columns = {
            "ts": grid.edges,
            "log_price": self._mid[row],
            "volatility": np.append(sigma, sigma[-1]),
            **self.latent.hidden.get(symbol, {}),
        }
        return {name: column[rows].copy() for name, column in columns.items()}
