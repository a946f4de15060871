"""Fewer decisions: the same states at the times that are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.gather import MarketTables, gather
from apex_trader.time import SECOND

FEWER = 300


def states(config, day, folder):
    data = MarketData(config, RunFolder(folder))
    segment = data.builder.build(day)
    tables = MarketTables.from_segments([segment], data.schema)
    rows = torch.from_numpy(np.flatnonzero(segment.decisions.decidable))
    return segment.decisions.ts[rows], gather(tables, rows).numpy()


def test_states_are_those_of_the_same_times(tiny, days, tmp_path):
    market = replace(tiny.state, without=("cnn_hidden", "cnn_predictions"))
    fewer = replace(tiny, state=replace(market, decide_every=FEWER))
    ts, every = states(replace(tiny, state=market), days[-1], tmp_path / "every")
    left, some = states(fewer, days[-1], tmp_path / "some")
    assert len(left) > 10
    assert not (left % (FEWER * SECOND)).any()
    same = np.isin(ts, left)
    np.testing.assert_array_equal(ts[same], left)
    np.testing.assert_array_equal(every[same], some)
