"""Several processes on one local store at once: one writes at a time, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_trader.market.finding import Finding
from apex_trader.market.store import MarketStore
from apex_trader.market.verify import verify
from tests.local_exchange import LocalExchange
from tests.local_exchange.faults import Drip, Fault, Request
from tests.market.download.helpers import content, opened
from tests.market.exchange.local import feed
from tests.market.samples import random_bars

PROJECT = Path(__file__).parents[3]
BUSY = "another download into the store"


def downloading(exchange: LocalExchange, store: Path, symbols: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "apex_trader.data", "download", "--store", str(store), "--symbols",
         symbols, "--from", "2024-03-04", "--to", "2024-03-06", "--kinds", "trades,1m", "--url",
         exchange.rest_url, "--archive-url", exchange.archive_url],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def slowly(begun: threading.Event) -> Callable[[Request], Fault | None]:
    """Files take twenty seconds: longer than another process needs to begin."""

    def meet(request: Request) -> Fault | None:
        if not request.path.endswith(".zip"):
            return None
        begun.set()
        return Drip(512, 0.2)

    return meet


@pytest.mark.slow
def test_of_two_downloads_one_goes_on_and_the_other_says_why_not(tmp_path: Path) -> None:
    begun = threading.Event()
    with opened(feed(count=6000, days=2)) as exchange:
        alone = downloading(exchange, tmp_path / "alone", "ETHUSDT,BTCUSDT")
        assert alone.wait(60) == 0, alone.communicate()
        exchange.follow(slowly(begun))
        first = downloading(exchange, tmp_path / "both", "ETHUSDT")
        assert begun.wait(60)
        second = downloading(exchange, tmp_path / "both", "BTCUSDT")
        _, said = second.communicate(timeout=60)
        exchange.follow(None)
        assert second.returncode == 2
        assert BUSY in said
        assert "wait for it to end" in said
        assert first.wait(60) == 0, first.communicate()
        again = downloading(exchange, tmp_path / "both", "ETHUSDT,BTCUSDT")
        assert again.wait(60) == 0, again.communicate()
    assert content(MarketStore(tmp_path / "both")) == content(MarketStore(tmp_path / "alone"))


def importing(store: Path, file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "apex_trader.data", "import", "--store", str(store), str(file)],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_imports_at_once_end_whole_or_leave_nothing(tmp_path: Path) -> None:
    files = [tmp_path / f"binance_{symbol}_1m.parquet" for symbol in ("ETHUSDT", "BTCUSDT")]
    for seed, file in enumerate(files):
        bars = random_bars(seed, 300_000, "1m")
        names = ("open", "high", "low", "close", "volume")
        pq.write_table(pa.table({"ts": bars.ts // 1000, **{n: getattr(bars, n) for n in names}}),
                       file)  # fmt: skip
    both = [importing(tmp_path / "store", file) for file in files]
    ended = [(process.communicate(timeout=60), process.returncode) for process in both]
    held = MarketStore(tmp_path / "store").markets()
    for file, ((_, err), code) in zip(files, ended, strict=True):
        market = "binance:" + file.name.split("_")[1]
        assert code in (0, 2)
        assert (market in held) == (code == 0)
        assert code == 0 or "another command is writing to the store" in err
    assert held, "one of them has written"
    found = [f for f in verify(MarketStore(tmp_path / "store")) if isinstance(f, Finding)]
    assert [f for f in found if f.violation or "not part of" in f.text] == []
