"""Keys: where they come from, and that nothing that is printed or logged shows them."""

import logging
from dataclasses import asdict
from pathlib import Path

import pytest

from apex_trader.errors import ApexError
from apex_trader.market.exchange.client import rest
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.credentials import credentials

KEY, SECRET = "k" * 8 + "1234", "s" * 8 + "5678"
BINANCE = ExchangeConfig("binance")


def test_keys_come_from_the_environment() -> None:
    found = credentials(BINANCE, {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": SECRET})
    assert found is not None
    assert (found.key, found.secret) == (KEY, SECRET)
    named = ExchangeConfig("binance", key_env="MY_KEY", secret_env="MY_SECRET")
    assert credentials(named, {"MY_KEY": KEY, "MY_SECRET": SECRET}) == found


def test_public_data_needs_no_keys() -> None:
    assert credentials(BINANCE, {}) is None


def test_half_a_pair_names_the_missing_variable_and_no_value() -> None:
    with pytest.raises(ApexError, match="BINANCE_API_SECRET is not set") as caught:
        credentials(BINANCE, {"BINANCE_API_KEY": KEY})
    assert KEY not in str(caught.value)
    with pytest.raises(ApexError, match="MY_KEY is not set"):
        credentials(ExchangeConfig("binance", key_env="MY_KEY"), {})


def test_a_file_of_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# spot\nkey = {KEY}\nsecret='{SECRET}'\n")
    config = ExchangeConfig("binance", key_file=str(file))
    file.chmod(0o644)
    with pytest.raises(ApexError, match="chmod 600"):
        credentials(config)
    file.chmod(0o600)
    found = credentials(config)
    assert found is not None
    assert (found.key, found.secret) == (KEY, SECRET)
    file.write_text(f"key={KEY}\n")
    with pytest.raises(ApexError, match="secret=") as caught:
        credentials(config)
    assert KEY not in str(caught.value)
    with pytest.raises(ApexError, match="cannot be read"):
        credentials(ExchangeConfig("binance", key_file=str(tmp_path / "none")))


def test_no_print_and_no_dump_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", KEY)
    monkeypatch.setenv("BINANCE_API_SECRET", SECRET)
    shown = repr(BINANCE) + str(asdict(BINANCE)) + repr(credentials(BINANCE))
    assert KEY not in shown
    assert SECRET not in shown


def test_the_debug_log_of_a_client_shows_no_key(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", KEY)
    monkeypatch.setenv("BINANCE_API_SECRET", SECRET)
    client = rest(BINANCE)
    assert client.apiKey == KEY
    with caplog.at_level(logging.DEBUG):
        client.logger.debug("%s, Request: %s", "GET", {"X-MBX-APIKEY": KEY, "sign": SECRET})
    assert "Request" in caplog.text
    assert "[hidden]" in caplog.text
    assert KEY not in caplog.text
    assert SECRET not in caplog.text
