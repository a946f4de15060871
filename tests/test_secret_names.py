"""Names of secrets are told from names of places where secrets are kept."""

import pickle

import pytest

from apex_trader.errors import ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.typed import settings
from apex_trader.secret_names import names_secret


@pytest.mark.parametrize(
    "name",
    ["api_key", "exchange.api_key", "exchange.apiKey", "--api-key", "secret", "exchange.secret",
     "BINANCE_API_SECRET", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "password",
     "okx.passphrase", "exchange.key"],
)  # fmt: skip
def test_what_holds_a_secret(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name", ["exchange.key_env", "secret_env", "exchange.key_file", "keys", ""]
)
def test_what_says_where_one_is_kept(name: str) -> None:
    assert not names_secret(name)


def test_no_setting_is_taken_for_a_secret() -> None:
    assert [name for name in settings(Config) if names_secret(name)] == []


def test_an_error_over_a_secret_neither_shows_nor_keeps_it() -> None:
    error = ConfigError("exchange.api_key", "hush-hush", "no such setting")
    assert str(error) == "exchange.api_key=… cannot be used: no such setting"
    assert "hush" not in str(vars(error))
    assert b"hush" not in pickle.dumps(error.__dict__)
