"""``data download``: what it prints, and its exit codes 0, 1 and 2."""

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from apex_trader.data import main
from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.store import MarketStore
from tests.local_exchange import LocalExchange
from tests.local_exchange.faults import On, Status, WrongChecksum
from tests.market.download.helpers import content, opened
from tests.market.exchange.local import feed, numbered_trades


class Shell:
    """Runs the command against a local exchange, and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], store: Path) -> None:
        self.capsys, self.store = capsys, store

    def __call__(self, exchange: LocalExchange, *arguments: str) -> tuple[int, str, str]:
        given = {"--symbols": "ETHUSDT", "--from": "2024-03-04", "--to": "2024-03-05",
                 "--kinds": "1m,1d"}  # fmt: skip
        given = {name: value for name, value in given.items() if name not in arguments}
        code = main([
            "download", "--store", str(self.store), "--url", exchange.rest_url, "--archive-url",
            exchange.archive_url, *arguments, *[word for pair in given.items() for word in pair],
        ])  # fmt: skip
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return Shell(capsys, tmp_path / "store")


def test_a_summary_of_rows_gaps_and_bytes(shell: Shell) -> None:
    with opened(feed(count=3000)) as exchange:
        code, out, err = shell(exchange, "--symbols", "ETHUSDT,BTCUSDT")
        again = shell(exchange, "--symbols", "ETHUSDT,BTCUSDT")
    assert code == 0
    assert err.splitlines()[:4] == [
        f"binance:{symbol} {kind}: 24 h missing"
        for symbol, kind in product(("ETHUSDT", "BTCUSDT"), ("1m", "1d"))
    ]
    assert re.search(r"^binance:ETHUSDT 1m: [\d,]+ rows, [\d.]+ kB, all there$", err, re.M)
    held = len(MarketStore(str(shell.store)).read_bars("binance:ETHUSDT", "1m"))
    row = re.search(r"binance:ETHUSDT +│ 1m +│ +([\d,]+) │ +([\d,]+) │ +([\d,]+) │ +([\d,]+)", out)
    assert row is not None
    new, there, gaps, missing = (int(text.replace(",", "")) for text in row.groups())
    assert new == there == held
    assert missing == 1440 - held
    assert 0 < gaps <= missing
    assert re.search(r"binance:BTCUSDT +│ 1d +│ +1 │ +1 │", out)
    assert re.search(r"\d kB", out)
    assert again[0] == 0
    assert again[2].splitlines()[0] == "binance:ETHUSDT 1m: all there"
    assert re.search(r"binance:ETHUSDT +│ 1m +│ +0 │.*nothing", again[1])


def test_what_could_not_be_had_exits_with_1_and_says_what_helps(shell: Shell) -> None:
    with opened(feed(count=100, days=2)) as exchange:
        exchange.follow([On(Status(404), "2024-03-05")])
        code, out, _ = shell(exchange, "--to", "2024-03-06", "--source", "archive")
        assert code == 1
        assert "not to be had: binance:ETHUSDT 1d 2024-03-05 00:00:00 to 2024-03-06" in out
        assert "--source auto" in out
        assert shell(exchange, "--to", "2024-03-06")[0] == 0


def test_a_bad_file_exits_with_2_and_is_named(shell: Shell) -> None:
    with opened(feed(count=100)) as exchange:
        exchange.follow([On(WrongChecksum(), "1m")])
        code, out, err = shell(exchange)
    assert code == 2
    assert re.search(r"^error: ETHUSDT-1m-2024-03-04.zip: its SHA-256 is .* twice", err, re.M)
    assert re.search(r"binance:ETHUSDT +│ 1d +│ +1 │", out), "the other file is there all the same"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--exchange", "binanceus dm"), "no exchange 'binanceus dm': did you mean"),
        (("--symbols", "ETHUSTD"), "lists no symbol 'ETHUSTD': did you mean ETHUSDT"),
        (("--symbols", ","), "--symbols is empty"),
        (("--kinds", "1min"), "'1min' is no kind of data: did you mean '1m'"),
        (("--from", "yesterday"), "'yesterday' is not a time"),
        (("--from", "2024-03-06"), "before --to 2024-03-05"),
        (("--source", "ftp"), "--source='ftp' cannot be used: auto, archive or rest"),
        (("--verify-checksums", "no"), "always, published or never"),
        (("--concurrency", "0"), "--concurrency=0 cannot be used: 1 to 64"),
        (("--archive-url", "data.binance.vision"), "a base URL"),
        (("--simbols", "ETHUSDT"), "did you mean --symbols"),
    ],
)
def test_a_mistake_is_one_clear_line(
    shell: Shell, arguments: tuple[str, ...], message: str
) -> None:
    with opened(feed(count=5)) as exchange:
        code, _, err = shell(exchange, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not shell.store.exists()


def test_an_exchange_that_is_not_there_is_named_by_its_url(shell: Shell) -> None:
    nobody = ["--url", "http://127.0.0.1:9", "--archive-url", "http://127.0.0.1:9"]
    arguments = ["download", "--store", str(shell.store), "--symbols", "ETHUSDT", "--from",
                 "2024-03-04", "--to", "2024-03-05", *nobody]  # fmt: skip
    for source in ("rest", "archive"):
        assert main([*arguments, "--source", source]) == 2
        (line,) = re.findall(r"^error: .*", shell.capsys.readouterr().err, re.M)
        assert "http://127.0.0.1:9" in line


def test_keys_in_the_environment_are_not_shown(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", "the-key")
    monkeypatch.setenv("BINANCE_API_SECRET", "the-secret")
    with opened(feed(count=50)) as exchange:
        _, out, err = shell(exchange)
        exchange.follow([On(Status(400))])
        _, more, worse = shell(exchange, "--source", "rest", "--replace")
    for secret in ("the-key", "the-secret"):
        assert secret not in out + err + more + worse
    options = subprocess.run(
        [sys.executable, "-m", "apex_trader.data", "download", "--help"], capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    assert "--key" not in options
    assert "--secret" not in options


def mends(out: str) -> list[list[str]]:
    """The commands that ``verify`` says mend its findings, without the interpreter."""
    return [shlex.split(line)[3:] for line in re.findall(r"mend: (.*)", out)]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        *product(("truncated", "missing"), ("trades", "1m", "1d")),
        ("minutes", "trades"),  # only ticks have minutes beside them
    ],
)
def test_verify_says_which_download_mends_a_store(
    shell: Shell, capsys: pytest.CaptureFixture[str], kind: str, damage: str
) -> None:
    with opened(feed(count=400, days=2)) as exchange:
        store = MarketStore(str(shell.store))
        assert shell(exchange, "--kinds", "trades,1m,1d", "--to", "2024-03-06")[0] == 0
        right = content(store)
        stem = "minutes" if damage == "minutes" else "part"
        file = sorted(shell.store.rglob(f"kind={kind}/*/{stem}-*.parquet"))[0]
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-20])
        assert main(["verify", "--store", str(shell.store)]) == 1
        out = capsys.readouterr().out
        assert str(file) in out
        for words in mends(out):
            urls = ["--url", exchange.rest_url, "--archive-url", exchange.archive_url]
            assert main([*words, *urls]) == 0
    assert content(store) == right
    capsys.readouterr()
    assert main(["verify", "--store", str(shell.store)]) == 0
    assert "violation:" not in capsys.readouterr().out


def test_verify_s_command_mends_a_market_of_an_exchange_that_has_no_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the store's name of the market, from a file, is written otherwise than its id."""
    given, store = feed(count=400), MarketStore(str(tmp_path / "store"))
    trades = numbered_trades(0, 400)  # the first of the feed's
    minutes = resample(bars_from_seconds(seconds_from_trades(trades)), "1m")
    unknown = np.full(len(minutes), np.nan)
    known = replace(minutes, taker_buy_volume=unknown, count=unknown)
    store.write_bars("binanceus:ETH-USDT", known)
    (file,) = Path(store.url).rglob("part-*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    assert main(["verify", "--store", store.url]) == 1
    (words,) = mends(capsys.readouterr().out)
    with opened(given) as exchange:
        main([*words, "--url", exchange.rest_url])
    store.reload()
    assert store.markets() == ["binanceus:ETH-USDT"]
    there = store.read_bars("binanceus:ETH-USDT", "1m")
    place = np.searchsorted(there.ts, known.ts)
    np.testing.assert_array_equal(there.close[place], known.close)
    assert main(["verify", "--store", store.url]) == 0
