"""A fold trains on what came before its test, and every tested day is tested once."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.folds import WalkForwardConfig, fold_periods
from apex_trader.runtime.periods import PeriodsConfig, split_days
from apex_trader.time import DAY, parse_time

FIRST = parse_time("2024-01-01")


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(0, 90), min_size=25, max_size=60), st.integers(1, 4),
       st.floats(0.1, 0.6), st.integers(0, 3), st.sampled_from([0, 12, 20]),
       st.floats(0.0, 0.4))  # fmt: skip
def test_folds_walk_forward(numbers, folds, share, embargo, most, validation):
    days = [FIRST + k * DAY for k in sorted(numbers)]
    periods = PeriodsConfig(validation=validation, test=0.1, extractor=0.3)
    config = WalkForwardConfig(folds, share, embargo, most)
    try:
        parts = [split_days(days, p, DAY // 2) for p in fold_periods(days, periods, config)]
    except ApexError:
        assume(False)
        return
    assert len(parts) == folds
    tested = [day for part in parts for day in part.test]
    assert tested == days[len(days) - len(tested) :]  # each once, in order, up to the last
    assert len({len(part.test) for part in parts}) <= 2
    for part in parts:
        before = (*part.extractor, *part.agent, *part.validation, *part.calibration)
        assert max(before) < min(part.test) - embargo * DAY
        assert not most or len(before) <= most
        held = (*part.validation, *part.calibration)
        if held:
            assert max(part.agent) < min(held) - embargo * DAY


def test_three_folds_by_hand():
    days = [FIRST + k * DAY for k in range(20)]
    periods = PeriodsConfig(validation=0.25, extractor=0.0, calibration=0.0)
    made = fold_periods(days, periods, WalkForwardConfig(folds=3, share=0.3, embargo=1))
    assert [(p.start, p.validation_start, p.test_start, p.end) for p in made] == [
        ("2024-01-01", "2024-01-11", "2024-01-15", "2024-01-17"),
        ("2024-01-01", "2024-01-12", "2024-01-17", "2024-01-19"),
        ("2024-01-01", "2024-01-14", "2024-01-19", "2024-01-21"),
    ]


def test_a_fold_that_rolls_forgets_the_oldest_days():
    days = [FIRST + k * DAY for k in range(20)]
    config = WalkForwardConfig(folds=2, share=0.2, embargo=0, days=6)
    made = fold_periods(days, PeriodsConfig(validation=0.34), config)
    assert [(p.start, p.test_start) for p in made] == [
        ("2024-01-11", "2024-01-17"), ("2024-01-13", "2024-01-19"),
    ]  # fmt: skip


def test_too_few_days_are_said():
    days = [FIRST + k * DAY for k in range(4)]
    with pytest.raises(ApexError, match=r"4 days are too few for walk_forward\.folds=3"):
        fold_periods(days, PeriodsConfig(), WalkForwardConfig(folds=3))
    with pytest.raises(ApexError, match="embargo=9 leaves 0 days before the test"):
        fold_periods(days, PeriodsConfig(), WalkForwardConfig(folds=1, embargo=9))


@pytest.mark.parametrize(
    ("field", "value"), [("folds", -1), ("share", 1.0), ("embargo", -1), ("days", -2)]
)
def test_impossible_values_name_their_field(field, value):
    with pytest.raises(ConfigError, match=rf"walk_forward\.{field}"):
        WalkForwardConfig(**{field: value})
