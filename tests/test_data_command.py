"""The store's command: what it prints, and its exit codes 0, 1 and 2."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_trader.data import main
from apex_trader.market.store import MarketStore
from tests.market.samples import MONDAY, random_bars, random_trades


def write_bars(folder: Path, name: str, clock: str = "1m", count: int = 120) -> str:
    bars = random_bars(1, count, clock)
    columns = {n: getattr(bars, n) for n in ("open", "high", "low", "close", "volume")}
    pq.write_table(pa.table({"ts": bars.ts // 1000, **columns}), folder / name)
    return str(folder / name)


def write_trades(folder: Path, name: str, factor: float = 1.0) -> str:
    trades = random_trades(1, 3000)
    columns = {"ts": trades.ts, "price": np.round(trades.price * factor, 2),
               "amount": trades.amount, "side": trades.side}  # fmt: skip
    pq.write_table(pa.table(columns), folder / name)
    return str(folder / name)


class Shell:
    """Runs the command with one store, and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], store: str) -> None:
        self.capsys, self.store = capsys, store

    def __call__(self, *arguments: str, store: bool = True) -> tuple[int, str, str]:
        code = main([*arguments, *(["--store", self.store] if store else [])])
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return Shell(capsys, str(tmp_path / "store"))


def test_import_says_what_is_new(shell: Shell, tmp_path: Path) -> None:
    file = write_bars(tmp_path, "binance_ETHUSDT_1m.parquet")
    code, out, _ = shell("import", file)
    assert (code, "120 rows of binance:ETHUSDT 1m, all new" in out) == (0, True)
    code, out, _ = shell("import", file)
    assert (code, "already there, 0 new rows" in out) == (0, True)


def test_import_finds_the_look_back_itself(shell: Shell, tmp_path: Path) -> None:
    spot = write_bars(tmp_path, "binance_ETHUSDT_1m.parquet")
    perpetual = write_bars(tmp_path, "binanceusdm_ETHUSDT_1m.parquet")
    code, out, _ = shell("import", perpetual, spot)
    assert code == 0
    assert "binance:ETHUSDT stands in for its past, ln basis +0.000000" in out


def test_a_contradiction_exits_with_2_and_names_the_remedy(shell: Shell, tmp_path: Path) -> None:
    shell("import", write_trades(tmp_path, "binance_ETHUSDT_trades.parquet"))
    file = write_trades(tmp_path, "binance_ETHUSDT_trades.parquet", 1.01)
    code, _, err = shell("import", file)
    assert code == 2
    assert re.search(
        r"^error: binance_ETHUSDT_trades.parquet, row 0, field 'price'.*--replace", err
    )
    assert err.count("\n") == 1
    code, _, _ = shell("import", file, "--replace")
    assert code == 0


def test_info_in_a_table_and_for_machines(shell: Shell, tmp_path: Path) -> None:
    shell("import", write_trades(tmp_path, "binance_ETHUSDT_trades.parquet"),
          write_bars(tmp_path, "okx_BTCUSDT_1h.parquet", "1h", 48))  # fmt: skip
    code, out, _ = shell("info")
    assert code == 0
    assert "binance:ETHUSDT" in out
    assert "2024-03-05 23:00:00" in out
    code, out, _ = shell("info", "--json", "--market", "okx:BTCUSDT")
    figures = json.loads(out)
    assert list(figures) == ["okx:BTCUSDT"]
    assert figures["okx:BTCUSDT"]["kinds"]["1h"]["rows"] == 48
    assert figures["okx:BTCUSDT"]["kinds"]["1h"]["first"] == MONDAY


def test_verify_exits_with_1_on_a_violation(shell: Shell, tmp_path: Path) -> None:
    shell("import", write_bars(tmp_path, "binance_ETHUSDT_1m.parquet"))
    code, out, _ = shell("verify")
    assert (code, "0 violations, 0 warnings" in out) == (0, True)
    (part,) = Path(shell.store).rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    code, out, _ = shell("verify")
    assert code == 1
    assert part.name in out
    assert "1 violations" in out


def test_lookback_by_hand(shell: Shell, tmp_path: Path) -> None:
    shell("import", write_bars(tmp_path, "okx_ETHUSDT_1m.parquet"),
          write_bars(tmp_path, "bybit_ETHUSDT_1m.parquet"))  # fmt: skip
    arguments = ("lookback", "--market", "okx:ETHUSDT", "--source")
    code, out, _ = shell(*arguments, "bybit:ETHUSDT", "--minutes", "2")
    assert (code, "stands in" in out) == (0, True)
    lookback = MarketStore(shell.store).info("okx:ETHUSDT").lookback
    assert lookback is not None
    assert lookback.market == "bybit:ETHUSDT"
    code, _, err = shell(*arguments, "bybit:ETHUSD")
    assert (code, "did you mean bybit:ETHUSDT" in err) == (2, True)


def test_synthesize_lists_and_refuses(shell: Shell) -> None:
    code, out, _ = shell("synthesize", "--list", store=False)
    assert code == 0
    for name in ("martingale", "mean_reversion", "lead_lag", "regimes", "densified"):
        assert name in out
    code, _, err = shell("synthesize", "martingal")
    assert (code, "did you mean martingale" in err) == (2, True)
    code, _, err = shell("synthesize", "martingale", "--set", "days")
    assert (code, "KEY=VALUE" in err) == (2, True)
    code, _, err = shell("synthesize", "martingale", "--set", "dais=1")
    assert (code, "days" in err) == (2, True)
    assert MarketStore(shell.store).markets() == []


def test_a_synthetic_market_is_written_labelled_and_sound(shell: Shell) -> None:
    settings = ("days=1", "history_days=2", "minute_days=1", "clock=1m")
    code, _, err = shell("synthesize", "martingale", "--seed", "7", "--set", *settings)
    assert code == 0, err
    store = MarketStore(shell.store)
    assert all(store.info(market).synthetic for market in store.markets())
    _, out, _ = shell("info")
    assert "SYNTHETIC" in out
    code, out, _ = shell("verify")
    assert code == 0, out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inf", "--store", "x"], "did you mean info?"),
        (["info", "--stor", "x"], "did you mean --store?"),
        (["info"], "--store"),
        (["info", "--store", "nowhere"], "nowhere: no market store there"),
        (["import", "--store", "x", "nofile_ETHUSDT_1m.parquet"], "there is no such file"),
        (["import", "--store", "x", "f.parquet", "--kind", "1min"], "did you mean '1m'?"),
        (["import", "--store", "x", "f.parquet", "--covers", "a", "b"], "'a' is not a time"),
        (["import", "--store", "x", "f.parquet", "--tick-size", "two"], "invalid float"),
        (["lookback", "--store", "x", "--market", "a:b"], "--source"),
    ],
)
def test_a_mistake_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_mistyped_file_is_suggested(shell: Shell, tmp_path: Path) -> None:
    write_bars(tmp_path, "binance_ETHUSDT_1m.parquet")
    code, _, err = shell("import", str(tmp_path / "binance_ETHUSD_1m.parquet"))
    assert (code, "did you mean" in err) == (2, True)


@pytest.mark.parametrize("command", ["import", "synthesize", "info", "verify", "lookback"])
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--store" in capsys.readouterr().out


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "apex_trader.data", "info", "--store", str(tmp_path / "none")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error:")
    assert "Traceback" not in done.stderr
