import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.exploration import Exploration, actor_epsilons, epsilon_ladder
from apex_trader.errors import ApexError


def test_the_ladder_goes_from_base_to_its_eighth_power():
    ladder = epsilon_ladder(360)
    assert ladder[0] == pytest.approx(0.4)
    assert ladder[-1] == pytest.approx(0.4**8)
    assert np.all(np.diff(ladder) < 0)
    assert np.diff(np.log(ladder)) == pytest.approx(np.full(359, 7 * np.log(0.4) / 359))


def test_a_single_lane_explores_at_the_base():
    assert epsilon_ladder(1).tolist() == [0.4]


@given(st.integers(1, 9), st.integers(1, 30))
def test_all_actors_together_have_every_step_of_the_ladder_once(actors, lanes):
    parts = [actor_epsilons(a, actors, lanes) for a in range(actors)]
    assert all(len(part) == lanes for part in parts)
    together = np.sort(np.concatenate(parts))[::-1]
    assert np.array_equal(together, epsilon_ladder(actors * lanes))


def test_an_actor_outside_the_run_is_refused():
    with pytest.raises(ApexError):
        actor_epsilons(3, 3, 8)


@pytest.mark.parametrize("decisions", [1.0, 12.0])
def test_epsilon_is_the_share_of_decisions_that_explore_however_long_a_try_lasts(decisions):
    lanes, steps = 1500, 400
    epsilon = np.repeat([0.0, 0.3, 1.0], lanes // 3)
    exploration = Exploration(lanes, decisions, np.random.default_rng(0))
    best = np.full(lanes, 1, np.uint8)
    chosen = np.array([exploration.choose(best, 3, epsilon) for _ in range(steps)])
    share = (chosen[steps // 4 :] == 1).reshape(-1, 3, lanes // 3).mean((0, 2))
    assert share[0] == 1.0
    assert share[1] == pytest.approx(0.7 + 0.1, abs=0.02)
    assert share[2] == pytest.approx(1 / 3, abs=0.02)


def test_what_is_explored_is_kept_for_its_mean_time():
    exploration = Exploration(200, 10.0, np.random.default_rng(1))
    chosen = np.array([
        exploration.choose(np.full(200, 2, np.uint8), 2, np.full(200, 0.2)) for _ in range(2000)
    ])  # fmt: skip
    begins = ((chosen[1:] == 0) & (chosen[:-1] != 0)).sum()
    # a try is followed at once by another one as seldom as any decision begins one
    assert (chosen == 0).sum() / begins == pytest.approx(10.0, rel=0.05)


def test_a_resumed_exploration_goes_on_with_what_it_tries():
    random = np.random.default_rng(3)
    whole = Exploration(8, 5.0, random)
    best, epsilon = np.full(8, 2, np.uint8), np.full(8, 0.5)
    for _ in range(20):
        whole.choose(best, 3, epsilon)
    other = np.random.default_rng(0)
    resumed = Exploration(8, 5.0, other)
    other.bit_generator.state = random.bit_generator.state
    resumed.load_state_dict(whole.state_dict())
    for _ in range(20):
        expected = whole.choose(best, 3, epsilon)
        np.testing.assert_array_equal(resumed.choose(best, 3, epsilon), expected)
