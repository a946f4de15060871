"""What a reader of a judgement must be told."""

from __future__ import annotations

import numpy as np
import pytest

from apex_trader.evaluation.record import Record
from apex_trader.evaluation.trips import TRIP
from apex_trader.runtime.judge import (
    IN_SAMPLE,
    Agent,
    decision_notes,
    in_sample,
    period_notes,
)
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, parse_time

FIRST = parse_time("2024-01-01")


def record(days: int, ruined: bool = False) -> Record:
    """One decision a day; the last one leaves 9% of the equity when ruined."""
    nothing = np.zeros(days)
    equity = np.linspace(1.0, 0.09 if ruined else 1.1, days)
    return Record(
        "agent", FIRST + DAY * np.arange(days), nothing, np.zeros(days, np.uint8), nothing, equity,
        equity, nothing, nothing, nothing, np.zeros(days, np.bool_), np.zeros(days, np.int32), {},
        np.zeros(0, TRIP), ruined,
    )  # fmt: skip


def test_ruin_is_told_with_its_day():
    (note,) = period_notes([], record(12, ruined=True))
    assert note.startswith("Ruined on 2024-01-12: the agent's equity fell to 9.0%")
    assert period_notes([], record(12)) == []


@pytest.mark.parametrize(("days", "said"), [(1, "Judged on 1 day:"), (4, "Judged on 4 days:")])
def test_few_days_are_said_to_be_few(days, said):
    (note,) = period_notes([], record(days))
    assert note.startswith(said)


def test_each_use_that_the_run_made_of_the_days_is_named():
    days = [FIRST + k * DAY for k in range(6)]
    used = {"extractor": days[:2], "agent": days[2:4], "validation": days[4:5], "test": days[5:]}
    agent = Agent({}, None, 1, "step-000001", used)
    assert in_sample(agent, days[5:]) == []
    extractor, trained = in_sample(agent, days[1:4])
    assert extractor.startswith(f"{IN_SAMPLE}: this run used 2024-01-02, 1 day of the 3 judged")
    assert "2024-01-03 … 2024-01-04, 2 days of the 3 judged, for its agent" in trained


def lacking(*names: str) -> Segment:
    segment = Segment.__new__(Segment)
    object.__setattr__(segment, "cannot_provide", names)
    return segment


def test_a_column_that_the_source_lacks_on_some_days_alone_is_not_said_to_be_lacking_always():
    days = [lacking("primary_1d.taker_imbalance", "ticks.price_impact")] * 3
    days += [lacking("primary_1d.taker_imbalance")]
    always, partly = period_notes(days, record(12))
    assert always == "The data source cannot provide: primary_1d.taker_imbalance."
    assert partly == "On 3 of 4 days the data source cannot provide: ticks.price_impact."


def test_days_of_which_minutes_were_traded_are_not_taken_for_whole_ones():
    decidable = np.zeros(34_560, np.bool_)
    decidable[17_000:17_128] = True
    (note,) = decision_notes(decidable)
    assert note.startswith("Only 0.4% of the time judged could be traded: 128 of 34,560 decisions.")
    assert decision_notes(np.ones(10, np.bool_)) == []
