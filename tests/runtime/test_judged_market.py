"""Days that are judged pass by one at a time; what stays of them is what accounts need."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from actors.evaluation import EncodedPolicy, GreedyPolicy
from apex_trader.evaluation.backtest import path_of
from apex_trader.runtime.config import Config
from apex_trader.runtime.judged_market import StateCheck, lean, read_market
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.parts import make_network
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.coverage import column_report
from apex_trader.state.gather import MarketTables

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> MarketData:
    """A market without CNN columns."""
    state = replace(tiny.state, without=("cnn_hidden", "cnn_predictions"))
    config = replace(tiny, state=state, reward=replace(tiny.reward, cnn_potential=0.0))
    return MarketData(config, RunFolder(tmp_path_factory.mktemp("judged") / "run"))


def test_days_read_one_at_a_time_are_the_days_read_together(data: MarketData):
    days = [*data.periods.validation, *data.periods.test][:2]
    numbers = data.numbers(days)
    whole = [data.segment(number) for number in numbers]
    network = make_network(data.config, data.schema, data.trading)
    tables = MarketTables.from_segments(whole, data.schema)
    check = StateCheck(data.schema)
    with ThreadPoolExecutor(2) as pool:
        segments, market = read_market(data, None, network, numbers[::-1], pool, check)
    with market:
        path, wanted = path_of(segments), path_of(whole)
        assert path.arrays.tobytes() == wanted.arrays.tobytes()
        assert path.events.tobytes() == wanted.events.tobytes()
        rows = np.flatnonzero(path.startable)[::7]
        accounts = np.zeros((len(rows), 8), np.float32)
        found = EncodedPolicy(network, market).values(rows, accounts)
        assert np.array_equal(found, GreedyPolicy(network, tables).values(rows, accounts))
    assert repr(check.report()) == repr(column_report(whole, data.schema))
    assert not check.cnn


def test_of_a_day_a_small_part_stays(data: MarketData):
    segment = data.segment(data.numbers(data.periods.test)[0])
    kept = lean(segment)
    assert kept.nbytes < 0.2 * segment.nbytes
    for name, table in kept.tables.items():
        assert not np.shares_memory(table, segment.tables[name])
    assert not np.shares_memory(kept.decisions.ts, segment.decisions.ts)
