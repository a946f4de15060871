"""Many segments as one path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.time import DAY, MINUTE, SECOND
from apex_trader.trading.path import MarketPath


def test_rows_are_numbered_globally_and_episodes_stay_inside_their_day(make):
    one = make.walk(1, rows=50, gaps=(20,))
    two = make.walk(2, rows=30, day=make.day + DAY)
    path = MarketPath.from_segments([one, two])
    assert len(path) == 80
    np.testing.assert_array_equal(path.first_row, [0, 50, 80])
    np.testing.assert_array_equal(np.flatnonzero(path.arrays.next_row < 0), [20, 49, 79])
    assert path.arrays.next_row[50] == 51
    np.testing.assert_array_equal(path.startable, path.arrays.next_row >= 0)
    np.testing.assert_array_equal(path.arrays.mark[50:], two.decisions.mark)
    number, row = path.locate(np.array([0, 49, 50, 79]))
    np.testing.assert_array_equal(number, [0, 0, 1, 1])
    np.testing.assert_array_equal(row, [0, 49, 0, 29])


def test_a_pivot_belongs_to_the_row_at_which_its_bar_had_closed(make):
    events = make.events([(40, 2, 1, 12), (40, 3, -1, 24), (41, 2, -1, 15)])
    path = MarketPath.from_segments([make.walk(rows=50, events=events)])
    spans = list(zip(path.arrays.event_first, path.arrays.event_end, strict=True))
    assert spans[39:43] == [(0, 0), (0, 2), (2, 3), (3, 3)]
    bars = MINUTE // (5 * SECOND)
    np.testing.assert_array_equal(path.events.row, [12 + bars, 24 + bars, 15 + bars])
    np.testing.assert_array_equal(path.events.level, [2, 3, 2])
    np.testing.assert_array_equal(path.events.kind, [1, -1, -1])


def test_pivots_of_an_earlier_episode_or_day_are_left_out(make):
    events = make.events([(40, 2, 1, 12), (45, 2, 1, 30), (5, 2, 1, -40)])
    whole = MarketPath.from_segments([make.walk(rows=60, events=events)])
    np.testing.assert_array_equal(whole.events.row, [24, 42])
    split = MarketPath.from_segments([make.walk(rows=60, events=events, gaps=(35,))])
    np.testing.assert_array_equal(split.events.row, [42])


def test_unusable_segments_are_refused(make):
    with pytest.raises(ApexError, match="at least one segment"):
        MarketPath.from_segments([])
    good = make.walk(rows=20)
    mark = good.decisions.mark.copy()
    mark[7] = np.nan
    with pytest.raises(ApexError, match="no finite mark"):
        MarketPath.from_segments([replace(good, decisions=replace(good.decisions, mark=mark))])
    following = good.outcomes.next_row.copy()
    following[3] = 99
    outcomes = replace(good.outcomes, next_row=following)
    with pytest.raises(ApexError, match="next_row"):
        MarketPath.from_segments([replace(good, outcomes=outcomes)])
