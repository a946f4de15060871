"""Parameters are known, typed and in range, and a mistake names the remedy."""

from __future__ import annotations

import pytest

from apex_trader.errors import ConfigError
from apex_trader.market.synthetic import GENERATORS, generate, generator_named, parameter_table


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("clock", ["1s", "1m"])
def test_every_default_is_allowed(name: str, clock: str) -> None:
    for parameter in parameter_table(name, clock):
        assert parameter.check(name, parameter.default) == parameter.default
        assert parameter.meaning
        assert parameter.allowed


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_every_bound_is_enforced(name: str) -> None:
    for parameter in parameter_table(name):
        if parameter.low is None or parameter.high is None:
            continue
        assert parameter.check(name, parameter.low) == parameter.low
        for value in (parameter.low - 1, parameter.high * 2 + 1, float("nan"), "much", None, True):
            with pytest.raises(ConfigError, match=parameter.name):
                parameter.check(name, value)


def test_an_unknown_parameter_is_answered_with_the_closest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean half_life"):
        generate("mean_reversion", 0, half_live=30)


def test_an_unknown_generator_is_answered_with_the_closest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean lead_lag"):
        generator_named("leadlag")


def test_numbers_may_be_given_as_text() -> None:
    resolved = generator_named("mean_reversion").resolve({"half_life": "30", "days": "2"})
    assert resolved["half_life"] == 30.0
    assert resolved["days"] == 2
    assert isinstance(resolved["days"], int)


@pytest.mark.parametrize("start", ["2024-02-30", "yesterday", "2024-01-01T12:00"])
def test_a_start_is_a_date(start: str) -> None:
    with pytest.raises(ConfigError, match="start"):
        generate("martingale", 0, start=start)


def test_a_whole_number_is_not_a_fraction() -> None:
    with pytest.raises(ConfigError, match="days"):
        generate("martingale", 0, days=1.5)


def test_minute_defaults_hold_on_the_minute_clock() -> None:
    seconds = generator_named("mean_reversion").resolve({})
    minutes = generator_named("mean_reversion").resolve({"clock": "1m"})
    assert seconds["half_life"] == 60.0
    assert minutes["half_life"] > 10 * seconds["half_life"]


def test_minute_bars_cannot_reach_behind_the_history() -> None:
    with pytest.raises(ConfigError, match="minute_days"):
        generate("martingale", 0, history_days=2, minute_days=3)


def test_a_seed_is_not_negative() -> None:
    with pytest.raises(ConfigError, match="seed"):
        generate("martingale", -1, history_days=1, minute_days=1, days=1)
