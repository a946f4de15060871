"""What is written is read back, merged without doubt, and visible whole or not at all."""

import itertools
import multiprocessing
import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError, DataError
from apex_trader.market.files import Files
from apex_trader.market.leftovers import remove_leftovers
from apex_trader.market.source import LookbackSource, MarketInfo
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import Transaction
from apex_trader.market.types import Bars, Funding, Trades
from apex_trader.time import DAY, HOUR, MINUTE, SECOND
from tests.market.samples import MONDAY, random_bars, random_trades

ETH = "testing:ETHUSDT"
BAR_NAMES = ("ts", "open", "high", "low", "close", "volume", "taker_buy_volume", "count")


def equal(a: Trades | Bars, b: Trades | Bars) -> bool:
    names = BAR_NAMES if isinstance(a, Bars) else ("ts", "price", "amount", "side")
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in names)


def tree(store: MarketStore) -> dict[str, bytes]:
    root = Path(store.files.root)
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*")) if p.is_file() and p.name != "store.lock"
    }  # fmt: skip


def test_a_place_that_does_not_exist_is_an_empty_store(store: MarketStore) -> None:
    assert store.markets() == []
    assert not Path(store.files.root).exists()
    with pytest.raises(ApexError, match="import or synthesize"):
        store.info(ETH)


def test_trades_over_midnight_come_back_bit_for_bit(store: MarketStore) -> None:
    trades = random_trades(1, 2000, MONDAY + DAY - HOUR, 2 * HOUR)
    summary = store.write_trades(ETH, trades)
    assert (summary.rows, summary.new_rows) == (2000, 2000)
    assert store.days(ETH, "trades") == [MONDAY, MONDAY + DAY]
    assert equal(store.read_trades(ETH), trades)
    middle = store.read_trades(ETH, MONDAY + DAY - MINUTE, MONDAY + DAY + MINUTE)
    assert equal(middle, trades.between(MONDAY + DAY - MINUTE, MONDAY + DAY + MINUTE))


@pytest.mark.parametrize(
    ("clock", "labels"),
    [
        ("1s", ["2024-03-04"]), ("1m", ["2024-03", "2024-04"]), ("1h", ["2024"]),
        ("1d", ["2024", "2025", "2026"]),
    ],
)  # fmt: skip
def test_bars_of_every_clock_come_back(store: MarketStore, clock: str, labels: list[str]) -> None:
    bars = random_bars(2, 900, clock, MONDAY + 27 * DAY + 20 * HOUR if clock == "1m" else MONDAY)
    store.write_bars(ETH, bars)
    assert equal(store.read_bars(ETH, clock), bars)
    assert store.read_bars(ETH, clock).clock == clock
    assert sorted(store.entry(ETH).kinds[clock].partitions) == labels


def test_funding_comes_back(store: MarketStore) -> None:
    paid = Funding(MONDAY + np.arange(6) * 8 * HOUR, np.linspace(-1e-4, 1e-4, 6))
    store.write_funding(ETH, paid)
    back = store.read_funding(ETH, MONDAY + 8 * HOUR)
    assert back.rate.tolist() == paid.rate[1:].tolist()


def test_identical_fills_are_all_kept(store: MarketStore) -> None:
    one = random_trades(3, 50)
    ts = np.full(50, one.ts[0])
    same = Trades(ts, np.full(50, 2000.0), np.full(50, 0.1), np.ones(50, np.int8))
    store.write_trades(ETH, same)
    assert len(store.read_trades(ETH)) == 50
    assert store.write_trades(ETH, same).new_rows == 0
    assert len(store.read_trades(ETH)) == 50


