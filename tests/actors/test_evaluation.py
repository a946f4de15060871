"""The greedy agent that backtests judge, and the evaluator that runs it over validation days."""

import numpy as np
import pytest
import torch

from actors.evaluation import Evaluator, GreedyPolicy
from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of, run_continuous, run_episodes
from apex_trader.state.gather import gather
from apex_trader.trading.config import RewardConfig, TradingConfig


@pytest.fixture
def counted(make_market, make_network, monkeypatch):
    """(policy, rows that it had encoded so far); stretches of 7 rows."""
    monkeypatch.setattr("actors.evaluation.STRETCH", 7)
    seen = []

    def gathered(tables, rows):
        seen.extend(rows.tolist())
        return gather(tables, rows)

    monkeypatch.setattr("actors.evaluation.gather", gathered)
    return GreedyPolicy(make_network(), make_market().tables), seen


def lanes(count, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 240, count), random.normal(size=(count, 8)).astype(np.float32)


def test_it_takes_the_action_with_the_largest_value_of_the_whole_state(counted):
    policy, _ = counted
    rows, account = lanes(60)
    states = gather(policy.tables, torch.from_numpy(rows))
    with torch.inference_mode():
        whole = policy.network(states, torch.from_numpy(account))
    torch.testing.assert_close(policy.q_values(rows, account), whole, atol=1e-4, rtol=1e-4)
    actions = policy.act(rows, account, np.zeros(60, np.int64))
    np.testing.assert_array_equal(actions, whole.argmax(1))
    assert len(set(actions.tolist())) > 1


def test_rows_are_encoded_once_with_their_stretch_of_the_segment(counted):
    policy, seen = counted
    account = np.zeros((1, 8), np.float32)
    policy.q_values(np.array([8]), account)
    assert seen == list(range(7, 14))
    policy.q_values(np.array([13]), account)
    assert seen == list(range(7, 14))
    policy.q_values(np.array([119]), account)
    assert seen[7:] == [119]  # the last stretch of the first segment ends with it
    policy.q_values(np.array([120]), account)
    assert seen[8:] == list(range(120, 127))


def test_what_was_seen_before_changes_no_value(counted, make_market, make_network):
    policy, _ = counted
    rows, account = lanes(60)
    whole = policy.q_values(rows, account)
    alone = GreedyPolicy(make_network(), make_market().tables)
    for k in np.random.default_rng(1).permutation(60)[:20]:
        one = alone.q_values(rows[k : k + 1], account[k : k + 1])[0]
        torch.testing.assert_close(one, whole[k], atol=1e-4, rtol=1e-4)


def test_a_decision_without_cnn_features_is_an_error_its_neighbours_are_not(
    make_market, make_network
):
    market = make_market()
    market.tables.cnn[30] = torch.nan
    policy = GreedyPolicy(make_network(), market.tables)
    account, flat = np.zeros((2, 8), np.float32), np.zeros(2, np.int64)
    policy.act(np.array([29, 31]), account, flat)
    with pytest.raises(ApexError, match="no finite Q-values at decision row 30"):
        policy.act(np.array([29, 30]), account, flat)


def test_an_account_that_meets_no_night_earns_the_same_alone_and_with_others(
    make_market, make_network, make_segment
):
    """One lane a step at a time, or all episodes in lockstep: the same decisions."""
    policy = GreedyPolicy(make_network(), make_market().tables)
    path = path_of([make_segment(0), make_segment(1)])
    together = run_episodes(path, policy, TradingConfig(), RewardConfig())
    one = path_of([make_segment(0, gap=119)])
    again = GreedyPolicy(make_network(), make_market(days=1, gap=119).tables)
    alone = run_continuous(one, again, TradingConfig(), RewardConfig())
    assert len(together) == 4
    np.testing.assert_array_equal(alone.action[:70], together[0].action)
    # the 70th step ends the episode, and its equity is net of leaving what is still held
    np.testing.assert_array_equal(alone.equity[:69], together[0].equity[:69])


def test_figures_are_means_over_the_episodes(make_market, make_network, make_segment):
    segments = [make_segment(0), make_segment(1)]
    market, network = make_market(), make_network()
    evaluator = Evaluator(segments, market.tables, network, TradingConfig(), RewardConfig())
    found = evaluator.evaluate(make_network(seed=3).state_dict(), updates=7)
    policy = GreedyPolicy(make_network(seed=3), market.tables)
    records = run_episodes(path_of(segments), policy, TradingConfig(), RewardConfig())
    net = [record.equity[-1] - 1.0 for record in records]
    assert found["eval/updates"] == 7.0
    assert found["eval/episodes"] == 4.0
    assert found["eval/net_return"] == pytest.approx(np.mean(net))
    assert found["eval/net_return_error"] == pytest.approx(np.std(net, ddof=1) / 2.0)
