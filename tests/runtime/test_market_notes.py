"""Whoever reads results of a synthetic market is told, also where only the reference is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apex_trader.data import main as data_command
from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import synthesize
from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder

ETH, BTC = "synthetic:ETHUSDT", "synthetic:BTCUSDT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("market")
    synthesize(
        "martingale", MarketStore(made), seed=1, days=2, history_days=48, minute_days=30,
        trades_per_second=0.5,
    )  # fmt: skip
    return made


def notes(folder: Path, scratch: Path, synthetic: tuple[str, ...]) -> list[str]:
    """Of a store in which only these markets are labelled synthetic."""
    store = MarketStore(folder)
    label = {"generator": "martingale", "seed": 1}
    for market in (ETH, BTC):
        info = replace(store.info(market), synthetic=label if market in synthetic else None)
        store.set_info(info)
    config = compose_config(
        [f"market.store={folder}", f"market.primary={ETH}", f"market.reference={BTC}",
         "state.window=32", "periods.validation=0", "periods.test=0", "periods.extractor=0.5"]
    )  # fmt: skip
    return MarketData(config, RunFolder(scratch)).notes()


def test_a_synthetic_primary_is_told(folder: Path, tmp_path: Path) -> None:
    told = notes(folder, tmp_path, (ETH,))
    assert [note for note in told if "ynthetic" in note] == [
        "Synthetic market, not a real one: generator martingale, seed 1."
    ]


def test_a_synthetic_reference_of_a_real_market_is_told(folder: Path, tmp_path: Path) -> None:
    told = notes(folder, tmp_path, (BTC,))
    assert [note for note in told if "ynthetic" in note] == [
        f"The reference {BTC} is synthetic, not a real one: generator martingale, seed 1."
    ]


def test_real_markets_are_not_called_synthetic(folder: Path, tmp_path: Path) -> None:
    assert not any("synthetic," in note or "Synthetic" in note
                   for note in notes(folder, tmp_path, ()))  # fmt: skip


def test_data_info_says_synthetic(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes(folder, tmp_path, (BTC,))
    data_command(["info", "--store", str(folder)])
    assert capsys.readouterr().out.count("SYNTHETIC") == 1
