"""Thinned lines: fewer points, no peak lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from apex_trader.evaluation.report.resample import MAX_POINTS, thin, times
from apex_trader.time import parse_time


@given(arrays(np.float64, st.integers(1, 400), elements=st.floats(-1e6, 1e6)), st.integers(2, 20))
def test_the_ends_and_the_extremes_of_a_line_are_kept(values, quarter):
    rows = thin(values, 4 * quarter)
    assert len(rows) <= max(4 * quarter, 4)
    assert (np.diff(rows) > 0).all()
    assert (rows[0], rows[-1]) == (0, len(values) - 1)
    assert values[rows].min() == values.min()
    assert values[rows].max() == values.max()


def test_a_short_line_is_drawn_whole():
    assert (thin(np.zeros(MAX_POINTS)) == np.arange(MAX_POINTS)).all()


def test_times_are_milliseconds_since_1970():
    assert times(np.array([parse_time("2024-01-01")]))[0] == 1_704_067_200_000.0
