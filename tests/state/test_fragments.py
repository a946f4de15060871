"""Fragments of ticks with hours of holes between them, from files to decisions on the 1 s clock.

A file ends within a second and the next begins within one; against a count by hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_trader.data import main
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Bars, Trades
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.schema import eth_full
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.state.state_markets import START, random_minutes, random_trades
from tests.state.test_irregular import stretches_by_hand

ETH, BTC = "binance:ETHUSDT", "binance:BTCUSDT"
WINDOW, BEGIN = 16, START + 20 * DAY
#: [from, to) of each fragment after BEGIN, µs: across a border of seconds, and of days.
FRAGMENTS = [(0, 2 * HOUR + 500_500), (9 * HOUR + 700_001, 12 * HOUR), (DAY - MINUTE, DAY + HOUR)]


def minutes_file(folder: Path, symbol: str, rng: np.random.Generator) -> str:
    bars: Bars = random_minutes(rng, START, BEGIN, 2000.0)
    columns = {n: getattr(bars, n) for n in ("open", "high", "low", "close", "volume")}
    path = folder / f"binance_{symbol}_1m.parquet"
    pq.write_table(pa.table({"ts": bars.ts // 1000, **columns}), path)
    return str(path)


def trade_files(folder: Path, symbol: str, trades: Trades) -> list[str]:
    paths = []
    for k, (start, end) in enumerate(FRAGMENTS):
        part = trades.between(BEGIN + start, BEGIN + end)
        columns = {n: getattr(part, n) for n in ("ts", "price", "amount", "side")}
        paths.append(str(folder / f"binance_{symbol}_trades_{k}.parquet"))
        pq.write_table(pa.table(columns), paths[-1])
    return paths


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[MarketStore, SegmentBuilder]:
    folder, rng, files = tmp_path_factory.mktemp("fragments"), np.random.default_rng(5), []
    for symbol in ("ETHUSDT", "BTCUSDT"):
        files.append(minutes_file(folder, symbol, rng))
        trades = random_trades(rng, BEGIN, BEGIN + 2 * DAY, 2000.0, per_second=0.8)
        files += trade_files(folder, symbol, trades)
    assert main(["import", *files, "--store", str(folder / "store")]) == 0
    assert main(["verify", "--store", str(folder / "store")]) == 0
    store = MarketStore(str(folder / "store"))
    schema = eth_full(WINDOW).without("cnn_hidden", "cnn_predictions")
    return store, SegmentBuilder(schema, StoreSource(store, ETH), StoreSource(store, BTC))


@pytest.mark.parametrize("day", [0, 1])
def test_no_fast_window_and_no_transition_crosses_a_hole(world, day: int) -> None:
    store, builder = world
    segment = builder.build(BEGIN + day * DAY)
    known, going_on = segment.decisions, segment.outcomes.next_row
    ts = store.read_trades(ETH).ts
    traded = np.zeros(2 * 86_400, bool)
    traded[np.unique((ts - BEGIN) // SECOND)] = True
    stretch: list[int | None] = [None, *stretches_by_hand(traded.tolist(), longest=60)]
    begins = [stretch[day * 86_400 + 5 * row] for row in range(17_280)]
    for row, begin in enumerate(begins):
        shown = 0 if begin is None else min(WINDOW, day * 86_400 + 5 * row - begin)
        assert known.row["1s"][row] - known.start["1s"][row] + 1 == shown, row
        assert begin is not None or not known.decidable[row]
        if going_on[row] >= 0:
            assert begin is not None
            assert begins[row + 1] == begin
    assert known.decidable.any()


def test_what_was_not_recorded_has_no_price_and_no_fill(world) -> None:
    store, builder = world
    segment = builder.build(BEGIN)
    ts, outcomes = segment.decisions.ts - BEGIN, segment.outcomes
    hole = (ts > FRAGMENTS[0][1] + MINUTE) & (ts < FRAGMENTS[1][0] - 5 * SECOND)
    assert hole.sum() > 4000
    assert np.isnan(outcomes.fill[hole]).all()
    assert not segment.decisions.decidable[hole].any()
    fast = [block.name for block in builder.schema.blocks].index("ticks")
    assert (segment.decisions.coverage[hole, fast] == 0).all()
    minutes = StoreSource(store, ETH).bars("1m")
    inside = minutes.between(BEGIN + 2 * HOUR, BEGIN + 9 * HOUR + MINUTE)
    assert len(inside) == 0, "of the minutes in which a file ends or begins nothing is shown"
