"""The real markets where they are at hand, imported once, and an empty store."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from apex_trader.market.importers import ImportSummary, import_files
from apex_trader.market.store import MarketStore
from tests.real_market import real_folder


@pytest.fixture(scope="session")
def real_files() -> Path:
    return real_folder()


@dataclass(frozen=True)
class RealImport:
    """The real files in a store, what their import reported, and its CPU seconds."""

    store: MarketStore
    summary: ImportSummary
    seconds: float


@pytest.fixture(scope="session")
def real_import(real_files: Path, tmp_path_factory: pytest.TempPathFactory) -> RealImport:
    store = MarketStore(tmp_path_factory.mktemp("real") / "store")
    began = time.process_time()
    summary = import_files(store, [str(real_files)])
    return RealImport(store, summary, time.process_time() - began)


@pytest.fixture(scope="session")
def real_store(real_import: RealImport) -> MarketStore:
    return real_import.store


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "store")
