"""The whole pipeline at a scale of seconds: minute bars of a planted market, tiny networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from tests.conftest import SMALL, write_small_market

TINY = [
    *SMALL,
    "periods.test=0.17",
    "train={updates: 40, evaluate_every: 20, checkpoint_every: 10, rotate_every: 10}",
]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with six days of minute bars and just enough history behind them."""
    return write_small_market(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="session")
def tiny(market: Path) -> Config:
    """A run over that market which takes seconds."""
    config = compose_config(TINY)
    return replace(config, market=replace(config.market, store=str(market)))


@pytest.fixture(scope="session")
def days(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """The days of the store that can hold decisions."""
    folder = RunFolder(tmp_path_factory.mktemp("days") / "folder")
    return MarketData(tiny, folder).builder.days()
