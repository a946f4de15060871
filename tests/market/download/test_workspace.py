"""The folder of downloads: one at a time, nothing left in it without need."""

import os
from pathlib import Path

import pytest

from apex_trader.errors import ApexError
from apex_trader.market.download.workspace import workspace, workspace_folder
from apex_trader.market.store import MarketStore
from apex_trader.time import DAY
from tests.market.samples import MONDAY, random_bars


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(tmp_path / "store")


def test_one_download_at_a_time(store: MarketStore) -> None:
    with workspace(store), pytest.raises(ApexError, match="another download"), workspace(store):
        pass
    with workspace(store):
        pass


def test_an_empty_folder_goes_and_one_with_something_in_it_stays(store: MarketStore) -> None:
    with workspace(store) as folder:
        (folder / "binance").mkdir()
    assert not folder.exists()
    with workspace(store) as folder:
        (folder / "binance").mkdir()
        (folder / "binance" / "BTCUSDT-1m-2024-03-04.zip.part").write_bytes(b"x")
    assert [p.name for p in folder.rglob("*.part")] == ["BTCUSDT-1m-2024-03-04.zip.part"]
    with workspace(store) as folder:
        assert list(folder.rglob("*.part")), "whoever goes on needs it"


def test_files_whose_time_the_store_has_are_swept(store: MarketStore) -> None:
    store.write_bars("binance:ETHUSDT", random_bars(0, 1440, "1m"), covered=(MONDAY, MONDAY + DAY))
    names = ["ETHUSDT-1m-2024-03-04.zip", "ETHUSDT-1m-2024-03-04.zip.part",
             "ETHUSDT-1m-2024-03-04.zip.etag", "ETHUSDT-1m-2024-03-05.zip.part",
             "ETHUSDT-1m-2024-03.zip.part", "unknown"]  # fmt: skip
    with workspace(store) as folder:
        (folder / "binance").mkdir()
        for name in names:
            (folder / "binance" / name).write_bytes(b"x")
    with workspace(store):
        left = sorted(p.name for p in (folder / "binance").iterdir())
    assert left == sorted(names[3:])


def test_a_remote_store_is_worked_for_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = (workspace_folder(MarketStore(f"memory://{name}")) for name in ("a", "b"))
    assert one != other
    assert tmp_path in one.parents


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to root")
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with (
        pytest.raises(ApexError, match="cannot be written"),
        workspace(MarketStore(tmp_path / "store")),
    ):
        pass
