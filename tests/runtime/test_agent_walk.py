"""An agent's accounts under several scenarios, whichever network it has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from actors.evaluation import GreedyPolicy
from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.encodings import encoded
from apex_trader.evaluation.network_walk import Scenario
from apex_trader.models.flat import FlatQNetwork, QNetwork
from apex_trader.runtime.agent_walk import walk_agent
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData, tables_with_cnn
from apex_trader.runtime.parts import make_network
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.gather import MarketTables
from apex_trader.trading.path import MarketPath


@pytest.fixture(scope="module")
def walked(
    tiny: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MarketData, MarketPath, MarketTables]:
    """A day without CNN columns."""
    state = replace(tiny.state, without=("cnn_hidden", "cnn_predictions"))
    config = replace(tiny, state=state, reward=replace(tiny.reward, cnn_potential=0.0))
    data = MarketData(config, RunFolder(tmp_path_factory.mktemp("walk") / "run"))
    segment = data.segment(data.numbers(data.periods.test)[0])
    return data, path_of([segment]), tables_with_cnn([segment], data.schema, [None], None)


def network_of(kind: str, data: MarketData) -> QNetwork:
    """One that trades: its heads do not begin near zero."""
    torch.manual_seed(3)
    network: QNetwork
    if kind == "flat":
        network = FlatQNetwork(data.schema, 3, (16, 8), "tanh")
    else:
        network = make_network(data.config, data.schema, data.trading)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * torch.randn(weight.shape)
    return network


@pytest.mark.parametrize("kind", ["flat", "dueling"])
def test_each_scenario_is_the_account_that_a_backtest_walks(kind: str, walked: Any):
    data, path, tables = walked
    network = network_of(kind, data)
    dear = replace(data.trading, fee=0.001)
    scenarios = [Scenario("agent", path, data.trading), Scenario("10 bp", path, dear)]
    shares: list[float] = []
    with ThreadPoolExecutor(1) as pool, encoded(network, tables, path.startable, pool) as market:
        records = walk_agent(network, market, scenarios, data.config.reward, pool, shares.append)
    assert [record.name for record in records] == ["agent", "10 bp"]
    assert shares == sorted(shares)
    policy = GreedyPolicy(network, tables)
    for record, scenario in zip(records, scenarios, strict=True):
        wanted = run_continuous(path, policy, scenario.trading, data.config.reward)
        np.testing.assert_allclose(record.equity, wanted.equity, rtol=1e-9)
    assert records[1].equity[-1] < records[0].equity[-1] != 1.0
