import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.exploration import actor_epsilons, epsilon_ladder
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
