from dataclasses import replace

import numpy as np
import pytest
import torch

from actors.config import RolloutConfig
from actors.potentials import Potentials
from actors.rollout import RolloutWorker
from apex_trader.errors import MismatchError
from apex_trader.experience import EXTREMA, MAIN, MOVEMENT, POSITIVE, Transitions
from apex_trader.state.gather import gather
from apex_trader.trading.config import RewardConfig, TradingConfig

CONFIG = RolloutConfig(
    lanes=12, branches=3, outcomes="taken", n_step=3, gamma=0.9, collect_steps=40, extrema_radius=3,
    epsilon_exponent=2.0,
)  # fmt: skip
REWARD = RewardConfig(pivot_potential=5e-4, cnn_potential=5e-4)
TRADING = TradingConfig(ruin_fraction=0.5, lot_size=0.0, tick_size=0.0, min_notional=0.0)


@pytest.fixture
def make_worker(make_market, make_network):
    def make(market=None, seed=0, network=0, **changes):
        return RolloutWorker(
            market or make_market(), make_network(network), replace(CONFIG, **changes), TRADING,
            REWARD, seed=seed,
        )  # fmt: skip

    return make


def equal(a, b):
    columns = vars(a.transitions)
    return (
        all(np.array_equal(v, getattr(b.transitions, k)) for k, v in columns.items())
        and np.array_equal(a.priorities, b.priorities)
        and [(t.segment, t.rows.tolist()) for t in a.tags]
        == [(t.segment, t.rows.tolist()) for t in b.tags]
    )


def record(worker):
    """Every step that the worker's simulator makes from now on."""
    steps, original = [], worker.simulator.step

    def step(actions):
        steps.append(original(actions))
        return steps[-1]

    worker.simulator.step = step
    return steps


def first_rows(worker, transitions):
    """Global rows at the start of transitions."""
    place = {int(n): k for k, n in enumerate(worker.market.numbers)}
    number = np.array([place[s] for s in transitions.segment.tolist()])
    return worker.market.path.first_row[number]


def test_every_step_becomes_one_transition_with_its_own_return(make_worker):
    """Against the definition, from the recorded steps of the simulator."""
    worker = make_worker()
    steps = record(worker)
    parts = [worker.collect() for _ in range(4)]
    got = Transitions.concatenate([p.transitions for p in parts])
    rows = first_rows(worker, got)
    ours = {
        (int(a), int(b), t.tobytes(), n.tobytes()): (float(r), float(d))
        for a, b, t, n, r, d in zip(rows + got.row, rows + got.next_row, got.account,
                                    got.next_account, got.reward, got.discount, strict=True)
    }  # fmt: skip
    expected = 0
    for lane in range(CONFIG.lanes):
        for start in range(len(steps) - CONFIG.n_step - 1):
            window = steps[start : start + CONFIG.n_step]
            m = next((k + 1 for k, s in enumerate(window) if s.ended[lane]), CONFIG.n_step)
            last = window[m - 1]
            reward = sum(0.9**k * window[k].reward[lane] for k in range(m))
            first, ends = window[0], (int(window[0].row[lane]), int(last.next_row[lane]))
            key = (*ends, first.account[lane].tobytes(), last.next_account[lane].tobytes())
            assert ours[key][0] == pytest.approx(reward, rel=1e-5, abs=1e-6)
            discount = 0.0 if last.terminated[lane] else 0.9**m
            assert ours[key][1] == pytest.approx(discount)
            expected += 1
    assert len(got) >= expected > 1500


def test_priorities_are_the_double_dqn_error_with_potentials(make_worker):
    """Recomputed from the stored references alone, as the learner would."""
    worker = make_worker()
    parts = [worker.collect() for _ in range(3)]
    got = Transitions.concatenate([p.transitions for p in parts])
    priority = np.concatenate([p.priorities for p in parts])
    first, tables = first_rows(worker, got), worker.market.tables
    potentials = Potentials(tables, REWARD)

    def look(rows, account):
        with torch.inference_mode():
            state = gather(tables, torch.from_numpy(rows))
            q = worker.policy.network(state, torch.from_numpy(account)).numpy()
        return q, potentials.pivot(rows, account[:, 0]) + potentials.cnn(rows, account[:, 0])

    q_tm1, phi_tm1 = look(first + got.row, got.account)
    q_t, phi_t = look(first + got.next_row, got.next_account)
    chosen = q_tm1[np.arange(len(got)), got.action]
    error = got.reward + got.discount * (q_t.max(1) + phi_t) - chosen - phi_tm1
    assert priority == pytest.approx(np.abs(error), abs=1e-4)
    assert np.abs(got.discount * phi_t - phi_tm1).mean() > 0.01
    short = got.discount > 0.9**CONFIG.n_step + 1e-6
    assert short.sum() > 10


