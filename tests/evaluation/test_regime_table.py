"""Where the profit came from adds up to the profit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.regime_table import regime_table
from apex_trader.trading.config import RewardConfig, TradingConfig


def test_every_division_adds_up_to_the_record(tools):
    path = path_of(tools.walk(1))
    random = np.random.default_rng(0)
    arrays = path.arrays.copy()
    arrays["choppiness"], arrays["sigma_hour"] = random.random((2, len(path)))
    path = replace(path, arrays=arrays, trend=random.uniform(-1, 1, len(path)).astype(np.float32))
    record = run_continuous(path, tools.scripted(path, 1), TradingConfig(), RewardConfig())
    table = regime_table(path, record)
    assert len(table) == 7
    for division in ("trend", "volatility", "choppiness"):
        rows = [row for row in table if row.division == division]
        assert sum(row.share for row in rows) == pytest.approx(1.0)
        assert sum(row.log_return for row in rows) == pytest.approx(np.log(record.equity[-1]))
        assert sum(row.trades for row in rows) == record.traded.sum()


def test_a_decision_belongs_to_what_was_known_at_it(tools):
    path = path_of([tools.prices(100, 101, 102, 102, 102)])
    path = replace(path, trend=np.array([1, 0, 0, -1, 0], np.float32))
    policy = tools.policy(path, np.array([2, 2, 1, 1, 1], np.uint8))
    record = run_continuous(path, policy, TradingConfig(fee=0.0), RewardConfig())
    table = {row.name: row for row in regime_table(path, record) if row.division == "trend"}
    assert table["rising"].log_return == pytest.approx(np.log(1.01))
    assert table["none"].log_return == pytest.approx(np.log(1.02 / 1.01))
    assert table["falling"].log_return == pytest.approx(0.0)
    assert table["rising"].exposure == 1.0
