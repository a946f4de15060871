"""Seconds that the agent's accounts take on a year of minute decisions, and where they go.

    python -m benchmarks.year_of_minutes                              # a synthetic market
    python -m benchmarks.year_of_minutes --store DIR --accounts 10    # a real one, eth_minutes

A network of the default size, its weights drawn so that it trades, on the days of eth_minutes.
Before the clock runs, tables are built and CNN rows drawn, which no figure depends on; baselines,
bootstrap and report are left out. What is timed is what ``backtest`` calls: ``EncodedMarket`` of
every day, then ``walk_agent``. Parts are the processor's seconds of whichever thread does them, so
that other work on the machine counts little; encode and policy are products of matrices.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from apex_trader.evaluation import account_walk, encodings, network_walk
from apex_trader.evaluation.backtest import path_of
from apex_trader.evaluation.encodings import EncodedMarket, encoded
from apex_trader.evaluation.network_walk import Scenario
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.market.synthetic import synthesize
from apex_trader.models.config import DuelingConfig
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.runtime.agent_walk import walk_agent
from apex_trader.runtime.judge import cores
from apex_trader.runtime.judged_market import lean
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.gather import CNN_WIDTH, MarketTables
from apex_trader.state.schema import Schema, eth_minutes
from apex_trader.state.segment import Segment
from apex_trader.trading.config import RewardConfig, TradingConfig
from benchmarks.watched import Watched

#: Decisions of a year, to which shorter periods are scaled.
YEAR = 365 * 1440
#: Days that are held with their tables at a time, so that a year needs no 30 GB.
_AT_ONCE = 16


@contextmanager
def market(arguments: argparse.Namespace) -> Iterator[SegmentBuilder]:
    """The builder of the given store's markets, or of a synthetic one's."""
    with tempfile.TemporaryDirectory() as folder:
        exchange, store = "binance", MarketStore(arguments.store or folder)
        if not arguments.store:
            exchange = "synthetic"
            synthesize("regimes", store, seed=1, days=arguments.days, clock="1m")
        primary, reference = (f"{exchange}:{symbol}USDT" for symbol in ("ETH", "BTC"))
        sources = StoreSource(store, primary), StoreSource(store, reference)
        yield SegmentBuilder(eth_minutes(), sources[0], sources[1])


def network_of(schema: Schema) -> DuelingQNetwork:
    """Of the default size; heads do not begin near zero, so that it changes its mind."""
    made = DuelingQNetwork(schema, 3, DuelingConfig(), torch.Generator().manual_seed(1))
    with torch.no_grad():
        made.advantage.weight.mul_(100.0)
    return made


def tables_of(segment: Segment, random: np.random.Generator) -> MarketTables:
    """Tables of a segment with CNN rows."""
    tables = MarketTables.from_segments([segment], eth_minutes())
    rows = random.normal(size=(segment.rows, 2, CNN_WIDTH)).astype(np.float16)
    tables.write_cnn(0, rows, "drawn")
    return tables


def accounts_of(count: int, segments: list[Segment]) -> list[Scenario]:
    """Accounts at fees from 0 on."""
    path, trading = path_of(segments), TradingConfig()
    fees = np.linspace(0.0, 0.001, count) if count > 1 else [trading.fee]
    return [Scenario(f"{fee:g}", path, replace(trading, fee=float(fee))) for fee in fees]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--store", default="", help="a market store with minute bars of both")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--accounts", type=int, default=10)
    parser.add_argument("--torch-threads", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="stretches at a time, 0: by cores")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    threads, parts = arguments.threads or cores(), Watched(time.thread_time)
    parts.watch("gather", encodings, "gather")
    parts.watch("encode", DuelingQNetwork, "encode")
    parts.watch("policy", network_walk, "_hidden")
    parts.watch("account", account_walk.AccountWalk, "go")
    parts.watch("record", network_walk, "record_of")
    with market(arguments) as builder, ThreadPoolExecutor(threads) as pool:
        days = builder.days()[-arguments.days :]
        measure(builder, days, arguments.accounts, pool, parts)
    print(f"{threads} threads of stretches, {arguments.torch_threads} of torch, "
          f"{arguments.accounts} accounts")  # fmt: skip


def measure(
    builder: SegmentBuilder,
    days: list[int],
    accounts: int,
    pool: ThreadPoolExecutor,
    parts: Watched,
) -> None:
    """Encode and walk the days; print wall seconds and parts, as they are and for a year."""
    random, segments, wall = np.random.default_rng(1), list[Segment](), 0.0
    network = network_of(builder.schema)
    warm_up(builder.build(days[0]), network, pool, random)
    parts.spent.clear()
    with EncodedMarket(network, pool) as whole:
        for first in range(0, len(days), _AT_ONCE):
            built = [builder.build(day) for day in days[first : first + _AT_ONCE]]
            tables = [tables_of(segment, random) for segment in built]
            started = time.perf_counter()
            for segment, own in zip(built, tables, strict=True):
                whole.add(own, segment.outcomes.next_row >= 0)
            whole.wait()
            wall += time.perf_counter() - started
            segments += [lean(segment) for segment in built]
        scenarios, started = accounts_of(accounts, segments), time.perf_counter()
        records = walk_agent(network, whole.finish(), scenarios, RewardConfig(), pool)
        walked = time.perf_counter() - started
    show(wall, walked, parts, whole.rows)
    print(f"trades of the accounts: {', '.join(f'{r.traded.sum():,}' for r in records)}")


def warm_up(
    segment: Segment,
    network: DuelingQNetwork,
    pool: ThreadPoolExecutor,
    random: np.random.Generator,
) -> None:
    """A day, so that nothing is compiled while the clock runs."""
    wanted = segment.outcomes.next_row >= 0
    with encoded(network, tables_of(segment, random), wanted, pool) as market:
        walk_agent(network, market, accounts_of(1, [segment]), RewardConfig(), pool)


def show(encoding: float, walking: float, parts: Watched, rows: int) -> None:
    """One line a part."""
    scale = YEAR / rows
    print(f"{rows:,} decisions{'':14}{'s':>9}{'s a year':>10}")
    lines = {"wall": encoding + walking, "  encoding": encoding, "  accounts": walking}
    lines |= {f"processor: {name}": seconds for name, (seconds, _) in parts.spent.items()}
    for name, seconds in lines.items():
        print(f"{name:<32}{seconds:9.1f}{seconds * scale:10.1f}")


if __name__ == "__main__":
    main()