def test_branches_share_one_market_time_and_one_encoding(make_worker):
    worker = make_worker()
    metrics = worker.collect(200).metrics
    rows = worker.simulator.rows.reshape(CONFIG.branches, CONFIG.groups)
    assert np.all(rows == rows[0])
    assert len(np.unique(rows[0])) > 1
    # At most one row a group, and one more for each group that was cut.
    assert 2.0 < metrics["actors/distinct_rows"] < CONFIG.groups + 0.2


@pytest.mark.parametrize("outcomes", ["taken", "all"])
def test_every_state_that_is_encoded_counts(make_worker, make_network, outcomes):
    """Those too that a look ahead needs, anew with each version of the weights."""
    worker, steps = make_worker(outcomes=outcomes), 12
    for seed in range(3):
        worker.set_weights(seed + 1, make_network(seed).state_dict())
        before = worker.policy.encoded
        metrics = worker.collect(steps).metrics
        encoded = worker.policy.encoded - before
        assert metrics["actors/distinct_rows"] == pytest.approx(encoded / steps)


def test_branches_differ_in_their_accounts(make_worker):
    worker = make_worker()
    steps = record(worker)
    worker.collect(60)
    position = np.array([s.next_account[:, 0] for s in steps])
    position = position.reshape(-1, CONFIG.branches, CONFIG.groups)
    assert np.mean(position != position[:, :1]) > 0.05


def test_a_ruined_lane_starts_anew_where_its_group_stands(make_worker, make_market):
    worker = make_worker(make_market(days=1, drop=40), epsilon_base=1.0, epsilon_exponent=0.0)
    steps = record(worker)
    parts = [worker.collect() for _ in range(6)]
    ruined = sum(int(s.terminated.sum()) for s in steps)
    assert ruined > 0
    assert sum(p.metrics["actors/ruined"] for p in parts) == ruined
    rows = worker.simulator.rows.reshape(CONFIG.branches, CONFIG.groups)
    assert np.all(rows == rows[0])
    got = Transitions.concatenate([p.transitions for p in parts])
    assert np.count_nonzero(got.discount == 0.0) >= ruined
    over = next(i for i, s in enumerate(steps) if s.terminated.any())
    lane = int(np.flatnonzero(steps[over].terminated)[0])
    if not steps[over].truncated.any():
        assert steps[over + 1].row[lane] == steps[over].next_row[lane]
        assert steps[over + 1].account[lane, 0] == 0.0


def test_no_transition_crosses_a_gap_or_a_day(make_worker):
    worker = make_worker()
    got = Transitions.concatenate([worker.collect().transitions for _ in range(5)])
    assert np.all((got.row <= 70) == (got.next_row <= 70))
    assert np.all(got.next_row > got.row)
    assert np.all(got.next_row - got.row <= CONFIG.n_step)
    assert set(got.segment.tolist()) == {5, 6}


def test_starting_rows_are_all_rows_that_have_a_next_one(make_worker):
    worker = make_worker(episode_steps=1)
    steps = record(worker)
    worker.collect(1000)
    seen = np.bincount(np.concatenate([s.row[:4] for s in steps]), minlength=240)
    startable = worker.market.path.startable
    assert np.array_equal(seen > 0, startable)
    expected = seen.sum() / startable.sum()
    assert np.all(np.abs(seen[startable] - expected) < 6 * np.sqrt(expected))


def test_an_episode_may_be_cut_short_and_bootstraps(make_worker):
    worker = make_worker(episode_steps=7)
    result = worker.collect(71)
    assert result.metrics["actors/episode_length"] <= 7.0
    assert result.metrics["actors/episodes"] >= 12 * 10
    # With n = 3, two of seven transitions of a whole episode are tails.
    tails = np.isclose(result.transitions.discount, 0.9) | np.isclose(
        result.transitions.discount, 0.81
    )
    assert tails.mean() == pytest.approx(2 / 7, abs=0.05)


def test_strata_are_known_when_a_transition_is_finished(make_worker):
    worker = make_worker(movement_sigmas=1.5)
    got = Transitions.concatenate([worker.collect().transitions for _ in range(5)])
    first, arrays = first_rows(worker, got), worker.market.path.arrays
    steps = got.next_row - got.row
    move = np.abs(arrays.mark[first + got.next_row] - arrays.mark[first + got.row])
    moved = move > 1.5 * 1e-3 * np.sqrt(steps)
    # sigma is a float32 there: leave out the few that lie on the edge.
    clear = np.abs(move / (1.5e-3 * np.sqrt(steps)) - 1) > 1e-5
    assert np.array_equal((got.strata & MOVEMENT > 0)[clear], moved[clear])
    near = ((np.abs(got.row - 20) <= 3) & (got.next_row >= 30)) | (
        (np.abs(got.row - 85) <= 3) & (got.next_row >= 90)
    )
    assert np.array_equal(got.strata & EXTREMA > 0, near)
    assert np.all(got.strata & MAIN)
    assert 0.0 < (got.strata & POSITIVE > 0).mean() < 0.5


