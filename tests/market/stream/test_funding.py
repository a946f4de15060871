"""A funding payment belongs to its second, which waits for it; other seconds do not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.stream.funding import NEVER, TOLD_WITHIN, FundingSchedule
from apex_trader.market.types import Funding
from apex_trader.time import DAY, HOUR, SECOND
from tests.market.samples import MONDAY


def paid(*hours: float) -> Funding:
    """Payments stamped two milliseconds after these hours."""
    ts = np.array([MONDAY + round(h * HOUR) + 2000 for h in hours], np.int64)
    return Funding(ts, np.linspace(1e-4, 2e-4, len(ts)))


def schedule() -> FundingSchedule:
    return FundingSchedule(MONDAY, MONDAY - 3 * DAY)


def test_the_next_payment_is_due_one_interval_after_the_last() -> None:
    it = schedule()
    assert it.known == NEVER
    it.learn(paid(-16, -8), MONDAY)
    assert it.known == MONDAY
    it.learn(paid(0), MONDAY + 5 * SECOND)
    assert it.known == MONDAY + 8 * HOUR
    # The exchange pays more often from now on.
    it.learn(paid(4), MONDAY + 4 * HOUR + SECOND)
    assert it.known == MONDAY + 8 * HOUR


def test_a_payment_is_handed_on_with_its_own_second_once() -> None:
    it = schedule()
    it.learn(paid(-16, -8), MONDAY)
    assert len(it.learn(paid(0, 1), MONDAY + 2 * HOUR)) == 0
    assert len(it.close(MONDAY)) == 0
    assert it.close(MONDAY + SECOND).ts.tolist() == [MONDAY + 2000]
    assert it.close(MONDAY + HOUR + SECOND).ts.tolist() == [MONDAY + HOUR + 2000]
    assert len(it.close(MONDAY + DAY)) == 0


def test_a_payment_that_does_not_come_is_not_waited_for_and_is_late_when_it_comes() -> None:
    it = schedule()
    it.learn(paid(-16, -8), MONDAY)
    it.skip()
    assert it.known == MONDAY + 8 * HOUR
    it.close(MONDAY + 60 * SECOND)
    late = it.learn(paid(0), MONDAY + 90 * SECOND)
    assert late.ts.tolist() == [MONDAY + 2000]
    assert len(it.close(MONDAY + 120 * SECOND)) == 0
    due = it.unsaved(MONDAY + HOUR)
    assert due is not None


def test_known_payments_asked_for_again_are_not_new() -> None:
    it = schedule()
    it.learn(paid(-16, -8, 0), MONDAY + SECOND)
    it.learn(paid(-8, 0), MONDAY + SECOND)
    assert len(it.close(MONDAY + HOUR)) == 1


@given(st.lists(st.integers(0, 20), max_size=12), st.lists(st.booleans(), max_size=12))
@settings(max_examples=60, deadline=None)
def test_what_is_saved_speaks_for_adjoining_times_and_holds_each_payment_once(
    steps: list[int], failed: list[bool]
) -> None:
    it = schedule()
    now = MONDAY - DAY
    saved, reached = [], MONDAY - 3 * DAY
    for step, fails in zip(steps, failed, strict=False):
        now += step * HOUR
        hours = [h for h in range(-72, 300, 8) if MONDAY + h * HOUR + 2000 <= now]
        it.learn(paid(*hours), now)
        due = it.unsaved(now)
        if due is None:
            continue
        rows, span = due
        assert span[0] == reached < span[1]
        assert ((rows.ts >= span[0]) & (rows.ts < span[1])).all()
        if fails:
            it.not_saved(rows, span)
        else:
            saved += rows.ts.tolist()
            reached = span[1]
    assert saved == [t for t in paid(*range(-72, 300, 8)).ts.tolist() if t < reached]
    assert reached <= max(now - TOLD_WITHIN, MONDAY - 3 * DAY)
