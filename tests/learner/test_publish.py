"""Published weights are exact, versioned, and tell how far behind an actor is."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from apex_trader.errors import ApexError, MismatchError
from learner.publish import WeightPublisher
from learner.serialise import read_state, state_bytes
from tests.learner.fakes import SCHEMA, small_network


def test_an_actor_s_network_becomes_the_learner_s() -> None:
    network, other = small_network(SCHEMA, seed=0), small_network(SCHEMA, seed=1)
    weights = WeightPublisher(network).publish(updates=7)
    weights.apply(other)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (weights.version, weights.updates) == (1, 7)


def test_published_weights_are_one_array_that_later_updates_leave_alone() -> None:
    network = small_network(SCHEMA)
    weights = WeightPublisher(network).publish(0)
    kept = weights.flat.copy()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1.0)
    np.testing.assert_array_equal(weights.flat, kept)
    assert weights.flat.dtype == np.float32
    assert weights.flat.flags.c_contiguous
    assert weights.flat.size == sum(p.numel() for p in network.parameters())
    state = weights.state_dict()
    state["value.bias"].fill_(9.0)  # an actor's own copy: writing to it harms no other
    np.testing.assert_array_equal(weights.flat, kept)


def test_versions_grow_and_survive_a_resume() -> None:
    network = small_network(SCHEMA)
    publisher = WeightPublisher(network)
    assert [publisher.publish(n).version for n in (0, 10, 20)] == [1, 2, 3]
    again = WeightPublisher(network)
    again.load_state_dict(read_state(io.BytesIO(state_bytes(publisher.state_dict()))))
    assert again.publish(30).version == 4
    again.observe(2, updates=30)
    assert again.metrics()["learner/policy_lag_max"] == 20


def test_policy_lag_counts_the_updates_since_the_version_was_published() -> None:
    publisher = WeightPublisher(small_network(SCHEMA))
    for updates in (0, 50, 100):
        publisher.publish(updates)
    assert publisher.metrics() == {}
    publisher.observe(3, updates=110)
    publisher.observe(1, updates=110)
    metrics = publisher.metrics()
    assert metrics["learner/policy_lag_min"] == 10
    assert metrics["learner/policy_lag_mean"] == 60
    assert metrics["learner/policy_lag_max"] == 110
    assert metrics["learner/policy_lag_versions"] == 1
    assert publisher.metrics() == {}


def test_a_version_that_was_never_published_is_an_error() -> None:
    publisher = WeightPublisher(small_network(SCHEMA))
    with pytest.raises(ApexError, match="version 5, the newest is 0"):
        publisher.observe(5, updates=0)


def test_weights_of_another_network_are_a_mismatch() -> None:
    weights = WeightPublisher(small_network(SCHEMA)).publish(0)
    with pytest.raises(MismatchError, match="another network"):
        weights.apply(small_network(SCHEMA, actions=2))