def test_rows_near_a_pivot_are_tagged_when_it_is_confirmed(make_worker):
    worker = make_worker(episode_steps=0)
    tags = [t for _ in range(6) for t in worker.collect().tags]
    assert {t.segment for t in tags} == {5, 6}
    rows = set(np.concatenate([t.rows for t in tags]).tolist())
    assert rows == set(range(17, 24)) | set(range(82, 89))


def test_every_action_of_a_step_has_its_outcome(make_worker):
    """Against the simulator's own, at each step that is taken."""
    worker = make_worker(outcomes="all", market=None)
    seen, original = [], worker.simulator.outcomes
    worker.simulator.outcomes = lambda *a: seen.append(original(*a)) or seen[-1]
    steps = record(worker)
    got = worker.collect().transitions
    assert len(got) == len(steps) * CONFIG.lanes
    np.testing.assert_array_equal(
        first_rows(worker, got) + got.row, np.concatenate([s.row for s in steps])
    )
    np.testing.assert_array_equal(got.account, np.concatenate([s.account for s in steps]))
    np.testing.assert_array_equal(got.action, np.concatenate([s.action for s in steps]))
    reward = np.concatenate([o.reward for o in seen])
    np.testing.assert_array_equal(got.reward, reward.astype(np.float32))
    assert got.next_account.dtype == np.float16
    np.testing.assert_allclose(
        got.next_account, np.concatenate([o.account for o in seen]), rtol=1e-3, atol=1e-6
    )
    assert np.all(got.next_row - got.row <= CONFIG.n_step)


def test_priorities_of_all_actions_are_their_mean_error(make_worker):
    worker = make_worker(outcomes="all")
    parts = [worker.collect() for _ in range(3)]
    got = Transitions.concatenate([p.transitions for p in parts])
    priority = np.concatenate([p.priorities for p in parts])
    first, potentials = first_rows(worker, got), Potentials(worker.market.tables, REWARD)

    def look(rows, account):
        with torch.inference_mode():
            state = gather(worker.market.tables, torch.from_numpy(rows))
            q = worker.policy.network(state, torch.from_numpy(account)).numpy()
        return q, potentials.pivot(rows, account[:, 0]) + potentials.cnn(rows, account[:, 0])

    q_tm1, phi_tm1 = look(first + got.row, got.account)
    error = np.zeros(len(got))
    for k in range(3):
        q_t, phi_t = look(first + got.next_row, got.next_account[:, k].astype(np.float32))
        target = got.reward[:, k] + got.discount[:, k] * (q_t.max(1) + phi_t)
        error += np.abs(target - q_tm1[:, k] - phi_tm1) / 3
    assert priority == pytest.approx(error, abs=2e-3)


def test_looking_ahead_encodes_each_market_time_once(make_worker):
    worker = make_worker(outcomes="all")
    worker.collect(20)
    before = worker.policy.encoded
    worker.collect(50)
    # A group that starts anew has n more rows to encode before it goes on.
    assert worker.policy.encoded - before < CONFIG.groups * (50 + 8 * (CONFIG.n_step + 1))
    assert worker.policy.encoded - before >= CONFIG.groups * 50 / 2


def test_new_weights_are_looked_at_anew(make_worker):
    worker, fresh = make_worker(outcomes="all", seed=3), make_worker(outcomes="all", seed=3)
    worker.collect(9)
    weights = make_worker(network=1).policy.network.state_dict()
    worker.set_weights(1, weights)
    state = worker.state_dict()
    fresh.load_state_dict(state)
    assert equal(worker.collect(9), fresh.collect(9))


@pytest.mark.parametrize("outcomes", ["taken", "all"])
def test_the_same_seed_makes_the_same_experience(make_worker, outcomes):
    one, other, third = (make_worker(seed=s, outcomes=outcomes) for s in (3, 3, 4))
    for _ in range(3):
        assert equal(a := one.collect(), other.collect())
        assert not equal(a, third.collect())


@pytest.mark.parametrize("outcomes", ["taken", "all"])
def test_it_resumes_to_the_bit(make_worker, outcomes):
    worker = make_worker(seed=3, outcomes=outcomes)
    worker.collect(23)
    worker.set_weights(4, make_worker(network=1).policy.network.state_dict())
    worker.collect(14)
    other = make_worker(seed=9, outcomes=outcomes)
    other.load_state_dict(worker.state_dict())
    assert other.policy.version == 4
    for _ in range(3):
        a, b = worker.collect(), other.collect()
        assert equal(a, b)
        same = {k for k in a.metrics if k != "actors/steps_per_second"}
        assert {k: a.metrics[k] for k in same} == {k: b.metrics[k] for k in same}


