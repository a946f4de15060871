"""Files become rows of the store, and every flaw is told by file, row, field and reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_trader.errors import ApexError, ConfigError, DataError
from apex_trader.market.importers import ImportOptions, decimal_step, import_files
from apex_trader.market.store import MarketStore
from apex_trader.time import DAY
from tests.market.samples import MONDAY, random_bars, random_trades

Columns = dict[str, np.ndarray]


def bar_columns(count: int = 120, clock: str = "1m", seed: int = 1) -> Columns:
    bars = random_bars(seed, count, clock)
    names = ("open", "high", "low", "close", "volume")
    return {"ts": bars.ts // 1000, **{n: getattr(bars, n).copy() for n in names}}


def trade_columns(count: int = 120, seed: int = 1) -> Columns:
    trades = random_trades(seed, count)
    return {"ts": trades.ts.copy(), "price": trades.price.copy(), "amount": trades.amount.copy(),
            "side": trades.side.copy()}  # fmt: skip


def write(folder: Path, name: str, columns: Columns) -> str:
    pq.write_table(pa.table(columns), folder / name)
    return str(folder / name)


def refused(store: MarketStore, file: str, **options: object) -> str:
    """The message of a refused import, after which the store is still empty."""
    with pytest.raises(ApexError) as caught:
        import_files(store, [file], ImportOptions(**options))  # type: ignore[arg-type]
    assert MarketStore(store.url).markets() == []
    assert not Path(store.url).exists(), "no empty folders are left behind"
    assert Path(file).name in str(caught.value)
    return str(caught.value)


def test_bars_in_milliseconds_and_trades_in_microseconds(
    store: MarketStore, tmp_path: Path
) -> None:
    files = [
        write(tmp_path, "binance_ETHUSDT_1m_x.parquet", bar_columns()),
        write(tmp_path, "binance_ETHUSDT_trades_2024-03-04_part.parquet", trade_columns()),
    ]
    summary = import_files(store, files)
    assert [done.new_rows for done in summary.files.values()] == [120, 120]
    assert store.kinds("binance:ETHUSDT") == ["trades", "1m"]
    assert store.read_bars("binance:ETHUSDT", "1m").ts[0] == MONDAY
    again = import_files(store, files)
    assert [done.new_rows for done in again.files.values()] == [0, 0]


def test_optional_columns_are_kept_and_unused_ones_named(
    store: MarketStore, tmp_path: Path
) -> None:
    columns = bar_columns()
    columns |= {
        "taker_buy_volume": columns["volume"] / 2,
        "count": np.arange(120),
        "vwap": columns["open"],
    }
    summary = import_files(store, [write(tmp_path, "binance_ETHUSDT_1m.parquet", columns)])
    bars = store.read_bars("binance:ETHUSDT", "1m")
    assert bars.count.tolist() == list(range(120))
    assert bars.taker_buy_volume.tolist() == (columns["volume"] / 2).tolist()
    assert summary.remarks == ["binance_ETHUSDT_1m.parquet: columns not used: vwap"]


def test_options_name_what_the_name_does_not(store: MarketStore, tmp_path: Path) -> None:
    file = write(tmp_path, "eth.parquet", bar_columns(clock="1h"))
    import_files(
        store, [file], ImportOptions("okx", "ETHUSDT", "1h", min_notional=1, tick_size=0.5)
    )
    info = store.info("okx:ETHUSDT")
    assert (info.instrument, info.tick_size, info.min_notional) == ("spot", 0.5, 1)
    assert not info.has_sides
    other = write(tmp_path, "more.parquet", bar_columns(clock="1h"))
    import_files(store, [other], ImportOptions("okx", "ETHUSDT", "1h"))
    assert store.info("okx:ETHUSDT").tick_size == 0.5, "what a user chose stays"


def test_what_is_inferred_of_a_perpetual(store: MarketStore, tmp_path: Path) -> None:
    columns = trade_columns()
    columns["price"] = np.round(columns["price"], 1)
    import_files(store, [write(tmp_path, "binanceusdm_ETHUSDT_trades.parquet", columns)])
    info = store.info("binanceusdm:ETHUSDT")
    assert (info.instrument, info.tick_size, info.lot_size) == ("perpetual", 0.1, 0.0001)
    assert info.has_sides
    columns = trade_columns(seed=2)
    columns["ts"] += DAY
    columns["side"][:] = 0
    import_files(store, [write(tmp_path, "binanceusdm_ETHUSDT_trades_2.parquet", columns)])
    info = store.info("binanceusdm:ETHUSDT")
    assert (info.tick_size, info.has_sides) == (0.01, False)


@pytest.mark.parametrize(
    ("values", "step"),
    [([1.0, 250.0], 1.0), ([0.1, 2683.8], 0.1), ([2683.78, 1.0], 0.01), ([1e-8, 3.0], 1e-8),
     ([2 / 3], None), ([123456.789], 0.001)],
)  # fmt: skip
def test_the_smallest_decimal_grid(values: list[float], step: float | None) -> None:
    assert decimal_step(np.array(values)) == step


def set_row(field: str, row: int, value: float) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[field] = columns[field].astype(np.float64) if value != value else columns[field]
        columns[field][row] = value

    return change


def swap(columns: Columns) -> None:
    for values in columns.values():
        values[[10, 11]] = values[[11, 10]]


def repeat(columns: Columns) -> None:
    for values in columns.values():
        values[11] = values[10]


def high_below(columns: Columns) -> None:
    columns["high"][7] = columns["low"][7] - 1


def high_below_close(columns: Columns) -> None:
    columns["close"][7] = columns["high"][7] + 0.5


def low_above(columns: Columns) -> None:
    columns["low"][7] = min(columns["open"][7], columns["close"][7]) + 0.01
    columns["high"][7] = columns["low"][7] + 100


def off_grid(columns: Columns) -> None:
    columns["ts"][20] += 1


BAR_FLAWS = {
    "NaN": (set_row("open", 5, np.nan), "row 5, field 'open': nan is not a finite"),
    "zero price": (set_row("low", 5, 0.0), "row 5, field 'low': 0.0 is not a positive"),
    "negative price": (set_row("close", 5, -1.0), "row 5, field 'close'"),
    "infinite": (set_row("volume", 5, np.inf), "row 5, field 'volume': inf"),
    "negative volume": (set_row("volume", 5, -2.0), "row 5, field 'volume': -2.0 is negative"),
    "high below low": (high_below, "row 7, field 'high'"),
    "high below close": (high_below_close, "row 7, field 'high'"),
    "low above open": (low_above, "row 7, field 'low'"),
    "unsorted": (swap, "row 11, field 'ts'.*not sorted"),
    "duplicate": (repeat, "row 11, field 'ts'.*duplicate"),
    "off the grid": (off_grid, "row 20, field 'ts'.*no opening time of a 1m bar"),
}
TRADE_FLAWS = {
    "NaN": (set_row("price", 3, np.nan), "row 3, field 'price'"),
    "zero amount": (set_row("amount", 3, 0.0), "row 3, field 'amount'"),
    "no such side": (set_row("side", 3, 3), "row 3, field 'side': 3 is no side"),
    "unsorted": (swap, "row 11, field 'ts'.*not sorted"),
}


@pytest.mark.parametrize("flaw", BAR_FLAWS)
def test_a_flawed_bar_is_named(store: MarketStore, tmp_path: Path, flaw: str) -> None:
    change, message = BAR_FLAWS[flaw]
    columns = bar_columns()
    change(columns)
    with pytest.raises(DataError, match=message):
        import_files(store, [write(tmp_path, "binance_ETHUSDT_1m.parquet", columns)])
    refused(store, str(tmp_path / "binance_ETHUSDT_1m.parquet"))


@pytest.mark.parametrize("flaw", TRADE_FLAWS)
def test_a_flawed_trade_is_named(store: MarketStore, tmp_path: Path, flaw: str) -> None:
    change, message = TRADE_FLAWS[flaw]
    columns = trade_columns()
    change(columns)
    with pytest.raises(DataError, match=message):
        import_files(store, [write(tmp_path, "binance_ETHUSDT_trades.parquet", columns)])
    refused(store, str(tmp_path / "binance_ETHUSDT_trades.parquet"))


def test_a_price_that_no_market_has_is_not_taken_for_another_symbol(
    store: MarketStore, tmp_path: Path
) -> None:
    """--replace would not import it either."""
    import_files(store, [write(tmp_path, "binance_ETHUSDT_1m.parquet", bar_columns())])
    columns = bar_columns()
    columns["open"][5] *= -1.0
    with pytest.raises(DataError, match=r"row 5, field 'open'.*not a positive price") as caught:
        import_files(store, [write(tmp_path, "binance_ETHUSDT_1m_2.parquet", columns)])
    assert "--replace" not in str(caught.value)


def test_a_refused_import_leaves_the_folders_of_the_store_as_they_were(
    store: MarketStore, tmp_path: Path
) -> None:
    """Although the first of its files was written by then."""
    import_files(store, [write(tmp_path, "binance_ETHUSDT_1m.parquet", bar_columns())])
    before = sorted(Path(store.url).rglob("*"))
    bad = bar_columns()
    bad["low"][5] = 0.0
    good = write(tmp_path, "binance_BTCUSDT_1m.parquet", bar_columns())
    with pytest.raises(DataError, match="low"):
        import_files(store, [good, write(tmp_path, "binance_BTCUSDT_1m_2.parquet", bad)])
    assert sorted(Path(store.url).rglob("*")) == before


def test_a_missing_value_is_named(store: MarketStore, tmp_path: Path) -> None:
    columns = bar_columns()
    table = pa.table(columns).set_column(
        1, "open", pa.array([None if i == 9 else 1.0 for i in range(120)])
    )
    pq.write_table(table, tmp_path / "binance_ETHUSDT_1m.parquet")
    assert "row 9, field 'open': there is no value" in refused(
        store, str(tmp_path / "binance_ETHUSDT_1m.parquet")
    )


def test_wrong_columns_and_types_are_named(store: MarketStore, tmp_path: Path) -> None:
    columns = bar_columns()
    del columns["volume"]
    file = write(tmp_path, "binance_ETHUSDT_1m.parquet", columns)
    assert "field 'volume'" in refused(store, file)
    columns = bar_columns()
    columns["close"] = columns["close"].astype(str)
    assert "its type is string" in refused(
        store, write(tmp_path, "binance_ETHUSDT_1m.parquet", columns)
    )
    columns = bar_columns()
    columns["ts"] = columns["ts"].astype(np.float64)
    assert "field 'ts'" in refused(store, write(tmp_path, "binance_ETHUSDT_1m.parquet", columns))
    columns = trade_columns()
    columns["side"] = columns["side"].astype(np.int64) + 256
    assert "no side" in refused(store, write(tmp_path, "binance_ETHUSDT_trades.parquet", columns))


@pytest.mark.parametrize(
    ("factor", "unit"), [(1000, "microseconds"), (0.001, "seconds"), (10**6, "nanoseconds")]
)
def test_a_wrong_unit_is_recognised(
    store: MarketStore, tmp_path: Path, factor: float, unit: str
) -> None:
    columns = bar_columns()
    columns["ts"] = (columns["ts"] * factor).astype(np.int64)
    message = refused(store, write(tmp_path, "binance_ETHUSDT_1m.parquet", columns))
    assert "row 0, field 'ts'" in message
    assert f"as {unit} it would be 2024-03-04" in message


def test_timestamps_carry_their_own_unit(store: MarketStore, tmp_path: Path) -> None:
    columns = bar_columns()
    table = pa.table(columns)
    stamps = pa.array(columns["ts"]).cast(pa.timestamp("ms")).cast(pa.timestamp("ns", tz="UTC"))
    pq.write_table(table.set_column(0, "ts", stamps), tmp_path / "binance_ETHUSDT_1m.parquet")
    import_files(store, [str(tmp_path / "binance_ETHUSDT_1m.parquet")])
    assert store.read_bars("binance:ETHUSDT", "1m").ts.tolist() == (columns["ts"] * 1000).tolist()


def test_broken_files_are_named(store: MarketStore, tmp_path: Path) -> None:
    file = Path(write(tmp_path, "binance_ETHUSDT_1m.parquet", bar_columns()))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "truncated or corrupt" in refused(store, str(file))
    file.write_bytes(b"")
    assert "the file is empty" in refused(store, str(file))
    file.write_bytes(b"ts,open\n1,2\n")
    assert "not a whole Parquet" in refused(store, str(file))
    write(tmp_path, file.name, {k: v[:0] for k, v in bar_columns().items()})
    assert "no rows" in refused(store, str(file))
    assert "no such file" in refused(store, str(tmp_path / "binance_ETHUSDT_1h.parquet"))


def test_a_wrong_kind_or_symbol_is_recognised(store: MarketStore, tmp_path: Path) -> None:
    hours = write(tmp_path, "binance_ETHUSDT_1m.parquet", bar_columns(clock="1h"))
    assert "1h apart" in refused(store, hours)
    minutes = write(tmp_path, "binance_ETHUSDT_1h.parquet", bar_columns())
    assert "no opening time of a 1h bar" in refused(store, minutes)
    assert "contradicts the file's name" in refused(store, minutes, symbol="BTCUSDT")
    odd = write(tmp_path, "binance_ETHUSDT_trade.parquet", trade_columns())
    assert "did you mean 'trades'" in refused(store, odd)
    assert "--exchange" in refused(store, write(tmp_path, "x.parquet", bar_columns()))


def test_a_crash_inside_a_day_is_not_another_symbol(store: MarketStore, tmp_path: Path) -> None:
    hours = bar_columns(24, "1h")
    for name in ("open", "high", "low", "close"):
        hours[name][12:] *= 0.5
    hours["low"][12], hours["open"][12] = hours["close"][12] * 0.9, hours["close"][11]
    hours["high"][12] = hours["open"][12] * 1.01
    day = {
        "ts": hours["ts"][:1], "open": hours["open"][:1], "close": hours["close"][-1:],
        "high": hours["high"].max(keepdims=True), "low": hours["low"].min(keepdims=True),
        "volume": hours["volume"].sum(keepdims=True),
    }  # fmt: skip
    import_files(store, [write(tmp_path, "binance_ETHUSDT_1h_x.parquet", hours)])
    import_files(store, [write(tmp_path, "binance_ETHUSDT_1d_x.parquet", day)])
    assert store.kinds("binance:ETHUSDT") == ["1h", "1d"]


def test_prices_of_another_symbol_are_recognised(store: MarketStore, tmp_path: Path) -> None:
    import_files(store, [write(tmp_path, "binance_ETHUSDT_1h.parquet", bar_columns(24, "1h"))])
    columns = trade_columns()
    columns["price"] *= 20
    file = write(tmp_path, "binance_ETHUSDT_trades.parquet", columns)
    with pytest.raises(DataError, match=r"row 0, field 'price'.*symbol is right"):
        import_files(store, [file])
    import_files(store, [file], ImportOptions(replace=True))
    assert len(store.read_trades("binance:ETHUSDT")) == 120


def test_one_bad_file_of_many_leaves_nothing(store: MarketStore, tmp_path: Path) -> None:
    good = write(tmp_path, "binance_ETHUSDT_1h.parquet", bar_columns(48, "1h"))
    columns = bar_columns()
    high_below(columns)
    bad = write(tmp_path, "binance_ETHUSDT_1m.parquet", columns)
    with pytest.raises(DataError, match="row 7"):
        import_files(store, [good, bad])
    assert store.markets() == []
    assert not list(Path(store.files.root).rglob("*.parquet"))


def test_a_claim_makes_the_edges_whole(store: MarketStore, tmp_path: Path) -> None:
    columns = trade_columns()
    columns["ts"] = columns["ts"] + 30 * 1_000_000
    file = write(tmp_path, "binance_ETHUSDT_trades.parquet", columns)
    import_files(store, [file], ImportOptions(covers=(MONDAY, MONDAY + DAY)))
    assert store.coverage("binance:ETHUSDT", "trades").tolist() == [[MONDAY, MONDAY + DAY]]


def test_funding_is_imported_in_milliseconds(store: MarketStore, tmp_path: Path) -> None:
    hours = MONDAY // 1000 + np.arange(3) * 8 * 3_600_000
    columns = {"ts": hours, "rate": np.array([1e-4, -2e-5, 0.0])}
    import_files(store, [write(tmp_path, "binanceusdm_ETHUSDT_funding.parquet", columns)])
    paid = store.read_funding("binanceusdm:ETHUSDT")
    assert paid.ts.tolist() == (hours * 1000).tolist()
    assert paid.rate.tolist() == [1e-4, -2e-5, 0.0]
    assert store.info("binanceusdm:ETHUSDT").instrument == "perpetual"


def test_impossible_options_name_the_field() -> None:
    with pytest.raises(ConfigError, match="tick_size"):
        ImportOptions(tick_size=0.0)
    with pytest.raises(ConfigError, match="covers"):
        ImportOptions(covers=(5, 5))


def test_an_empty_folder_is_an_error(store: MarketStore, tmp_path: Path) -> None:
    with pytest.raises(ApexError, match=r"no \.parquet"):
        import_files(store, [str(tmp_path)])


def test_the_real_files_import_whole_and_at_once(real_import: Any) -> None:
    store, summary = real_import.store, real_import.summary
    assert real_import.seconds < 20
    rows = {Path(f).name: done.new_rows for f, done in summary.files.items()}
    assert rows == {
        "binance_BTCUSDT_1d_2018-2024.parquet": 2_498,
        "binance_BTCUSDT_1h_2018-2024.parquet": 59_865,
        "binance_BTCUSDT_1m_2022.parquet": 525_600,
        "binance_BTCUSDT_1m_2023.parquet": 525_520,
        "binance_BTCUSDT_1m_2024.parquet": 527_040,
        "binance_BTCUSDT_trades_2022-01-15_thinned.parquet": 451_466,
        "binance_BTCUSDT_trades_2024-08-08.parquet": 19_904,
        "binance_ETHUSDT_1d_2018-2024.parquet": 2_498,
        "binance_ETHUSDT_1h_2018-2024.parquet": 59_865,
        "binance_ETHUSDT_1m_2022.parquet": 525_600,
        "binance_ETHUSDT_1m_2023.parquet": 525_520,
        "binance_ETHUSDT_1m_2024.parquet": 527_040,
        "binance_ETHUSDT_1s_2024-07-20T08.parquet": 3_601,
        "binance_ETHUSDT_trades_2024-08-08.parquet": 14_515,
        "binanceusdm_BTCUSDT_trades_2024-08-08.parquet": 21_313,
        "binanceusdm_ETHUSDT_trades_2024-08-08.parquet": 14_076,
        "coinbase_BTCUSD_trades_2023-09-05T16.parquet": 5_882,
    }
    assert set(summary.lookbacks) == {"binanceusdm:BTCUSDT", "binanceusdm:ETHUSDT"}
    assert store.info("binance:ETHUSDT").tick_size == 0.01
