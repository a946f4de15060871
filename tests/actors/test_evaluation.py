"""The greedy agent that backtests judge, and the evaluator that runs it over validation days."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from actors.evaluation import Evaluator, GreedyPolicy
from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of, run_continuous, run_episodes
from apex_trader.state.gather import MarketTables, gather
from apex_trader.time import DAY
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
    evaluator = Evaluator(
        segments, market.tables, network, TradingConfig(), RewardConfig(), gamma=0.9
    )
    found = evaluator.evaluate(make_network(seed=3).state_dict(), updates=7)
    policy = GreedyPolicy(make_network(seed=3), market.tables)
    records = run_episodes(path_of(segments), policy, TradingConfig(), RewardConfig())
    net = [record.equity[-1] - 1.0 for record in records]
    assert found["eval/updates"] == 7.0
    assert found["eval/episodes"] == 4.0
    assert found["eval/net_return"] == pytest.approx(np.mean(net))
    assert found["eval/net_return_error"] == pytest.approx(np.std(net, ddof=1) / 2.0)


def judge(segments, market, network, training):
    """Figures of a network, ``training`` of the days being training days."""
    trading, reward = TradingConfig(), RewardConfig()
    evaluator = Evaluator(segments, market.tables, network, trading, reward, 0.9, training)
    return evaluator.evaluate(network.state_dict(), updates=1)


def log_return_of(day, make_segment, make_market, network):
    """Net log return of a day's episodes, that day judged alone; tables of all the days."""
    policy = GreedyPolicy(network, make_market(days=3).tables)
    path = path_of([make_segment(k) for k in range(3)])
    records = run_episodes(path, policy, TradingConfig(), RewardConfig())
    first = make_segment(day).day
    own = [r for r in records if first <= r.ts[0] < first + DAY]
    return sum(np.log(r.equity[-1]) for r in own)


def test_the_gap_is_the_log_return_a_day_on_training_days_less_that_on_validation_days(
    make_market, make_network, make_segment
):
    segments = [make_segment(k) for k in range(3)]
    found = judge(segments, make_market(days=3), make_network(), training=1)
    each = [log_return_of(k, make_segment, make_market, make_network()) for k in range(3)]
    validation = (each[1] + each[2]) / 2
    assert found["eval/train_net_return_per_day"] == pytest.approx(each[0])
    assert found["eval/net_return_per_day"] == pytest.approx(validation)
    assert found["eval/train_gap"] == pytest.approx(each[0] - validation)
    assert found["eval/train_gap"] != pytest.approx(0.0, abs=1e-6)


def test_training_days_change_no_figure_by_which_weights_are_chosen(
    make_market, make_network, make_segment
):
    """Nor any other one that was there without them."""
    segments = [make_segment(k) for k in range(3)]
    with_training = judge(segments, make_market(days=3), make_network(), training=1)
    validation = [make_segment(1), make_segment(2)]
    market = make_market(days=3)
    tables = MarketTables.from_segments(validation, market.tables.schema)
    for k, first in enumerate(tables.first_row):
        rows = market.tables.cnn[120 * (k + 1) : 120 * (k + 2)].numpy()
        tables.write_cnn(first, rows, "v1")
    trading, reward = TradingConfig(), RewardConfig()
    alone = Evaluator(validation, tables, make_network(), trading, reward, 0.9).evaluate(
        make_network().state_dict(), updates=1
    )
    assert set(with_training) - set(alone) == {"eval/train_net_return_per_day", "eval/train_gap"}
    for name, value in alone.items():
        assert with_training[name] == pytest.approx(value, rel=1e-4), name


def undecided(segment):
    """The day, with no decision that another one follows."""
    nowhere = np.full_like(segment.outcomes.next_row, -1)
    return replace(segment, outcomes=replace(segment.outcomes, next_row=nowhere))


def test_a_validation_period_without_decisions_is_an_error_whatever_the_training_days_hold(
    make_market, make_network, make_segment
):
    segments = [make_segment(0), undecided(make_segment(1))]
    with pytest.raises(ApexError, match="no decision can be made"):
        judge(segments, make_market(), make_network(), training=1)


def test_a_training_day_without_decisions_gives_no_gap(make_market, make_network, make_segment):
    segments = [undecided(make_segment(0)), make_segment(1)]
    found = judge(segments, make_market(), make_network(), training=1)
    assert "eval/train_gap" not in found
    assert found["eval/episodes"] == 2.0
