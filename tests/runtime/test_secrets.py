"""No command takes a secret on its command line, and none repeats one that it was given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apex_trader import audit, backtest, data, train
from apex_trader.errors import ApexError
from apex_trader.runtime.compose import compose_config, load_config, save_config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.secrets import refuse_secrets

SECRET = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv"
COMMANDS: dict[str, Callable[[], object]] = {
    "train": train.main,
    "backtest": backtest.main,
    "audit": lambda: sys.exit(audit.main()),
    "data": lambda: sys.exit(data.main()),
}
LINES = [
    [f"exchange.api_key={SECRET}"],
    [f"+exchange.api_key={SECRET}"],
    [f"++exchange.secret='{SECRET}"],
    [f"exchange={{api_key: {SECRET}}}"],
    ["+experiment=quickstart", f"exchange.apiKey={SECRET}"],
    ["run=somewhere", f"exchange.api_secret={SECRET}"],
    ["resume=somewhere", f"wandb.api_key={SECRET}"],
    ["-m", f"exchange.api_key={SECRET},other"],
    ["--cfg", "job", f"exchange.api_key={SECRET}"],
    ["--api-key", SECRET],
    [f"--api-key={SECRET}"],
    ["download", "--secret", SECRET],
    ["import", f"api_key={SECRET}", "--store", "x"],
    [f"exchange.url=https://me:{SECRET}@host"],
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(line).replace(SECRET, "S"))
def test_it_is_refused_in_one_line_that_does_not_repeat_it(
    command, line, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [command, *line])
    with pytest.raises(SystemExit) as ended:
        COMMANDS[command]()
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert SECRET not in out + err
    assert err.count("\n") == 1
    assert "environment" in err or "Export" in err, "it says where a secret belongs"
    assert list(tmp_path.iterdir()) == []


def test_what_a_secret_variable_holds_is_refused_whatever_it_is_given_to():
    variables = {"OKX_API_KEY": SECRET, "SHORT_KEY": "seed", "HOME": "quickstart"}
    for argument in (f"exchange.key_env={SECRET}", f"name={SECRET}", SECRET, f"x={{y: {SECRET}}}"):
        with pytest.raises(ApexError, match="OKX_API_KEY") as caught:
            refuse_secrets([argument], variables)
        assert SECRET not in str(caught.value)
    refuse_secrets(["+experiment=quickstart", "seed=3"], variables)


def test_where_a_secret_is_kept_may_be_said(tmp_path: Path):
    places = ["key_env=MY_KEY", "secret_env=MY_SECRET", f"key_file={tmp_path}",
              "url=https://api-gcp.binance.com"]  # fmt: skip
    words = [f"exchange.{place}" for place in places]
    refuse_secrets([*words, "market.store=s3://bucket/market@2"], {})


@pytest.mark.parametrize("field", ["key_env", "secret_env", "key_file"])
def test_a_key_in_place_of_a_name_is_not_repeated(field):
    for key in (SECRET, SECRET.upper()):
        with pytest.raises(ApexError, match=f"exchange.{field}") as caught:
            compose_config([f"exchange.{field}={key}"])
        assert key not in str(caught.value)


def test_a_secret_in_a_configuration_file_is_refused_and_not_repeated(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create()
    save_config(run, compose_config([]))
    run.config.write_text(
        run.config.read_text().replace("  key_env:", f"  api_key: {SECRET}\n  key_env:")
    )
    with pytest.raises(ApexError, match=r"exchange\.api_key=… cannot be used") as caught:
        load_config(run)
    assert SECRET not in str(caught.value)