def test_writing_the_same_again_changes_no_byte(store: MarketStore) -> None:
    trades, bars = random_trades(4, 500), random_bars(4, 500, "1m")
    store.write_trades(ETH, trades)
    store.write_bars(ETH, bars)
    before = tree(store)
    assert store.write_trades(ETH, trades).new_rows == 0
    assert store.write_bars(ETH, bars.slice(100, 200)).new_rows == 0
    assert tree(store) == before


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=2, max_size=8), st.integers(0, 2**32))
def test_bars_may_arrive_in_any_overlapping_pieces(
    tmp_path_factory: pytest.TempPathFactory, edges: list[int], seed: int
) -> None:
    store = MarketStore(tmp_path_factory.mktemp("pieces"))
    bars = random_bars(seed, 400, "1m", MONDAY + 27 * DAY)
    cuts = [sorted(pair) for pair in itertools.pairwise(edges)]
    wanted = np.zeros(400, bool)
    for low, high in cuts:
        store.write_bars(ETH, bars.slice(low, high))
        wanted[low:high] = True
    assert store.read_bars(ETH, "1m").ts.tolist() == bars.ts[wanted].tolist()


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=2, max_size=8), st.integers(0, 2**32), st.booleans())
def test_trades_may_arrive_in_any_pieces(
    tmp_path_factory: pytest.TempPathFactory, edges: list[int], seed: int, ids: bool
) -> None:
    store = MarketStore(tmp_path_factory.mktemp("pieces"))
    trades = random_trades(seed, 400, MONDAY + DAY - HOUR, 2 * HOUR)
    if ids:
        trades = replace(trades, id=np.arange(400) * 3 + 7)
    wanted = np.zeros(400, bool)
    for low, high in (sorted(pair) for pair in itertools.pairwise(edges)):
        store.write_trades(ETH, trades.slice(low, high))
        wanted[low:high] = True
    back = store.read_trades(ETH)
    assert back.ts.tolist() == trades.ts[wanted].tolist()
    assert back.price.tolist() == trades.price[wanted].tolist()


def test_a_recording_cut_inside_one_timestamp_is_joined_by_ids(store: MarketStore) -> None:
    trades = replace(random_trades(5, 100), id=np.arange(100))
    trades.ts[40:60] = trades.ts[40]
    store.write_trades(ETH, trades.slice(0, 50))
    store.write_trades(ETH, trades.slice(50, 100))
    assert equal(store.read_trades(ETH), trades)


def test_contradicting_bars_name_file_row_and_field(store: MarketStore) -> None:
    bars = random_bars(6, 100, "1m", zero=0.0)
    store.write_bars(ETH, bars)
    other = random_bars(6, 100, "1m", zero=0.0)
    other.volume[42] += 1
    before = tree(store)
    with pytest.raises(DataError, match=r"again\.parquet, row 42, field 'volume'.*--replace"):
        store.write_bars(ETH, other, origin="again.parquet")
    assert tree(store) == before


@pytest.mark.parametrize("change", ["price", "missing", "extra"])
def test_contradicting_trades_are_refused(store: MarketStore, change: str) -> None:
    trades = random_trades(7, 300)
    store.write_trades(ETH, trades)
    before = tree(store)
    rows = np.arange(300)
    if change == "price":
        trades.price[120] += 1
    rows = np.delete(rows, 120) if change == "missing" else rows
    rows = np.insert(rows, 120, 120) if change == "extra" else rows
    other = Trades(*(getattr(trades, n)[rows] for n in ("ts", "price", "amount", "side")))
    with pytest.raises(DataError, match="store already holds"):
        store.write_trades(ETH, other)
    assert tree(store) == before


def test_trades_of_other_ids_are_refused(store: MarketStore) -> None:
    trades = replace(random_trades(8, 300), id=np.arange(300))
    store.write_trades(ETH, trades)
    with pytest.raises(DataError, match="ids"):
        store.write_trades(ETH, replace(random_trades(9, 300), id=np.arange(300) + 1000))


def test_replace_puts_new_rows_in_place_for_the_time_covered(store: MarketStore) -> None:
    old, new = random_bars(10, 300, "1m", zero=0.0), random_bars(11, 100, "1m", MONDAY + HOUR)
    store.write_bars(ETH, old)
    store.write_bars(
        ETH, new.slice(0, 60), covered=(MONDAY + HOUR, MONDAY + 3 * HOUR), replace=True
    )
    back = store.read_bars(ETH, "1m")
    outside = (old.ts < MONDAY + HOUR) | (old.ts >= MONDAY + 3 * HOUR)
    assert back.ts.tolist() == sorted(old.ts[outside].tolist() + new.ts[:60].tolist())
    assert back.between(MONDAY + HOUR, MONDAY + 2 * HOUR).close.tolist() == new.close[:60].tolist()


