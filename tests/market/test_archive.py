"""Files of Binance's public archive: units, headers, sides, and the period in the name."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from apex_trader.errors import ApexError, DataError
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


def test_an_unknown_interval_lists_the_kinds(store: MarketStore, tmp_path: Path) -> None:
    with pytest.raises(ApexError, match="'4h' is no kind"):
        import_files(store, [zipped(tmp_path, "ETHUSDT-4h-2024-03-04", klines(1000))], SPOT)
