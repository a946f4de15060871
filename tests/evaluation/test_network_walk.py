"""The compiled greedy agent trades as the network itself would."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actors.evaluation import GreedyPolicy
from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of, run_continuous
from apex_trader.evaluation.encodings import EncodedMarket, encoded
from apex_trader.evaluation.network_walk import Scenario, walk_network
from apex_trader.market.history import StoreSource
from apex_trader.market.store import MarketStore
from apex_trader.models.config import DuelingConfig, EncoderConfig, StackConfig
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import eth_minutes
from apex_trader.trading.config import RewardConfig, TradingConfig

torch.set_num_threads(1)
REWARD = RewardConfig()


@pytest.fixture(scope="module")
def days(small_market: Path):
    schema = eth_minutes(rows=32).without("cnn_hidden", "cnn_predictions")
    store = MarketStore(str(small_market))
    sources = [StoreSource(store, name) for name in ("synthetic:ETHUSDT", "synthetic:BTCUSDT")]
    builder = SegmentBuilder(schema, *sources)
    return schema, [builder.build(day) for day in builder.days()[:3]]


#: What orders cost, by position held: as large as what the network adds to it.
KNOWN = np.array([[0.0, -0.3, -0.6], [-0.3, 0.0, -0.3], [-0.6, -0.3, 0.0]], np.float32)


@pytest.fixture(scope="module")
def network(days):
    """Untrained, but with heads large enough that it changes its mind now and then."""
    small = EncoderConfig(stack=StackConfig(strides=(8,), channels=(4,), features=8),
                          vector_features=8, fusion=16, width=8)  # fmt: skip
    made = DuelingQNetwork(days[0], 3, DuelingConfig(encoder=small, hidden=16),
                           torch.Generator().manual_seed(5), KNOWN)  # fmt: skip
    with torch.no_grad():
        made.advantage.weight.mul_(100.0)
    return made


@pytest.mark.parametrize("threads", [1, 2])
def test_it_trades_as_the_policy_that_asks_the_network_each_time(days, network, threads):
    schema, segments = days
    path, tables = path_of(segments), MarketTables.from_segments(segments, schema)
    base = TradingConfig(initial_equity=1e6)
    scenarios = [Scenario("base", path, base), Scenario("dear", path, replace(base, fee=0.001))]
    with ThreadPoolExecutor(threads) as pool:
        market = encoded(network, tables, path.startable, pool)
        found = walk_network(network, market, scenarios, REWARD, pool)
        market.close()
    assert [record.name for record in found] == ["base", "dear"]
    for record, scenario in zip(found, scenarios, strict=True):
        slow = run_continuous(path, GreedyPolicy(network, tables), scenario.trading, REWARD)
        assert np.array_equal(record.action, slow.action)
        assert np.allclose(record.equity, slow.equity, rtol=0, atol=1e-12)
        assert len(set(record.action.tolist())) > 1
    assert found[1].equity[-1] < found[0].equity[-1]


def test_weights_that_are_no_numbers_are_named(days, network):
    schema, _ = days
    broken = DuelingQNetwork(schema, 3, DuelingConfig(
        encoder=EncoderConfig(stack=StackConfig(strides=(8,), channels=(4,), features=8),
                              vector_features=8, fusion=16, width=8), hidden=16))  # fmt: skip
    with torch.no_grad():
        broken.value.bias.fill_(float("nan"))
    match = r"value\.bias has none: training diverged"
    with ThreadPoolExecutor(1) as pool, pytest.raises(ApexError, match=match):
        EncodedMarket(broken, pool)
