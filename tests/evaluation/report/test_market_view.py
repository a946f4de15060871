"""Candles, fills and pivots of the days judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.evaluation.report.market_view import (
    Candles,
    busiest_day,
    candles_of,
    pivots_of,
)
from apex_trader.state.segment import PivotEvents
from apex_trader.time import DAY, HOUR, MINUTE
from tests.evaluation.report.conftest import SCHEMA


@given(st.integers(1, 300), st.integers(0, 99), st.sampled_from([5 * MINUTE, HOUR]))
def test_coarser_candles_span_the_same_prices(count, seed, span):
    random = np.random.default_rng(seed)
    close = 100 + np.cumsum(random.normal(size=count))
    ts = DAY + MINUTE * np.sort(random.choice(2 * count, count, replace=False))
    fine = Candles(MINUTE, ts, close - 0.1, close + 1, close - 1, close)
    coarse = fine.coarser(span)
    assert (coarse.ts % span == 0).all()
    assert (np.diff(coarse.ts) > 0).all()
    assert coarse.open[0] == fine.open[0]
    assert coarse.close[-1] == fine.close[-1]
    assert coarse.high.max() == fine.high.max()
    for k, opens in enumerate(coarse.ts):
        inside = (ts >= opens) & (ts < opens + span)
        assert coarse.low[k] == fine.low[inside].min()


def test_fills_are_where_and_at_what_the_simulator_filled(judged):
    fills, record = judged.data.market.fills, judged.data.agent
    assert len(fills.ts) == record.traded.sum() > 0
    assert (fills.ts >= record.ts[record.traded]).all()
    path = judged.path.arrays
    row = np.searchsorted(path.ts, record.ts[record.traded])
    assert np.allclose(np.log(fills.price), path.fill_price[row])
    change = np.diff(record.position, prepend=0.0)[record.traded]
    assert (np.sign(change) == fills.side).all()


def test_a_pivot_is_drawn_at_its_own_bar_and_known_only_later(judged):
    segments = list(judged.segments)
    candles = candles_of(segments, SCHEMA)
    first = segments[0]
    own = np.array([candles.ts[3], candles.ts[5], candles.ts[0] - DAY])
    known = np.array([200, first.rows, 10])  # in time, after the day's end, of an unseen bar
    events = PivotEvents(known.astype(np.int32), np.full(3, 2, np.int8),
                         np.array([1, 1, -1], np.int8), own)  # fmt: skip
    found = pivots_of([replace(first, pivot_events=events), *segments[1:]], candles)
    assert found.ts.tolist() == [candles.ts[3]]
    assert found.price[0] == candles.high[3]
    assert found.known[0] == first.decisions.ts[200] > found.ts[0]


def test_the_busiest_day_has_the_most_orders(judged):
    fills = judged.data.market.fills
    day = busiest_day(fills)
    counts = np.unique(fills.ts // DAY, return_counts=True)
    assert day is not None
    assert counts[1][counts[0] == day // DAY] == counts[1].max()
    nobody = replace(fills, ts=fills.ts[:0], price=fills.price[:0], side=fills.side[:0])
    assert busiest_day(nobody) is None


@pytest.mark.usefixtures("judged")
def test_without_minute_bars_candles_are_made_of_prices_at_decisions(judged):
    candles = candles_of(judged.segments, SCHEMA)
    marks = np.exp(np.concatenate([s.decisions.mark for s in judged.segments]))
    assert candles.span == MINUTE
    assert candles.high.max() == marks.max()
    assert candles.low.min() == marks.min()
