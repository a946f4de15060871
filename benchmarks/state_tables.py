"""How fast states are made, and how well their columns are scaled.

    python benchmarks/state_tables.py gather                      # states a second, one thread
    python benchmarks/state_tables.py columns --store DIR         # shares of every column
    python benchmarks/state_tables.py columns --store DIR --schema eth_full \
        --primary densified:ETHUSDT --reference densified:BTCUSDT --every 1

``gather`` needs no data. ``columns`` builds every so many days of a store and prints, per column,
how much of it is there and how much of that the guard clips.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.coverage import column_report
from apex_trader.state.gather import MarketTables, gather, gather_block
from apex_trader.state.schema import SCHEMAS

ROWS, DECISIONS = 90_000, 17_000


def noise_tables(name: str) -> MarketTables:
    """A day's worth of tables filled with noise: speed does not depend on what they hold."""
    schema = SCHEMAS[name]().without("cnn_hidden", "cnn_predictions")
    tables = MarketTables.allocate(schema, dict.fromkeys(schema.clocks, ROWS), DECISIONS)
    generator = torch.Generator().manual_seed(0)
    for table in tables.blocks.values():
        table.normal_(generator=generator)
    for clock in schema.clocks:
        last = torch.randint(300, ROWS, (DECISIONS,), generator=generator)
        tables.last[clock].copy_(last.sort().values)
        tables.valid[clock].fill_(300)
        tables.scale[clock].fill_(2.0)
    return tables


def time_gather(batches: list[int]) -> None:
    print(f"{'schema':12} {'batch':>6} {'mirrored':>8} {'states/s':>10} {'in torch':>10}")
    for name in SCHEMAS:
        tables = noise_tables(name)
        for batch in batches:
            rows = torch.randint(0, DECISIONS, (batch,))
            out = torch.empty(batch, tables.schema.market_size)
            for mirror in (None, torch.arange(batch) % 2 == 0):
                compiled = rate(lambda: gather(tables, rows, mirror, out), batch)  # noqa: B023
                plain = rate(lambda: by_torch(tables, rows, mirror, out), batch)  # noqa: B023
                half = "none" if mirror is None else "half"
                print(f"{name:12} {batch:6} {half:>8} {compiled:10,.0f} {plain:10,.0f}")


def by_torch(
    tables: MarketTables, rows: torch.Tensor, mirror: torch.Tensor | None, out: torch.Tensor
) -> None:
    for block in tables.schema.blocks:
        gather_block(tables, block, rows, mirror, out[:, tables.schema.offsets[block.name]])


def rate(work, batch: int, seconds: float = 0.5) -> float:
    """States a second of the best of three runs."""
    work()
    best = 0.0
    for _ in range(3):
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            work()
            count += batch
        best = max(best, count / (time.perf_counter() - start))
    return best


def show_columns(args: argparse.Namespace) -> None:
    store = MarketStore(args.store)
    schema = SCHEMAS[args.schema]()
    builder = SegmentBuilder(
        schema, StoreSource(store, args.primary), StoreSource(store, args.reference)
    )
    days = builder.days()[:: args.every]
    start = time.perf_counter()
    reports = column_report((builder.build(day) for day in days), schema, args.sample)
    print(f"{len(days)} days in {time.perf_counter() - start:.1f} s")
    for report in reports:
        shares = [c.clip_share for c in report.columns if np.isfinite(c.clip_share)]
        print(f"{report.name}: {report.required} features, coverage {report.coverage:.4f}, "
              f"clipped at most {max(shares, default=0):.4f}")  # fmt: skip
        for c in report.columns:
            flags = [word for word, on in (("constant", c.constant), ("missing", c.missing),
                     ("cannot be provided", c.cannot_provide)) if on]  # fmt: skip
            if args.all or flags or c.clip_share > 0.002:
                print(f"   {c.name:20} there {c.present:6.4f} clipped {c.clip_share:6.4f} "
                      f"{', '.join(flags)}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    speed = modes.add_parser("gather", help="states a second")
    speed.add_argument("--batch", type=int, nargs="+", default=[1, 256, 512])
    columns = modes.add_parser("columns", help="shares of every column")
    columns.add_argument("--store", required=True, help="the market store")
    columns.add_argument("--schema", choices=list(SCHEMAS), default="eth_minutes")
    columns.add_argument("--primary", default="binance:ETHUSDT")
    columns.add_argument("--reference", default="binance:BTCUSDT")
    columns.add_argument("--every", type=int, default=7, help="take one day in so many")
    columns.add_argument("--sample", type=int, default=24, help="times gathered a day")
    columns.add_argument("--all", action="store_true", help="print every column")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.mode == "gather":
        time_gather(args.batch)
    else:
        show_columns(args)


if __name__ == "__main__":
    main()
