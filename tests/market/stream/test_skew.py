"""The exchange's clock, known from round trips and from what arrives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.stream.skew import ClockSkew
from tests.market.samples import MONDAY


@given(st.integers(-10_000_000, 10_000_000), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_offset_is_right_within_half_a_round_trip(offset: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    skew = ClockSkew()
    worst = 0
    for k in range(9):
        there, back = (int(v) for v in rng.integers(1_000, 80_000, 2))
        sent = MONDAY + k * 1_000_000
        skew.measured(sent, sent + there + back, sent + there + offset)
        worst = max(worst, (there + back) // 2 + 1)
    assert abs(skew.offset - offset) <= worst
    assert skew.surely_past(MONDAY) <= skew.exchange_time(MONDAY)


def test_a_few_slow_answers_do_not_move_the_median() -> None:
    skew = ClockSkew()
    for k in range(9):
        slow = 3_000_000 if k in (2, 5, 6) else 0
        sent = MONDAY + k
        skew.measured(sent, sent + 20_000 + slow, sent + 10_000 + 5_000)
    assert skew.offset == 5_000
    assert skew.error == 10_000


def test_an_event_cannot_arrive_before_it_happened() -> None:
    skew = ClockSkew()
    # All the delay was on the way back: the middle is 40 ms too low.
    skew.measured(MONDAY, MONDAY + 80_000, MONDAY)
    assert skew.offset == -40_000
    skew.arrived(MONDAY + 1_000_000 - 2_000, MONDAY + 1_000_000)
    assert skew.offset == -2_000


def test_an_event_time_beyond_what_the_round_trips_allow_is_no_bound() -> None:
    skew = ClockSkew()
    skew.measured(MONDAY, MONDAY + 20_000, MONDAY + 10_000)
    skew.arrived(MONDAY + 60_000_000, MONDAY)
    assert skew.offset == 0


def test_old_arrivals_are_forgotten_as_clocks_drift() -> None:
    skew = ClockSkew()
    skew.measured(MONDAY, MONDAY + 100_000, MONDAY + 50_000)
    skew.arrived(MONDAY + 30_000, MONDAY)
    assert skew.offset == 30_000
    for minute in range(6, 19, 6):
        later = MONDAY + minute * 60_000_000
        skew.arrived(later - 9_000, later)
    assert skew.offset == 0


def test_a_clock_that_was_set_back_during_a_round_trip_measures_nothing() -> None:
    skew = ClockSkew()
    skew.measured(MONDAY, MONDAY - 5, MONDAY)
    assert not skew.known
    assert skew.offset == skew.error == 0


def test_a_clock_that_was_set_is_followed_after_two_round_trips() -> None:
    skew = ClockSkew()
    for k in range(9):
        skew.measured(MONDAY + k, MONDAY + k + 20_000, MONDAY + k + 10_000)
    skew.arrived(MONDAY + 1_000, MONDAY + 5_000)
    for moved in (120_000_000, -3_600_000_000):
        before = skew.offset
        skew.measured(MONDAY, MONDAY + 20_000, MONDAY + 10_000 + moved)
        assert not skew.settled
        assert skew.offset == before
        skew.measured(MONDAY, MONDAY + 20_000, MONDAY + 10_000 + moved)
        assert skew.settled
        assert skew.offset == moved


def test_one_wrong_answer_about_the_time_moves_nothing() -> None:
    skew = ClockSkew()
    for k in range(9):
        wrong = (3_600_000_000, 0, -3_600_000_000, 3_600_000_000)[k - 3] if 3 <= k < 7 else 0
        skew.measured(MONDAY + k, MONDAY + k + 20_000, MONDAY + k + 10_000 + wrong)
        assert skew.offset == 0


@given(st.integers(-20_000_000, 20_000_000))
def test_what_arrives_far_too_early_or_late_puts_the_clock_in_doubt(early: int) -> None:
    skew = ClockSkew()
    skew.measured(MONDAY, MONDAY + 20_000, MONDAY + 10_000)
    skew.arrived(MONDAY + early, MONDAY)
    assert skew.in_doubt == (abs(early) > 1_010_000)
    assert (skew.surely_past(MONDAY) == 0) == skew.in_doubt
    skew.measured(MONDAY, MONDAY + 20_000, MONDAY + 10_000)
    assert not skew.in_doubt