def test_a_state_of_other_segments_is_refused(make_worker, make_market):
    state = make_worker(make_market(seed=1)).state_dict()
    with pytest.raises(MismatchError, match="segments"):
        make_worker().load_state_dict(state)
    with pytest.raises(MismatchError, match=r"rollout\.lanes"):
        make_worker(lanes=6).load_state_dict(state)
    with pytest.raises(MismatchError, match=r"rollout\.branches"):
        make_worker(branches=1).load_state_dict(state)
    with pytest.raises(MismatchError, match=r"rollout\.outcomes"):
        make_worker(outcomes="all").load_state_dict(state)


def test_a_market_that_goes_before_the_first_step_leaves_nothing(make_worker, make_market):
    for outcomes, actions in (("taken", None), ("all", 3)):
        rest = make_worker(outcomes=outcomes).set_market(make_market(days=1, numbers=[33]))
        assert len(rest.transitions) == 0
        assert rest.transitions.actions == actions


@pytest.mark.parametrize("outcomes", ["taken", "all"])
def test_a_new_market_cuts_every_episode_and_loses_nothing(make_worker, make_market, outcomes):
    worker = make_worker(outcomes=outcomes)
    first = len(worker.collect(10).transitions)
    rest = worker.set_market(make_market(days=1, seed=7, numbers=[33]))
    assert first + len(rest.transitions) == 10 * CONFIG.lanes
    assert set(rest.transitions.segment.tolist()) <= {5, 6}
    after = worker.collect(10)
    assert set(after.transitions.segment.tolist()) == {33}
    assert np.isfinite(after.priorities).all()


def test_a_delivery_never_exceeds_what_the_replay_is_told(make_worker):
    worker = make_worker(episode_steps=4)
    assert max(len(worker.collect().transitions) for _ in range(6)) <= CONFIG.largest_insert


def test_the_figures_of_a_delivery(make_worker):
    worker = make_worker()
    steps = record(worker)
    worker.set_weights(3, worker.policy.network.state_dict())
    result = worker.collect(60, latest_version=8)
    metrics = result.metrics
    assert result.steps == 720 == metrics["actors/steps"]
    assert metrics["actors/policy_lag"] == 5.0
    assert metrics["actors/weights_version"] == 3.0
    days = sum(len(s.row) for s in steps) / 1440
    trades = sum(int(s.transactions.sum()) for s in steps)
    assert metrics["actors/trades_per_day"] == pytest.approx(trades / days)
    assert metrics["actors/reward"] == pytest.approx(np.mean([s.reward for s in steps]))
    terms = ("core", "frequency", "risk", "duration", "pivot")
    total = sum(metrics[f"actors/reward_{t}"] for t in terms)
    assert total == pytest.approx(metrics["actors/reward"])
    shares = [metrics[f"actors/action_{name}"] for name in ("short", "flat", "long")]
    assert sum(shares) == pytest.approx(1.0)
    assert metrics["actors/potential_pivot"] > 0.0
    assert metrics["actors/potential_cnn"] > 0.0
    assert metrics["actors/steps_per_second"] > 0.0


def test_lanes_that_do_the_same_are_counted_as_duplicates(make_worker):
    same = make_worker(seed=1, epsilon_base=0.0, branches=3).collect(30)
    assert same.metrics["actors/duplicates"] == pytest.approx(2 / 3, abs=1e-9)
    alone = make_worker(epsilon_base=0.0, lanes=4, branches=1).collect(10)
    starts = {(s, r) for s, r in zip(alone.transitions.segment, alone.transitions.row, strict=True)}
    share = 1 - len(starts) / len(alone.transitions)
    assert alone.metrics["actors/duplicates"] <= share + 1e-9


def test_a_resumed_rollout_explores_as_its_own_configuration_says(make_worker):
    bold, timid = make_worker(), make_worker(epsilon_base=0.1)
    wanted = timid.epsilon.copy()
    timid.load_state_dict(bold.state_dict())
    assert np.array_equal(timid.epsilon, wanted)
    assert not np.allclose(wanted, bold.epsilon)


def test_a_changed_number_of_actors_moves_the_ladder(make_worker):
    worker = make_worker()
    before = worker.epsilon.copy()
    worker.set_ladder(1, 4)
    assert len(worker.epsilon) == CONFIG.lanes
    assert not np.allclose(worker.epsilon, before)