def test_a_source_that_knows_more_completes_one_that_knew_less(store: MarketStore) -> None:
    bars = random_bars(12, 50, "1m")
    poor = replace(bars, taker_buy_volume=np.full(50, np.nan), count=np.full(50, np.nan))
    store.write_bars(ETH, poor)
    assert np.isnan(store.read_bars(ETH, "1m").count).all()
    store.write_bars(ETH, bars)
    assert equal(store.read_bars(ETH, "1m"), bars)
    assert store.write_bars(ETH, poor).new_rows == 0
    assert equal(store.read_bars(ETH, "1m"), bars)


def test_what_is_known_of_a_market_comes_back(store: MarketStore) -> None:
    info = MarketInfo(
        ETH, "perpetual", 0.05, 0.001, 10.0, False, {"generator": "martingale", "seed": 3},
        LookbackSource("testing:SPOT", -0.001, MONDAY),
    )  # fmt: skip
    store.set_info(info)
    assert MarketStore(store.url).info(ETH) == info


def test_coverage_of_ticks_is_in_whole_seconds_and_joins_recordings(store: MarketStore) -> None:
    trades = random_trades(13, 1000)
    low, high = int(trades.ts[0]), int(trades.ts[-1])
    store.write_trades(ETH, trades.slice(0, 500))
    store.write_trades(ETH, trades.slice(500, 1000))
    later = random_trades(14, 10, MONDAY + 5 * HOUR, SECOND)
    store.write_trades(ETH, later)
    assert store.coverage(ETH, "trades").tolist() == [
        [low // SECOND * SECOND, -(-(high + 1) // SECOND) * SECOND],
        [MONDAY + 5 * HOUR, MONDAY + 5 * HOUR + SECOND],
    ]


def test_rows_outside_the_time_claimed_are_refused(store: MarketStore) -> None:
    with pytest.raises(ApexError, match="outside"):
        store.write_bars(ETH, random_bars(1, 50, "1m"), covered=(MONDAY, MONDAY + HOUR // 2))


@pytest.mark.parametrize("market", ["ETHUSDT", ":ETH", "a:", "a:../b", "a/b:c"])
def test_a_market_has_an_exchange_and_a_symbol(store: MarketStore, market: str) -> None:
    with pytest.raises(ApexError, match="exchange:SYMBOL"):
        store.write_trades(market, random_trades(1, 5))


def test_similar_markets_are_suggested(store: MarketStore) -> None:
    store.write_trades(ETH, random_trades(1, 5))
    with pytest.raises(ApexError, match=f"did you mean {ETH}"):
        store.read_trades("testing:ETHUSD")
    with pytest.raises(ConfigError, match="1m"):
        store.read_bars(ETH, "5m")


def test_seconds_do_not_depend_on_where_reading_starts(store: MarketStore) -> None:
    store.write_trades(ETH, random_trades(15, 3000, MONDAY + DAY - HOUR, 2 * HOUR))
    whole = store.read_seconds(ETH)
    for start in (MONDAY + DAY, MONDAY + DAY - 7 * MINUTE + 1, MONDAY + DAY + 11 * SECOND):
        part, wanted = store.read_seconds(ETH, start), whole.between(start, MONDAY + 2 * DAY)
        for name in vars(wanted):
            np.testing.assert_array_equal(getattr(part, name), getattr(wanted, name), err_msg=name)


def test_an_error_in_a_transaction_leaves_the_store_as_it_was(store: MarketStore) -> None:
    store.write_bars(ETH, random_bars(16, 500, "1m"))
    before = tree(store)
    bad = random_bars(17, 50, "1h")
    bad.high[7] = bad.low[7] - 1

    def write_both() -> None:
        with store.transaction() as write:
            write.write("testing:BTCUSDT", random_trades(17, 100))
            write.write(ETH, bad)

    with pytest.raises(DataError, match="row 7, field 'high'"):
        write_both()
    assert tree(store) == before
    assert store.markets() == [ETH]


def _killed_while_writing(url: str, puts: int) -> None:
    original, done = Files.write, [0]

    def put(self: Files, name: str, content: bytes) -> None:
        if done[0] == puts:
            os.kill(os.getpid(), signal.SIGKILL)
        done[0] += 1
        original(self, name, content)

    Files.write = put  # type: ignore[method-assign]
    store = MarketStore(url)
    store.write_bars(ETH, random_bars(18, 100, "1m", MONDAY + 26 * DAY + HOUR))
    with store.transaction() as write:
        write.write(ETH, random_bars(19, 60 * 24 * 8, "1m", MONDAY + 30 * DAY))
        write.write("testing:BTCUSDT", random_trades(19, 100))


def test_killed_at_any_write_the_store_is_the_one_before_or_after(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    seen = set()
    # The first three put the first write: the empty list of a new store, the bars, the list.
    for puts in range(3, 9):
        url = str(tmp_path / str(puts))
        process = context.Process(target=_killed_while_writing, args=(url, puts))
        process.start()
        process.join()
        store = MarketStore(url)
        state = (len(store.read_bars(ETH, "1m")), tuple(store.markets()))
        assert state in {(100, (ETH,)), (100 + 60 * 24 * 8, ("testing:BTCUSDT", ETH))}
        seen.add(state)
        # A later write works, and the lock of the dead is lifted.
        assert store.write_bars(ETH, random_bars(18, 100, "1m", MONDAY + 26 * DAY + HOUR)).rows
    assert len(seen) == 2, "the kills should hit before and after the last file"


def test_two_writers_do_not_mix(store: MarketStore) -> None:
    with store.transaction() as write:
        write.write(ETH, random_trades(20, 10))
        with pytest.raises(ApexError, match="another command"):
            MarketStore(store.url).write_trades(ETH, random_trades(21, 10))
    assert store.markets() == [ETH]


def test_a_reader_follows_a_writer(store: MarketStore) -> None:
    store.write_bars(ETH, random_bars(22, 100, "1m"))
    reader = MarketStore(store.url)
    assert len(reader.read_bars(ETH, "1m")) == 100
    store.write_bars(ETH, random_bars(23, 100, "1m", MONDAY + 200 * MINUTE))
    # The file that the reader knows is gone; it looks again.
    assert len(reader.read_bars(ETH, "1m")) == 200


def test_a_truncated_partition_is_named(store: MarketStore) -> None:
    store.write_bars(ETH, random_bars(24, 100, "1m"))
    (part,) = Path(store.files.root).rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(DataError, match=part.name):
        MarketStore(store.url).read_bars(ETH, "1m")


def test_a_foreign_store_file_is_refused(store: MarketStore) -> None:
    Path(store.files.root).mkdir()
    (Path(store.files.root) / "store.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match=r"store\.json"):
        store.markets()


def test_a_store_may_be_any_fsspec_url_and_travel() -> None:
    store = MarketStore(f"memory://{os.getpid()}/store")
    trades = random_trades(25, 100)
    store.write_trades(ETH, trades)
    again = pickle.loads(pickle.dumps(store))
    assert equal(again.read_trades(ETH), trades)


def test_an_unknown_scheme_is_one_clear_error() -> None:
    with pytest.raises(ApexError, match="nosuch"):
        MarketStore("nosuch://bucket/store")


def numbered(seed: int = 1, count: int = 300) -> Trades:
    return replace(random_trades(seed, count), id=np.arange(10, 10 + count, dtype=np.int64))


def test_a_hole_is_filled_by_rows_that_reach_over_it(store: MarketStore) -> None:
    trades = numbered()
    edges = trades.ts[[0, 100, 200, 299]].tolist()
    store.write_trades(ETH, trades.slice(0, 100), covered=(edges[0], edges[1]))
    store.write_trades(ETH, trades.slice(200, 300), covered=(edges[2], edges[3] + 1))
    assert store.write_trades(ETH, trades).new_rows == 100
    assert store.read_trades(ETH).id.tolist() == trades.id.tolist()  # type: ignore[union-attr]


def test_a_trade_in_time_that_is_covered_is_of_another_recording(store: MarketStore) -> None:
    trades = numbered()
    store.write_trades(ETH, trades.take(np.delete(np.arange(300), 150)))
    with pytest.raises(DataError, match="id 160 is missing in the store"):
        store.write_trades(ETH, trades)


@pytest.mark.parametrize("finer_first", [True, False])
def test_microseconds_take_the_place_of_milliseconds(store: MarketStore, finer_first: bool) -> None:
    fine = numbered()
    coarse = replace(fine, ts=fine.ts // 1000 * 1000)
    for part in (fine, coarse) if finer_first else (coarse, fine):
        store.write_trades(ETH, part, covered=(MONDAY, MONDAY + HOUR))
    assert store.read_trades(ETH).ts.tolist() == fine.ts.tolist()
    later = replace(fine, ts=fine.ts + 1000)
    with pytest.raises(DataError, match="field 'ts'"):
        store.write_trades(ETH, later, covered=(MONDAY, MONDAY + 2 * HOUR))


def damaged(store: MarketStore, kind: str) -> Path:
    (part,) = Path(store.files.root).rglob(f"kind={kind}/*/part-*.parquet")
    part.write_bytes(b"nothing that can be read")
    return part


def test_a_damaged_partition_is_mended_in_place(store: MarketStore) -> None:
    bars = random_bars(1, 600, "1m")
    store.write_bars(ETH, bars)
    part = damaged(store, "1m")
    right = part.name
    with pytest.raises(DataError, match="data verify"):
        store.write_bars(ETH, bars.slice(0, 60))
    store.write_bars(ETH, bars, replace=True)
    assert [p.name for p in part.parent.iterdir()] == [right]
    np.testing.assert_array_equal(store.read_bars(ETH, "1m").close, bars.close)


def test_what_a_damaged_partition_loses_is_no_longer_covered(store: MarketStore) -> None:
    bars = random_bars(1, 600, "1m")
    store.write_bars(ETH, bars)
    damaged(store, "1m")
    store.write_bars(ETH, bars.slice(120, 180), replace=True)
    assert store.coverage(ETH, "1m").tolist() == [[MONDAY + 2 * HOUR, MONDAY + 3 * HOUR]]
    assert len(store.read_bars(ETH, "1m")) == 60


def test_a_store_that_lost_its_list_is_neither_empty_nor_written_to(tmp_path: Path) -> None:
    store = MarketStore(tmp_path)
    store.write_trades("binance:ETHUSDT", random_trades(0, 10))
    store.write_trades("lab:BTC", random_trades(1, 10))
    kept = (tmp_path / "store.json").read_bytes()
    (tmp_path / "store.json").unlink()
    before = sorted(p for p in tmp_path.rglob("*.parquet"))
    lost = MarketStore(tmp_path)
    for work in (
        lost.markets,
        lambda: lost.write_trades("binance:ETHUSDT", random_trades(2, 10)),
        lambda: remove_leftovers(lost),
    ):
        with pytest.raises(
            DataError, match=r"store\.json: .*missing.*binance:ETHUSDT and lab:BTC.*from a copy"
        ):
            work()
    assert sorted(p for p in tmp_path.rglob("*.parquet")) == before
    assert not (tmp_path / "store.json").exists()
    (tmp_path / "store.json").write_bytes(kept)
    assert MarketStore(tmp_path).markets() == ["binance:ETHUSDT", "lab:BTC"]


def test_a_first_write_that_was_killed_leaves_an_empty_store(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    store = MarketStore(tmp_path / "store")

    def stopped(name: str, content: bytes) -> None:
        write(name, content)
        if name.endswith(".parquet"):
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        write = store.files.write
        patch.setattr(store.files, "write", stopped)
        patch.setattr(Transaction, "rollback", lambda self: None)
        with pytest.raises(Killed):
            store.write_trades("binance:ETHUSDT", random_trades(0, 10))
    assert list((tmp_path / "store").rglob("part-*.parquet"))
    assert MarketStore(tmp_path / "store").markets() == []


def test_a_first_write_that_failed_leaves_nothing(tmp_path: Path) -> None:
    store = MarketStore(tmp_path / "store")

    def fail() -> None:
        with store.transaction() as transaction:
            transaction.write("binance:ETHUSDT", random_trades(0, 10))
            raise ApexError("no")

    with pytest.raises(ApexError, match="no"):
        fail()
    assert not (tmp_path / "store").exists()
