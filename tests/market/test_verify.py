"""A store that was tampered with is found out, and a source's quirks are only warnings."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_trader.market.finding import Finding
from apex_trader.market.mend import days_of, mending
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.summary import summarize
from apex_trader.market.verify import verify
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
        lambda t: t.rename_columns([n.replace("price", "cost") for n in t.column_names])
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
    assert not any(f.violation for f in found)
    texts = {f.place: f.text for f in found if "absent" in f.text}
    assert texts.keys() == {
        f"binance:{coin}USDT {kind}" for coin in ("BTC", "ETH") for kind in ("1m", "1h")
    }
    assert texts["binance:ETHUSDT 1m"].startswith("80 bars are absent in 1 stretches")
    assert texts["binance:ETHUSDT 1h"].startswith("87 bars are absent in 25 stretches")
    ticks = [f for f in found if f.place == "binance:BTCUSDT trades against 1m"]
    assert "61.5% of their volume" in ticks[0].text
    assert ticks[1].text.startswith("4 of")
    assert len(found) == 6


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


def command(mend: str) -> list[str]:
    """The words of the one command that a finding says mends it."""
    (line,) = mend.splitlines()
    return shlex.split(line)


@pytest.fixture
def known(store: MarketStore) -> MarketStore:
    """A market of an exchange that data can be downloaded from."""
    trades = replace(random_trades(1, 3000, MONDAY, 3 * HOUR), id=np.arange(3000))
    minutes = resample(bars_from_seconds(seconds_from_trades(trades)), "1m")
    store.write_trades("binance:ETHUSDT", trades)
    store.write_bars("binance:ETHUSDT", minutes)
    return store


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_file_of_a_known_exchange_has_a_command_that_mends_it(
    known: MarketStore, how: str
) -> None:
    (part,) = Path(known.files.root).rglob("kind=trades/*/part-*.parquet")
    TAMPERED[how](part)
    (found, *_) = findings(MarketStore(known.url))
    assert command(found.mend) == [
        "python", "-m", "apex_trader.data", "download", "--store", known.url, "--exchange",
        "binance", "--symbols", "ETHUSDT", "--kinds", "trades", "--from", "2024-03-04", "--to",
        "2024-03-05", "--replace",
    ]  # fmt: skip


def test_a_row_that_cannot_be_is_named_with_its_file(known: MarketStore) -> None:
    (part,) = Path(known.files.root).rglob("kind=1m/*/part-*.parquet")

    def impossible(table: pa.Table) -> pa.Table:
        high = table["high"].to_numpy().copy()
        high[17] = 1.0
        return table.set_column(table.column_names.index("high"), "high", pa.array(high))

    rewrite(impossible)(part)
    (found,) = findings(MarketStore(known.url))
    assert (found.violation, found.place) == (True, str(part))
    assert "row 17" in found.text


def test_bars_that_contradict_ticks_are_named_by_file_and_row(known: MarketStore) -> None:
    bars = known.read_bars("binance:ETHUSDT", "1m")
    wrong = np.where(np.arange(len(bars)) == 40, 0.8, 1.0)
    changed = {name: getattr(bars, name) * wrong for name in ("open", "high", "low", "close")}
    known.write_bars("binance:ETHUSDT", replace(bars, **changed), replace=True)
    (found,) = findings(known)
    (part,) = Path(known.files.root).rglob("kind=1m/*/part-*.parquet")
    assert found.violation
    assert f"row 40 of {part}" in found.text
    words = command(found.mend)
    assert words[words.index("--kinds") + 1] == "trades,1m"


def test_absent_bars_and_lost_numbers_are_counted(known: MarketStore) -> None:
    bars = known.read_bars("binance:ETHUSDT", "1m")
    left = bars.take(np.delete(np.arange(len(bars)), [20, 21, 22, 60]))
    span = (int(bars.ts[0]), int(bars.ts[-1]) + MINUTE)
    known.write_bars("binance:ETHUSDT", left, replace=True, covered=span)
    trades = known.read_trades("binance:ETHUSDT")
    known.write_trades("binance:ETHUSDT", trades.take(np.delete(np.arange(3000), [7, 8])),
                       replace=True)  # fmt: skip
    found = {f.place: f for f in findings(known) if "absent" in f.text}
    numbers, absent = found["binance:ETHUSDT trades"], found["binance:ETHUSDT 1m"]
    assert numbers.text.startswith("2 trade numbers are absent in 1 stretches")
    assert "before row 7 of" in numbers.text
    assert absent.text.startswith("4 bars are absent in 2 stretches")
    assert "before row 20 of" in absent.text
    assert [numbers.violation, absent.violation] == [False, False]
    assert command(absent.mend)[-3:] == ["--source", "rest", "--replace"]


def test_time_that_is_not_covered_is_a_warning_unless_recordings_are_separate(
    store: MarketStore,
) -> None:
    for start in (0, 3 * DAY, 3 * DAY + 60 * DAY):
        store.write_bars("binance:ETHUSDT", random_bars(0, 60, "1m", MONDAY + start))
    (found,) = findings(store)
    assert not found.violation
    assert found.text.startswith("1 stretches of time are not covered, the longest 2.958 days")
    words = command(found.mend)
    assert words[-4:] == ["--from", "2024-03-04", "--to", "2024-03-07"]


def test_many_days_are_shown_by_the_first_commands(store: MarketStore) -> None:
    days = np.arange(10) * 2 * DAY + MONDAY
    store.write_bars("binance:ETHUSDT", random_bars(0, 60, "1m"))
    lines = mending(store, "binance:ETHUSDT", ["1m"], days_of(days)).splitlines()
    assert len(lines) == 4
    assert lines[-1] == "and so for 7 more stretches"


def test_a_synthetic_market_is_not_to_be_downloaded(store: MarketStore) -> None:
    store.write_bars("densified:ETHUSDT", random_bars(0, 60, "1m"))
    info = replace(store.info("densified:ETHUSDT"), synthetic={"generator": "densified"})
    store.set_info(info)
    (part,) = Path(store.files.root).rglob("part-*.parquet")
    part.unlink()
    (found,) = findings(store)
    assert "synthesize it again" in found.mend


def damaged(store: MarketStore, market: str, kind: str) -> Finding:
    """What is found when the only file of a kind is missing."""
    exchange = market.partition(":")[0]
    (part,) = Path(store.files.root).rglob(f"exchange={exchange}/*/kind={kind}/*/part-*.parquet")
    part.unlink()
    return next(f for f in findings(MarketStore(store.url)) if f.violation)


def test_another_exchange_s_bars_are_mended_over_rest(store: MarketStore) -> None:
    store.write_bars("kraken:XETHZUSD", random_bars(0, 60, "1m"))
    assert command(damaged(store, "kraken:XETHZUSD", "1m").mend) == [
        "python", "-m", "apex_trader.data", "download", "--store", store.url, "--exchange",
        "kraken", "--symbols", "XETHZUSD", "--kinds", "1m", "--from", "2024-03-04", "--to",
        "2024-03-05", "--source", "rest", "--replace",
    ]  # fmt: skip


def test_of_another_exchange_s_trades_it_is_said_that_old_ones_may_not_be_given(
    store: MarketStore,
) -> None:
    store.write_trades("kraken:XETHZUSD", random_trades(0, 60))
    download, caution = damaged(store, "kraken:XETHZUSD", "trades").mend.splitlines()
    assert "--kinds trades" in download
    assert "--source rest" in download
    assert caution == ("kraken may give only its latest trades over REST: files of older ones are "
                       "imported again with --replace")  # fmt: skip


@pytest.mark.parametrize(
    ("market", "kind"),
    [("testing:ETHUSDT", "1m"), ("kraken:XETHZUSD", "1s"), ("binanceusdm:ETHUSDT", "1s")],
)
def test_what_no_download_brings_is_to_be_imported_again(
    store: MarketStore, market: str, kind: str
) -> None:
    store.write_bars(market, random_bars(0, 60, kind))
    assert damaged(store, market, kind).mend == (
        f"{market.partition(':')[0]} gives no {kind} to download: import the files of 2024-03-04 "
        "to 2024-03-05 again with --replace"
    )


def test_an_interrupted_download_is_told(sound: MarketStore) -> None:
    folder = Path(sound.files.root) / ".downloads" / "binance"
    folder.mkdir(parents=True)
    (folder / "ETHUSDT-1m-2024-03.zip.part").write_bytes(b"x")
    (found,) = findings(sound)
    assert "interrupted download" in found.text
    assert "run that download again" in str(found)
