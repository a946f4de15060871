"""A store that was tampered with is found out, and a source's quirks are only warnings."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.summary import summarize
from apex_trader.market.verify import Finding, verify
from apex_trader.time import DAY, HOUR, MINUTE
from tests.market.samples import MONDAY, random_bars, random_trades

ETH = "testing:ETHUSDT"


def findings(store: MarketStore) -> list[Finding]:
    return [found for found in verify(store) if isinstance(found, Finding)]


@pytest.fixture
def sound(store: MarketStore) -> MarketStore:
    trades = random_trades(1, 5000, MONDAY, 3 * HOUR)
    minutes = resample(bars_from_seconds(seconds_from_trades(trades)), "1m")
    store.write_trades(ETH, trades)
    store.write_bars(ETH, minutes)
    store.write_bars(ETH, resample(minutes, "1h"))
    return store


def test_a_sound_store_has_no_findings(sound: MarketStore) -> None:
    assert findings(sound) == []


def rewrite(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def apply(part: Path) -> None:
        pq.write_table(change(pq.read_table(part)), part)

    return apply


def scaled(field: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table[field].to_numpy().copy()
        values[3] *= 1.0000001
        return table.set_column(table.column_names.index(field), field, pa.array(values))

    return change


def shuffled(table: pa.Table) -> pa.Table:
    return table.take(np.r_[1, 0, 2 : table.num_rows])


TAMPERED = {
    "truncated": lambda part: part.write_bytes(part.read_bytes()[:-30]),
    "missing": lambda part: part.unlink(),
    "a changed price": rewrite(scaled("price")),
    "unsorted": rewrite(shuffled),
    "a lost row": rewrite(lambda table: table.slice(0, table.num_rows - 1)),
    "a column of another name": rewrite(
        lambda t: t.rename_columns(["ts", "cost", "amount", "side"])
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_file_is_named(sound: MarketStore, how: str) -> None:
    (part,) = (Path(sound.files.root) / "exchange=testing").rglob("kind=trades/*/part-*.parquet")
    TAMPERED[how](part)
    found = findings(MarketStore(sound.url))
    assert any(f.violation and part.name in f.place for f in found), found


def test_tampered_minutes_beside_ticks_are_named(sound: MarketStore) -> None:
    (part,) = Path(sound.files.root).rglob("minutes-*.parquet")
    rewrite(scaled("volume"))(part)
    found = findings(MarketStore(sound.url))
    assert [f.violation for f in found] == [True]
    assert "row 3, field 'volume'" in found[0].text


def test_a_tampered_list_is_noticed(sound: MarketStore) -> None:
    path = Path(sound.files.root) / "store.json"
    payload = json.loads(path.read_text())
    payload["markets"][ETH]["kinds"]["1m"]["coverage"] = []
    path.write_text(json.dumps(payload))
    assert any(f.violation for f in findings(MarketStore(sound.url)))


def test_ticks_far_outside_their_bar_are_a_violation(sound: MarketStore) -> None:
    wrong = random_trades(1, 5000, MONDAY, 3 * HOUR)
    wrong.price[2000] *= 1.05
    sound.write_trades(ETH, wrong, replace=True)
    found = findings(sound)
    assert [f.violation for f in found] == [True]
    assert "1 of" in found[0].text


def test_ticks_that_hold_a_part_of_the_volume_are_a_warning(sound: MarketStore) -> None:
    trades = random_trades(1, 5000, MONDAY, 3 * HOUR)
    sound.write_trades(ETH, replace(trades, amount=trades.amount * 0.5), replace=True)
    found = findings(sound)
    assert [f.violation for f in found] == [False]
    assert "50.0% of their volume" in found[0].text


def test_a_hole_in_the_ticks_is_a_warning(store: MarketStore) -> None:
    trades = random_trades(1, 5000, MONDAY, 3 * HOUR)
    store.write_bars(ETH, resample(bars_from_seconds(seconds_from_trades(trades)), "1m"))
    before, after = (
        trades.between(MONDAY, MONDAY + HOUR),
        trades.between(MONDAY + 80 * MINUTE, MONDAY + DAY),
    )
    store.write_trades(ETH, before, covered=(MONDAY, MONDAY + HOUR))
    store.write_trades(ETH, after, covered=(MONDAY + HOUR, MONDAY + 3 * HOUR))
    found = findings(store)
    assert [f.violation for f in found] == [False]
    assert found[0].text.startswith("20 of")


def test_what_a_killed_import_left_is_a_warning(sound: MarketStore) -> None:
    (Path(sound.files.root) / "exchange=testing" / "part-0000.parquet").write_bytes(b"x")
    found = findings(sound)
    assert [f.violation for f in found] == [False]
    assert "1 files are not part" in found[0].text


def test_the_real_files_hold_quirks_and_no_violation(real_store: MarketStore) -> None:
    found = findings(real_store)
    assert [f.violation for f in found] == [False, False]
    assert "61.5% of their volume" in found[0].text
    assert found[1].text.startswith("4 of")


def test_figures_count_gaps_also_between_partitions(store: MarketStore) -> None:
    bars = random_bars(3, 3000, "1m", MONDAY + 26 * DAY, zero=0.0)
    store.write_bars(ETH, bars.slice(0, 1000))
    store.write_bars(ETH, bars.slice(1010, 2000))
    store.write_bars(ETH, bars.slice(2900, 3000))
    figures = summarize(store, ETH).kinds["1m"]
    assert (figures.gaps, figures.missing, figures.longest) == (2, 910, 900 * MINUTE)
    assert (figures.rows, figures.partitions) == (2090, 2)


def test_figures_of_the_real_files(real_store: MarketStore) -> None:
    kinds = summarize(real_store, "binance:ETHUSDT").kinds
    hours, seconds, ticks = kinds["1h"], kinds["1s"], kinds["trades"]
    assert (hours.gaps, hours.missing, hours.longest) == (25, 87, 10 * HOUR)
    assert (hours.zero_volume, seconds.zero_volume) == (4, 741)
    assert (ticks.longest, ticks.unknown_sides) == (3_787_000, 0)
    thinned = summarize(real_store, "binance:BTCUSDT").kinds["trades"]
    assert thinned.unknown_sides == 451_466
