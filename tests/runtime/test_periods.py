"""The parts of a run's time: in order, apart, and with an embargo between extractor and agent."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.periods import PeriodsConfig, days_text, split_days
from apex_trader.time import DAY, HOUR, format_date, parse_time

FIRST = parse_time("2024-01-01")
HORIZON = 4 * HOUR


def days(count: int) -> list[int]:
    return [FIRST + k * DAY for k in range(count)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=80, unique=True),
    st.floats(0, 0.6),
    st.floats(0, 0.6),
    st.floats(0, 0.9),
    st.floats(0, 0.9),
)
def test_every_day_serves_one_purpose_and_time_runs_from_fitting_to_test(
    numbers, validation, test, extractor, calibration
):
    assume(validation + test < 1)
    known = [FIRST + k * DAY for k in sorted(numbers)]
    config = PeriodsConfig(
        validation=validation, test=test, extractor=extractor, calibration=calibration
    )
    try:
        parts = split_days(known, config, HORIZON)
    except ApexError as error:
        assert "nothing is left" in str(error)  # noqa: PT017 - the reason for which there is no split
        return
    assert list(parts.all) == known
    for share, part in ((validation, parts.validation), (test, parts.test)):
        assert bool(part) == (share > 0)
    assert parts.agent
    if parts.extractor:
        assert parts.agent_from == parts.extractor[-1] + DAY + HORIZON


@settings(max_examples=100, deadline=None)
@given(st.integers(10, 60), st.integers(1, 8), st.integers(1, 8))
def test_dates_divide_where_they_say(count, before_test, before_validation):
    known = days(count)
    test = count - before_test
    validation = test - before_validation
    assume(validation >= 2)
    text = {
        "test_start": format_date(known[test]),
        "validation_start": format_date(known[validation]),
    }
    parts = split_days(known, PeriodsConfig(**text), HORIZON)
    assert parts.test == tuple(known[test:])
    assert (*parts.validation, *parts.calibration) == tuple(known[validation:test])


def test_start_and_end_choose_the_days_and_the_end_is_not_among_them():
    config = PeriodsConfig(start="2024-01-03", end="2024-01-13", validation=0.2, test=0.2)
    parts = split_days(days(30), config, HORIZON)
    assert (format_date(parts.all[0]), format_date(parts.all[-1])) == ("2024-01-03", "2024-01-12")


def test_a_share_is_at_least_a_day():
    parts = split_days(days(5), PeriodsConfig(validation=0.01, test=0.01), HORIZON)
    assert (len(parts.validation), len(parts.test)) == (1, 1)


def test_without_extractor_days_the_agent_begins_at_its_first_day():
    parts = split_days(days(6), PeriodsConfig(extractor=0.0), HORIZON)
    assert parts.extractor == ()
    assert parts.agent_from <= parts.agent[0]


def test_too_few_days_name_the_part_that_is_left_empty():
    with pytest.raises(ApexError, match=r"2 days are too few: nothing is left for .*agent"):
        split_days(days(2), PeriodsConfig(), HORIZON)


def test_no_day_in_the_range_says_which_days_there_are():
    config = PeriodsConfig(start="2030-01-01")
    with pytest.raises(ApexError, match="2024-01-01 to 2024-01-04"):
        split_days(days(4), config, HORIZON)


def test_a_test_that_would_begin_before_everything_leaves_nothing_to_train_on():
    config = PeriodsConfig(test_start="2023-01-01")
    with pytest.raises(ApexError, match=r"test_start=2023-01-01: nothing is left"):
        split_days(days(10), config, HORIZON)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("validation", 1.0),
        ("calibration", 1.0),
        ("test", -0.1),
        ("extractor", 1.0),
        ("start", "yesterday"),
    ],
)
def test_impossible_values_name_their_field(field, value):
    with pytest.raises(ConfigError, match=f"periods.{field}"):
        PeriodsConfig(**{field: value})


def test_an_end_before_the_start_is_refused_with_both():
    with pytest.raises(ConfigError, match=r"periods\.end='2022-02-03'.*periods\.start=2023-02-01"):
        PeriodsConfig(start="2023-02-01", end="2022-02-03")


def test_one_day_is_too_few():
    with pytest.raises(ApexError, match="1 day is too few: nothing is left for"):
        split_days(days(1), PeriodsConfig(), HORIZON)


def test_validation_and_test_cannot_take_everything():
    with pytest.raises(ConfigError, match=r"periods\.validation"):
        PeriodsConfig(validation=0.5, test=0.5)


def test_descriptions_name_first_and_last_day():
    parts = split_days(days(10), PeriodsConfig(validation=0.2, test=0.2), HORIZON)
    assert parts.describe()["test"] == "2024-01-09 … 2024-01-10, 2 days"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 days"), (1, "2024-01-01, 1 day"), (3, "2024-01-01 … 2024-01-03, 3 days")],
)
def test_days_are_named_by_their_ends(count, text):
    assert days_text(days(count)) == text


def test_a_period_is_found_by_its_name_and_is_never_empty():
    parts = split_days(days(4), PeriodsConfig(validation=0, test=0.25), HORIZON)
    assert parts.days("test") == parts.test
    with pytest.raises(ConfigError, match="one of test, calibration, validation, agent"):
        parts.days("agent_from")
    with pytest.raises(ApexError, match=r"no validation days; it has .*test 2024-01-04, 1 day"):
        parts.days("validation")


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.floats(0, 0.99))
def test_calibration_takes_the_last_validation_days_and_leaves_one_to_choose_on(count, share):
    known = days(count + 2)
    start, test = format_date(known[1]), format_date(known[-1])
    config = PeriodsConfig(
        validation_start=start, test_start=test, calibration=share, extractor=0.0
    )
    parts = split_days(known, config, HORIZON)
    assert len(parts.validation) >= 1
    assert len(parts.calibration) == min(round(share * count), count - 1)
    assert not parts.calibration or max(parts.validation) < min(parts.calibration)


def test_a_single_validation_day_chooses_and_none_calibrates():
    parts = split_days(days(6), PeriodsConfig(validation=0.17, test=0.17), HORIZON)
    assert (len(parts.validation), parts.calibration) == (1, ())


@pytest.mark.parametrize(
    ("dates", "said"),
    [({"test_start": "2030-01-01"}, r"8 days, with periods\.test_start=2030-01-01"),
     ({"validation_start": "2024-01-07", "test_start": "2024-01-05"},
      r"validation_start=2024-01-07 and periods\.test_start=2024-01-05: .* validation")],
)  # fmt: skip
def test_a_date_that_leaves_a_part_without_days_is_named(dates, said):
    with pytest.raises(ApexError, match=said):
        split_days(days(8), PeriodsConfig(**dates), 0)
