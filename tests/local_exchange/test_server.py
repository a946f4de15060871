"""The exchange serves in a thread, closes cleanly, and can be started by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from apex_trader.errors import ApexError
from apex_trader.market.store import MarketStore
from tests.local_exchange import Clock, Feed, LocalExchange
from tests.local_exchange.__main__ import main
from tests.local_exchange.samples import exact_trades
from tests.market.samples import MONDAY

ROOT = Path(__file__).parents[2]


def server_time(exchange: LocalExchange) -> int:
    with urllib.request.urlopen(f"{exchange.rest_url}/api/v3/time", timeout=5) as answer:
        return int(json.load(answer)["serverTime"])


def test_in_a_thread_synchronous_code_can_ask(feed: Feed) -> None:
    clock = Clock(MONDAY, speed=0)
    with LocalExchange(feed, clock=clock) as exchange:
        assert server_time(exchange) == MONDAY // 1000
        clock.advance(5_000_000)
        exchange.run(exchange.settle())
        assert server_time(exchange) == MONDAY // 1000 + 5000
        assert exchange.disconnect() == 0
        address = exchange.rest_url
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)


def test_its_address_is_known_only_while_it_is_open(feed: Feed) -> None:
    with pytest.raises(ApexError, match="not open"):
        _ = LocalExchange(feed).rest_url


def test_a_port_that_is_taken_is_an_error_for_the_caller(feed: Feed) -> None:
    with LocalExchange(feed) as first:
        port = int(first.address.split(":")[1])
        with pytest.raises(OSError, match="in use"), LocalExchange(feed, port=port):
            pass


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    MarketStore(tmp_path / "store").write_trades("binance:ETHUSDT", exact_trades(1, 100))
    return tmp_path / "store"


def test_the_command_serves_a_store_until_it_is_stopped(stored: Path) -> None:
    command = [sys.executable, "-m", "tests.local_exchange", "--store", str(stored), "--port", "0",
               "--speed", "60", "--faults", "1e-9"]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[1].rstrip(",")
            with urllib.request.urlopen(f"{address}/time", timeout=10) as answer:
                assert int(json.load(answer)["serverTime"]) >= MONDAY // 1000
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_the_command_names_what_is_wrong(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", str(stored), "--markets", "binance:XRPUSDT"]) == 2
    assert "XRPUSDT" in capsys.readouterr().err
