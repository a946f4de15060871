"""How old sampled experience is, through the loss of a shard."""

from __future__ import annotations

import numpy as np

from apex_trader.experience import Sample, Transitions
from learner.sample_age import SEQUENCE_BITS, SampleAges


def sample(sequences: list[int], incarnation: int = 0, shard: int = 0) -> Sample:
    generation = np.array([incarnation << SEQUENCE_BITS | s for s in sequences], np.uint64)
    n = len(sequences)
    return Sample(
        Transitions.empty(n), np.arange(n), generation, np.ones(n, np.float32), shard,
        np.zeros(n, np.uint8),
    )  # fmt: skip


def test_age_is_counted_in_insertions_behind_the_newest_of_the_shard():
    ages = SampleAges()
    ages.add(sample([100, 90]))
    ages.add(sample([80]))
    ages.add(sample([7], shard=1))
    assert ages.read() == {"learner/sample_age_mean": 30 / 4, "learner/sample_age_max": 20.0}
    assert ages.read() == {}


def test_a_shard_that_begins_anew_is_not_as_old_as_the_one_that_was_lost():
    ages = SampleAges()
    ages.add(sample([100_000]))
    ages.add(sample([5, 3], incarnation=1))
    assert ages.read()["learner/sample_age_max"] == 2.0
    ages.add(sample([99_999], incarnation=0))
    assert ages.read()["learner/sample_age_max"] == 0.0, "late, and of unknown age"


def test_the_newest_survives_a_checkpoint_as_a_plain_number():
    ages = SampleAges()
    ages.add(sample([12], incarnation=3))
    assert ages.newest == {0: 3 << SEQUENCE_BITS | 12}
