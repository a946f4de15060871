"""An exchange's configuration: what is refused, and that keys never come near it."""

import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.stream.feed import TradeFeed


def test_a_mistyped_exchange_names_the_one_that_was_meant() -> None:
    with pytest.raises(ApexError, match="binanceusdm"):
        ExchangeConfig("binanceusd-m")
    with pytest.raises(ApexError, match=r"binance \(spot\)"):
        ExchangeConfig("???")


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "localhost:80"), ("ws_url", "http://localhost"), ("archive_url", "ftp://host"),
     ("timeout", 0.0), ("retries", -1), ("backoff", float("nan"))],
)  # fmt: skip
def test_an_impossible_value_is_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"exchange.{field}"):
        ExchangeConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["key_env", "secret_env"])
def test_a_key_in_place_of_a_variables_name_is_refused_and_not_repeated(field: str) -> None:
    key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    with pytest.raises(ConfigError, match="NAME of an environment variable") as caught:
        ExchangeConfig(**{field: key})  # type: ignore[arg-type]
    assert key not in str(caught.value)


def test_a_url_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="without user and password") as caught:
        ExchangeConfig(url="https://me:hush@host")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "lacking"), [("url", "ws_url"), ("ws_url", "url")],
)  # fmt: skip
def test_a_live_market_is_not_heard_at_one_place_and_asked_for_at_another(
    given: str, lacking: str
) -> None:
    places = {"url": "https://mirror", "ws_url": "wss://mirror"}
    ExchangeConfig().check_streaming()
    ExchangeConfig(**places).check_streaming()  # type: ignore[arg-type]
    half = ExchangeConfig(**{given: places[given]})  # type: ignore[arg-type]
    place = rf"exchange\.{lacking}=.*together with exchange\.{given}"
    with pytest.raises(ConfigError, match=place):
        half.check_streaming()
    with pytest.raises(ConfigError, match=rf"exchange\.{lacking}"):
        TradeFeed(half, ["binance:ETHUSDT"])
