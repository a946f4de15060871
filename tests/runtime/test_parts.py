"""The parts of a run, made from its configuration."""

from __future__ import annotations

from itertools import product

import numpy as np

from apex_trader.runtime.parts import exploration_seed


def test_a_rollout_explores_anew_after_each_restart_and_each_resume():
    """And two runs with neighbouring seeds share no stream either."""
    streams = {
        exploration_seed(seed, sitting, incarnation)
        for seed, sitting, incarnation in product(range(4), range(4), range(4))
    }
    assert len(streams) == 4**3


def test_the_stream_is_the_same_whenever_it_is_asked_for():
    assert exploration_seed(1, 2, 3) == exploration_seed(1, 2, 3)
    first, second = (np.random.default_rng([exploration_seed(1, 2, 3), a]) for a in range(2))
    assert not np.array_equal(first.random(8), second.random(8)), "each actor has its own"
