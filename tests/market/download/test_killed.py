"""A download that is killed at any moment and run again ends with the bytes of an undisturbed one.

A real process is killed (SIGKILL) at random moments: between requests, in the middle of a file, of
an import, of a commit. APEX_TRADER_KILLS says how often altogether (default 6).
"""

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from apex_trader.data import main
from apex_trader.market.store import MarketStore
from apex_trader.market.verify import verify
from tests.local_exchange import LocalExchange
from tests.local_exchange.faults import Drip, Fault, Request, Status
from tests.market.download.helpers import content, opened
from tests.market.exchange.local import feed

KILLS = int(os.environ.get("APEX_TRADER_KILLS", "6"))


def quietly(arguments: list[str]) -> None:
    """The command in a process of its own."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        os._exit(main(arguments))


def start(exchange: LocalExchange, store: Path) -> ForkServerProcess:
    context = multiprocessing.get_context("forkserver")
    # Importing takes longer than the download: children begin with everything there.
    context.set_forkserver_preload(["apex_trader.data_download_screen", "numba"])
    arguments = [
        "download", "--store", str(store), "--symbols", "ETHUSDT,BTCUSDT", "--from", "2024-03-04",
        "--to", "2024-03-06", "--kinds", "trades,1m,1d", "--url", exchange.rest_url,
        "--archive-url", exchange.archive_url, "--concurrency", "2",
    ]  # fmt: skip
    process = context.Process(target=quietly, args=(arguments,))
    process.start()
    return process


def slow_and_incomplete(count: Callable[[], None]) -> Callable[[Request], Fault | None]:
    """Files trickle, and one day of them is not published, so that REST has to help."""

    def meet(request: Request) -> Fault | None:
        count()
        if "BTCUSDT" in request.path and "2024-03-05" in request.path:
            return Status(404)
        return Drip(2048, 0.003) if request.path.endswith(".zip") else None

    return meet


def killed(exchange: LocalExchange, store: Path, at: int, delay: float) -> bool:
    """Kill a download some time after its ``at``-th request; False when it was over before."""
    seen, reached = 0, threading.Event()

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen >= at:
            reached.set()

    exchange.follow(slow_and_incomplete(count))
    process = start(exchange, store)
    while process.is_alive() and not reached.wait(0.02):
        pass
    process.join(delay)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


@pytest.mark.slow
def test_killed_at_random_moments_it_completes_to_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2024)
    requests = 0

    def count() -> None:
        nonlocal requests
        requests += 1

    with opened(feed(count=6000, days=2)) as exchange:
        exchange.follow(slow_and_incomplete(count))
        process = start(exchange, tmp_path / "undisturbed")
        process.join()
        assert process.exitcode == 0
        wanted = content(MarketStore(tmp_path / "undisturbed"))
        assert len(wanted) > 8
        kills = trial = 0
        while kills < KILLS:
            trial += 1
            store = tmp_path / f"killed {trial}"
            for _ in range(3):
                at, delay = int(rng.integers(0, requests + 1)), float(rng.exponential(0.1))
                kills += killed(exchange, store, at, delay)
            exchange.follow(slow_and_incomplete(lambda: None))
            process = start(exchange, store)
            process.join()
            assert process.exitcode == 0
            assert content(MarketStore(store)) == wanted
        assert list(verify(MarketStore(store), ["binance:ETHUSDT"]))
