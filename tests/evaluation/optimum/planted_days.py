"""Days of planted markets, and what planned policies earn on them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apex_trader.evaluation.optimum import (
    PlantedOptimum,
    TablePolicy,
    account_days,
    filter_policy,
    market_path,
    oracle_policy,
    planted_optimum,
)
from apex_trader.market.fills import FillConfig
from apex_trader.market.source import MemorySource
from apex_trader.market.synthetic import SyntheticMarket, generate
from apex_trader.time import DAY, MINUTE, SECOND, parse_time
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

ETH, BTC = "synthetic:ETHUSDT", "synthetic:BTCUSDT"
START = parse_time("2024-01-01")
FILLS = FillConfig()


@dataclass(frozen=True)
class Days:
    """A planted market over some days, its optimum and its path."""

    made: dict[str, SyntheticMarket]
    path: MarketPath
    optimum: PlantedOptimum
    trading: TradingConfig
    interval: int

    @property
    def primary(self) -> MemorySource:
        return self.made[ETH].source()

    @property
    def reference(self) -> MemorySource:
        return self.made[BTC].source()

    def oracle(self) -> TablePolicy:
        hidden = {name: market.hidden for name, market in self.made.items()}
        return oracle_policy(self.optimum, self.path, hidden)

    def filtered(self) -> TablePolicy:
        return filter_policy(self.optimum, self.path, self.primary, self.reference)

    def earned(self, policy: TablePolicy) -> NDArray[np.float64]:
        """Log return of each day."""
        return account_days(self.path, policy, self.trading).log


@functools.cache
def planted(name: str, seed: int, days: int, fee: float = 2e-4, **parameters: object) -> Days:
    """Days of a planted market behind a short history, and their optimum."""
    given = {"history_days": 3, "minute_days": 2, "days": days, **parameters}
    made = generate(name, seed, **given)
    interval = MINUTE if given.get("clock") == "1m" else 5 * SECOND
    trading = TradingConfig(fee=fee)
    source = made[ETH].source()
    path = market_path(source, START, START + days * DAY, interval, FILLS)
    optimum = planted_optimum(source.info, trading, FILLS, interval)
    return Days(made, path, optimum, trading, interval)
