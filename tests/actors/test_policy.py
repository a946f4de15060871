import numpy as np
import pytest
import torch

from actors.policy import BatchedPolicy, greedy
from apex_trader.errors import ApexError
from apex_trader.state.gather import gather


@pytest.fixture
def policy(make_market, make_network):
    return BatchedPolicy(make_network(), make_market().tables)


def lanes(count, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 240, count), random.normal(size=(count, 8)).astype(np.float32)


def test_lanes_that_share_a_market_time_get_the_same_values_as_alone(policy):
    rows, account = lanes(40)
    rows[10:30] = rows[3]
    states = gather(policy.tables, torch.from_numpy(rows))
    with torch.inference_mode():
        alone = policy.network(states, torch.from_numpy(account)).numpy()
    assert policy.q(rows, account) == pytest.approx(alone, abs=1e-5)
    assert np.ptp(alone) > 0.1


def test_each_distinct_market_row_is_encoded_once(policy):
    rows, account = np.repeat([4, 9, 4, 200], 25), np.zeros((100, 8), np.float32)
    policy.q(rows, account)
    assert (policy.encoded, policy.asked) == (3, 100)


def test_more_distinct_rows_than_fit_at_a_time_change_nothing(policy, monkeypatch):
    rows, account = lanes(60)
    whole = policy.q(rows, account)
    monkeypatch.setattr("actors.policy._CHUNK", 7)
    assert policy.q(rows, account) == pytest.approx(whole, abs=1e-5)


def test_new_weights_act_at_once(policy, make_network):
    rows, account = lanes(20)
    before = policy.q(rows, account)
    policy.set_weights(9, make_network(seed=1).state_dict())
    assert policy.version == 9
    assert not np.allclose(policy.q(rows, account), before)


def test_the_policy_looks_at_the_account(policy):
    rows, account = np.full(2, 30), np.zeros((2, 8), np.float32)
    account[1, 0] = 1.0
    q = policy.q(rows, account)
    assert not np.allclose(q[0], q[1])


def test_values_that_are_not_finite_are_loud(policy, make_network):
    broken = make_network().state_dict()
    broken["value.bias"].fill_(torch.nan)
    policy.set_weights(3, broken)
    with pytest.raises(ApexError, match="version 3"):
        policy.q(*lanes(5))


def test_missing_cnn_rows_are_loud(policy):
    policy.tables.cnn[50] = torch.nan
    with pytest.raises(ApexError, match="decision row 50"):
        policy.q(np.array([49, 50]), np.zeros((2, 8), np.float32))


def test_the_greedy_action_has_the_largest_value_and_is_the_first_of_equals():
    assert greedy(np.array([[0.0, 2.0, 1.0], [1.0, 0.5, 1.0]], np.float32)).tolist() == [1, 0]
