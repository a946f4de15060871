"""The parts of a run, made from its configuration."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from apex_trader.errors import ApexError
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.parts import exploration_seed, order_costs, rollout_market
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.gather import MarketTables
from apex_trader.trading.config import RewardConfig, TradingConfig


def test_a_rollout_explores_anew_after_each_restart_and_each_resume():
    """And two runs with neighbouring seeds share no stream either."""
    streams = {
        exploration_seed(seed, sitting, incarnation)
        for seed, sitting, incarnation in product(range(4), range(4), range(4))
    }
    assert len(streams) == 4**3


@pytest.mark.slow
def test_no_episode_starts_before_the_labels_of_the_extractor_end(tiny: Config, tmp_path: Path):
    """The CNN was fitted on what the first of the agent's rows show."""
    data = MarketData(tiny, RunFolder(tmp_path / "run"))
    numbers = data.numbers(data.periods.agent)
    segments = [data.segment(number) for number in numbers]
    tables = MarketTables.from_segments(segments, data.schema)

    def starts(begin: int) -> np.ndarray:
        path = rollout_market(tiny, segments, numbers, tables, begin).path
        return path.arrays.ts[path.startable]

    whole = starts(0)
    assert whole[0] < data.periods.agent_from
    np.testing.assert_array_equal(
        starts(data.periods.agent_from), whole[whole >= data.periods.agent_from]
    )
    with pytest.raises(ApexError, match="after the embargo"):
        starts(int(whole[-1]) + 1)


def test_the_stream_is_the_same_whenever_it_is_asked_for():
    assert exploration_seed(1, 2, 3) == exploration_seed(1, 2, 3)
    first, second = (np.random.default_rng([exploration_seed(1, 2, 3), a]) for a in range(2))
    assert not np.array_equal(first.random(8), second.random(8)), "each actor has its own"


def test_what_an_order_costs_is_known_in_units_of_reward():
    config = Config(reward=RewardConfig(scale=1000.0, core=2.0))
    perpetual = TradingConfig(fee=3e-4, slippage_bps=1.0, exposure=0.5)
    leg = 1000.0 * 2.0 * 0.5 * 4e-4
    legs = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    np.testing.assert_allclose(order_costs(config, perpetual), -leg * legs, rtol=1e-6)
    pair = TradingConfig(fee=3e-4, slippage_bps=1.0, exposure=0.5, action_set="sell_buy")
    legs = np.array([[0, 1], [1, 1], [1, 0]])
    np.testing.assert_allclose(order_costs(config, pair), -leg * legs, rtol=1e-6)
