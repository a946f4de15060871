"""Files of Binance's public archive: units, headers, sides, and the period in the name."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from apex_trader.errors import ApexError, DataError
from apex_trader.market import archive
from apex_trader.market.importers import ImportOptions, import_files
from apex_trader.market.store import MarketStore
from apex_trader.time import DAY
from tests.market.samples import MONDAY, random_bars, random_trades

SPOT = ImportOptions(exchange="binance")
FUTURES = ImportOptions(exchange="binanceusdm")
KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)


def klines(unit: int, clock: str = "1h", count: int = 24) -> str:
    bars = random_bars(1, count, clock)
    return "".join(
        f"{ts // unit},{o:.8f},{h:.8f},{lo:.8f},{c:.8f},{v:.8f},"
        f"{ts // unit + 3599},0.5,{int(n)},{t:.8f},0.1,0\n"
        for ts, o, h, lo, c, v, n, t in zip(
            bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.count,
            bars.taker_buy_volume, strict=True,
        )
    )  # fmt: skip


def aggregate_trades(count: int = 50) -> str:
    t = random_trades(2, count)
    return "".join(
        f"{100 + i},{t.price[i]},{t.amount[i]},{i},{i},{t.ts[i] // 1000},"
        f"{'True' if t.side[i] < 0 else 'False'},True\n"
        for i in range(count)
    )


def zipped(folder: Path, name: str, content: str) -> str:
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        archive.writestr(f"{name}.csv", content)
    return str(folder / f"{name}.zip")


@pytest.mark.parametrize("unit", [1, 1000])
def test_spot_klines_of_either_unit(store: MarketStore, tmp_path: Path, unit: int) -> None:
    import_files(store, [zipped(tmp_path, "ETHUSDT-1h-2024-03-04", klines(unit))], SPOT)
    bars, wanted = store.read_bars("binance:ETHUSDT", "1h"), random_bars(1, 24, "1h")
    assert bars.ts.tolist() == wanted.ts.tolist()
    assert bars.count.tolist() == wanted.count.tolist()
    np.testing.assert_allclose(bars.taker_buy_volume, wanted.taker_buy_volume, atol=1e-8)
    assert store.coverage("binance:ETHUSDT", "1h").tolist() == [[MONDAY, MONDAY + DAY]]


def test_futures_klines_begin_with_a_header(store: MarketStore, tmp_path: Path) -> None:
    (tmp_path / "ETHUSDT-1h-2024-03.csv").write_text(KLINE_HEADER + klines(1000))
    import_files(store, [str(tmp_path / "ETHUSDT-1h-2024-03.csv")], FUTURES)
    assert len(store.read_bars("binanceusdm:ETHUSDT", "1h")) == 24
    assert store.info("binanceusdm:ETHUSDT").instrument == "perpetual"


def test_the_maker_bought_means_the_aggressor_sold(store: MarketStore, tmp_path: Path) -> None:
    file = zipped(tmp_path, "ETHUSDT-aggTrades-2024-03-04", aggregate_trades())
    import_files(store, [file], SPOT)
    trades, wanted = store.read_trades("binance:ETHUSDT"), random_trades(2, 50)
    assert trades.side.tolist() == wanted.side.tolist()
    assert trades.id is not None
    assert trades.id.tolist() == list(range(100, 150))
    assert trades.ts.tolist() == (wanted.ts // 1000 * 1000).tolist()
    # The archive speaks for the whole day, so its first and last minute are whole.
    assert store.coverage("binance:ETHUSDT", "trades").tolist() == [[MONDAY, MONDAY + DAY]]


def test_the_exchange_must_be_given(store: MarketStore, tmp_path: Path) -> None:
    with pytest.raises(ApexError, match="--exchange binance"):
        import_files(store, [zipped(tmp_path, "ETHUSDT-1h-2024-03-04", klines(1000))])


def test_rows_of_another_day_are_named(store: MarketStore, tmp_path: Path) -> None:
    file = zipped(tmp_path, "ETHUSDT-1h-2024-03-04", klines(1000, count=26))
    with pytest.raises(DataError, match="row 24, field 'ts'"):
        import_files(store, [file], SPOT)


def test_broken_archives_are_named(store: MarketStore, tmp_path: Path) -> None:
    file = Path(zipped(tmp_path, "ETHUSDT-1h-2024-03-04", klines(1000)))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match="not a whole zip"):
        import_files(store, [str(file)], SPOT)
    words = zipped(tmp_path, "ETHUSDT-1h-2024-03-05", klines(1000).replace("2000.", "abc."))
    with pytest.raises(DataError, match="is no open"):
        import_files(store, [words], SPOT)
    few = zipped(tmp_path, "ETHUSDT-1h-2024-03-06", "1,2,3\n")
    with pytest.raises(DataError, match="too few"):
        import_files(store, [few], SPOT)


def test_a_file_with_another_file_in_it_is_refused(store: MarketStore, tmp_path: Path) -> None:
    for other in ("BTCUSDT-1h-2024-03-04.csv", "ETHUSDT-1h-2024-03-05.csv", "../x.csv"):
        file = tmp_path / "ETHUSDT-1h-2024-03-04.zip"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(other, klines(1000))
        with pytest.raises(DataError, match=f"it holds {other}, which is another file"):
            import_files(store, [str(file)], SPOT)


def test_an_unknown_interval_lists_the_kinds(store: MarketStore, tmp_path: Path) -> None:
    with pytest.raises(ApexError, match="'4h' is no kind"):
        import_files(store, [zipped(tmp_path, "ETHUSDT-4h-2024-03-04", klines(1000))], SPOT)


def trade_lines(days: int, per_day: int) -> list[str]:
    return [
        f"{i},2000.{i % 7},0.25,{i},{i},{(MONDAY + i * DAY // per_day) // 1000},true,True\n"
        for i in range(days * per_day)
    ]


@pytest.mark.parametrize("block", [300, 1 << 20])
def test_a_month_of_trades_is_written_day_by_day(
    store: MarketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(archive, "BLOCK", block)
    file = zipped(tmp_path, "ETHUSDT-aggTrades-2024-03", "".join(trade_lines(4, 50)))
    summary = import_files(store, [file], SPOT).files[file]
    month = (MONDAY - 3 * DAY, MONDAY + 28 * DAY)
    assert (summary.rows, summary.new_rows, summary.covered) == (200, 200, month)
    trades = store.read_trades("binance:ETHUSDT")
    assert trades.id is not None
    assert trades.id.tolist() == list(range(200))
    assert len(store.days("binance:ETHUSDT", "trades")) == 4
    # The month's file speaks for its quiet days too.
    assert store.coverage("binance:ETHUSDT", "trades").tolist() == [list(month)]


def test_importing_again_in_place_keeps_every_day(store: MarketStore, tmp_path: Path) -> None:
    file = zipped(tmp_path, "ETHUSDT-aggTrades-2024-03", "".join(trade_lines(3, 20)))
    import_files(store, [file], SPOT)
    again = ImportOptions(exchange="binance", replace=True)
    assert import_files(store, [file], again).files[file].rows == 60
    assert len(store.read_trades("binance:ETHUSDT")) == 60


@pytest.mark.parametrize("block", [300, 1 << 20])
@pytest.mark.parametrize("header", ["", "id,price,quantity,first,last,time,maker,match\n"])
def test_a_value_deep_in_a_file_is_named_by_its_row(
    store: MarketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, header: str
) -> None:
    monkeypatch.setattr(archive, "BLOCK", block)
    lines = trade_lines(2, 50)
    lines[77] = lines[77].replace("2000.", "dear")
    file = zipped(tmp_path, "ETHUSDT-aggTrades-2024-03", header + "".join(lines))
    with pytest.raises(DataError, match="row 77, field 'price': 'dear0' is no price"):
        import_files(store, [file], SPOT)
    assert store.markets() == []


def test_days_out_of_order_are_named(store: MarketStore, tmp_path: Path) -> None:
    lines = trade_lines(3, 10)
    file = zipped(tmp_path, "ETHUSDT-aggTrades-2024-03", "".join(lines[10:] + lines[:10]))
    with pytest.raises(DataError, match=r"row 20.*a day before"):
        import_files(store, [file], SPOT)
    lines[10] = lines[10].replace("10,", "3,", 1)
    twice = zipped(tmp_path, "BTCUSDT-aggTrades-2024-03", "".join(lines))
    with pytest.raises(DataError, match=r"row 10.*3 is not above the id"):
        import_files(store, [twice], SPOT)
    assert store.markets() == []


def test_funding_of_futures(store: MarketStore, tmp_path: Path) -> None:
    rows = "".join(f"{(MONDAY + k * DAY // 3) // 1000},8,0.000{k}\n" for k in range(6))
    file = zipped(tmp_path, "ETHUSDT-fundingRate-2024-03",
                  "calc_time,funding_interval_hours,last_funding_rate\n" + rows)  # fmt: skip
    import_files(store, [file], FUTURES)
    funding = store.read_funding("binanceusdm:ETHUSDT")
    assert funding.ts.tolist() == [MONDAY + k * DAY // 3 for k in range(6)]
    assert funding.rate.tolist() == [k / 10_000 for k in range(6)]


def test_a_period_is_in_the_name_already(store: MarketStore, tmp_path: Path) -> None:
    file = zipped(tmp_path, "ETHUSDT-1h-2024-03-04", klines(1000))
    with pytest.raises(ApexError, match="drop --covers"):
        import_files(store, [file], ImportOptions("binance", covers=(MONDAY, MONDAY + 2 * DAY)))
