"""The real markets where they are at hand, imported once, and an empty store."""

from pathlib import Path

import pytest

from apex_trader.market.importers import import_files
from apex_trader.market.store import MarketStore


@pytest.fixture(scope="session")
def real_files() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "market"
    if not folder.is_dir():
        pytest.skip("the real market files are not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def real_store(real_files: Path, tmp_path_factory: pytest.TempPathFactory) -> MarketStore:
    store = MarketStore(tmp_path_factory.mktemp("real") / "store")
    import_files(store, [str(real_files)])
    return store


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "store")
