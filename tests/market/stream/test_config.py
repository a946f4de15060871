"""Settings of the feed are checked where they are made."""

import pytest

from apex_trader.errors import ConfigError
from apex_trader.market.stream.config import StreamConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [("watermark", 0.0), ("patience", -1.0), ("stall", float("nan")), ("save", 0.0),
     ("ping", -0.1), ("backoff_limit", 0.1), ("reach", float("inf"))],
)  # fmt: skip
def test_an_impossible_value_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"stream.{name}"):
        StreamConfig(**{name: value})


def test_a_stall_must_leave_time_for_a_pong() -> None:
    with pytest.raises(ConfigError, match=r"stream\.stall"):
        StreamConfig(ping=6.0, stall=10.0)
    assert StreamConfig(ping=0.0, stall=0.5).ping == 0
