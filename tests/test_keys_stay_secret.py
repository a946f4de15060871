"""API keys of a run on a live market are in nothing that it writes or prints.

The real command in a process of its own, with W&B's real client (offline), against an exchange on
this machine. Every byte of every file that the process leaves anywhere is searched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apex_trader.market.source import MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.time import DAY, HOUR, format_date
from tests.conftest import SMALL
from tests.market.stream.simulated import BTC, ETH

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[1]
KEYS = {"BINANCE_API_KEY": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv",
        "BINANCE_API_SECRET": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP"}  # fmt: skip
#: What everything that describes the run holds: where this is not found, nothing was searched.
MARKER = "a-marker-to-be-found"


@pytest.fixture(scope="module")
def store(small_market: Path, tmp_path_factory: pytest.TempPathFactory) -> MarketStore:
    """The small market as one of an exchange, up to where the stream begins."""
    made, folder = MarketStore(str(small_market)), tmp_path_factory.mktemp("exchange")
    store = MarketStore(str(folder / "market"))
    with store.transaction() as transaction:
        for name, market in zip(sorted(made.markets())[::-1], (ETH, BTC), strict=True):
            transaction.set_info(MarketInfo(market))
            for clock in ("1m", "1h", "1d"):
                if clock in made.kinds(name):
                    transaction.write(market, made.read_bars(name, clock))
    return store


def begin_of(store: MarketStore) -> int:
    """The hour of the last day in which the exchange is at the start."""
    return int(store.read_bars(ETH, "1m").ts[-1]) // HOUR * HOUR - HOUR


@pytest.fixture(scope="module")
def ran(
    store: MarketStore, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A finished run, and the folder of everything that it could write to."""
    folder = tmp_path_factory.mktemp("secret")
    words = [
        *(word for word in SMALL if not word.startswith("wandb")),
        "periods={test: 0.0, extractor: 0.4, validation: 0.3}",
        "train={updates: 4, evaluate_every: 2, checkpoint_every: 2}",
        "rollout={source: stream, seal_every: 600, episode_steps: 0}",
        f"market.primary={ETH}", f"market.reference={BTC}", f"market.store={store.url}",
        f"periods.end={format_date(begin_of(store) // DAY * DAY)}",
        f"hydra.run.dir={folder / 'run'}", "wandb={mode: offline, tags: [" + MARKER + "]}",
    ]  # fmt: skip
    places = ("HOME", "TMPDIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR",
              "XDG_CACHE_HOME")  # fmt: skip
    for name in places:
        (folder / name).mkdir()
    environment = {**os.environ, **KEYS, **{name: str(folder / name) for name in places},
                   "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.live_command", str(begin_of(store)), *words], cwd=folder,
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done, folder


def pieces(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and every member of those that are archives."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        yield str(path.relative_to(folder)), path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{path.relative_to(folder)}!{member}", archive.read(member)


def test_the_run_learned_from_the_live_market(ran):
    done, folder = ran
    assert done.returncode == 0, done.stderr[-3000:]
    readings = [
        json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()
    ]
    assert any(reading.get("stream/parts_sealed", 0) > 0 for reading in readings)
    assert max(reading.get("learner/updates", 0) for reading in readings) == 4


def test_no_file_that_the_run_wrote_holds_a_key(ran):
    _, folder = ran
    searched = dict(pieces(folder))
    found = {name for name, content in searched.items() if MARKER.encode() in content}
    assert "run/config.yaml" in found
    assert any(name.endswith(".wandb") for name in found), "W&B's own file is searched"
    assert any(name.startswith("run/checkpoints/") for name in searched)
    for value in KEYS.values():
        assert [name for name, content in searched.items() if value.encode() in content] == []


def test_no_file_of_the_store_holds_a_key(ran, store):
    for value in KEYS.values():
        for name, content in pieces(Path(store.url)):
            assert value.encode() not in content, name


def test_nothing_that_the_run_printed_holds_a_key(ran):
    done, _ = ran
    for value in KEYS.values():
        assert value not in done.stdout + done.stderr
