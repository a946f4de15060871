"""What a live market costs: tables as it goes on, the state of now, sealed parts.

    python benchmarks/live_tables.py

A synthetic market of ticks (mean_reversion, two markets), eth_full with windows of 300 rows; an
hour comes second by second, over a midnight. Prints one table. Times are of the processor, so that
other work on the machine does not count (its cache misses do).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apex_trader.market.closed import ClosedSeconds
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import synthesize
from apex_trader.state.gather import gather
from apex_trader.state.live import LiveTables
from apex_trader.state.schema import eth_full
from apex_trader.time import DAY, MINUTE, SECOND

MARKETS = ("synthetic:ETHUSDT", "synthetic:BTCUSDT")
BEFORE, AFTER = 20 * MINUTE, 40 * MINUTE


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its milliseconds."""
    start = time.process_time()
    result = work()
    return result, 1e3 * (time.process_time() - start)


def kind_of(at: int, midnight: int) -> str:
    """What comes with the second that ends at a time."""
    if at == midnight:
        return "midnight"
    for name, step in (("minute", MINUTE), ("decision", 5 * SECOND)):
        if at % step == 0:
            return name
    return "second"


def follow(sources: list[StoreSource], begun: list[StoreSource], midnight: int) -> None:
    live, start_ms = timed(lambda: LiveTables(eth_full(), begun[0], begun[1]))
    costs: dict[str, list[float]] = {"start": [start_ms]}
    at = begun[0].end
    while at < midnight + AFTER:
        seconds = {s.info.market: s.seconds(at, at + SECOND) for s in sources}
        trades = {s.info.market: s.trades(at, at + SECOND) for s in sources}
        at += SECOND
        closed = ClosedSeconds(at - SECOND, at, seconds, trades)
        _, cost = timed(lambda: live.extend(closed))  # noqa: B023
        costs.setdefault(kind_of(at, midnight), []).append(cost)
        if at % (5 * SECOND) == 0:
            row, wanted = torch.tensor([live.newest]), market_blocks(live)
            _, cost = timed(lambda: gather(live.tables, row, blocks=wanted))  # noqa: B023
            costs.setdefault("gather", []).append(cost)
    for name, until in (("part", midnight + 30 * MINUTE), ("whole day", midnight)):
        costs[name] = [timed(lambda: live.seal(until))[1] for _ in range(3)]  # noqa: B023
    show(costs)


def market_blocks(live: LiveTables) -> list[str]:
    """The blocks that need no extractor."""
    return [b.name for b in live.schema.blocks if not b.name.startswith("cnn")]


def show(costs: dict[str, list[float]]) -> None:
    labels = {
        "start": "begin with the history there is",
        "second": "a second between two decisions",
        "decision": "a second that ends with a decision",
        "minute": "a second that closes a minute",
        "midnight": "the second that ends a day",
        "gather": "the state of the newest decision",
        "part": "seal half an hour",
        "whole day": "seal a whole day",
    }
    print(f"{'':36} {'count':>6} {'median ms':>10} {'95% ms':>8}")
    for name, label in labels.items():
        cost = costs[name]
        print(f"{label:36} {len(cost):6} {np.median(cost):10.2f} {np.quantile(cost, 0.95):8.2f}")


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = MarketStore(str(Path(folder)))
        synthesize("mean_reversion", store, seed=1, days=2)
        sources = [StoreSource(store, market) for market in MARKETS]
        midnight = sources[0].second_days()[-1]
        assert midnight % DAY == 0
        begun = [StoreSource(store, market, midnight - BEFORE) for market in MARKETS]
        follow(sources, begun, midnight)


if __name__ == "__main__":
    main()
