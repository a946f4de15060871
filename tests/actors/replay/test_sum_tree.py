import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.replay.sum_tree import SumTree
from apex_trader.errors import ApexError


def filled(random, capacity, share=1.0):
    """A tree with random masses (some tiny, some zero) and strata, and what it should hold."""
    tree = SumTree(capacity)
    slots = np.flatnonzero(random.random(capacity) < share)
    mass = 10.0 ** random.uniform(-6, 6, len(slots)) * (random.random(len(slots)) < 0.9)
    bits = (1 | random.integers(0, 16, len(slots))).astype(np.uint8)
    tree.set(slots, mass, bits)
    return tree, slots, mass, bits


def sums(mass, bits):
    return np.array([mass[bits >> s & 1 == 1].sum() for s in range(4)])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**31))
def test_every_stratum_sums_the_masses_that_carry_its_bit(capacity, seed):
    tree, slots, mass, bits = filled(np.random.default_rng(seed), capacity, 0.7)
    assert tree.totals == pytest.approx(sums(mass, bits), rel=1e-12)
    assert tree.counts.tolist() == [int((bits >> s & 1).sum()) for s in range(4)]
    assert np.array_equal(tree.mass(slots), mass)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**31))
def test_any_history_of_changes_leaves_the_sums_of_a_fresh_tree(capacity, seed):
    random = np.random.default_rng(seed)
    tree, *_ = filled(random, capacity)
    for _ in range(20):
        slots = random.integers(0, capacity, 50)
        change = random.integers(4)
        if change == 0:
            tree.set_mass(slots, random.exponential(size=50) * (tree.bits(slots) > 0))
        elif change == 1:
            tree.clear(slots)
        elif change == 2:
            tree.add_bits(slots[tree.bits(slots) > 0], 1 << int(random.integers(1, 4)))
        else:
            slots = np.unique(slots)
            mass = random.exponential(size=len(slots))
            tree.set(slots, mass, np.full(len(slots), 1 | 4, np.uint8))
        assert tree.drift() == 0.0
    fresh = SumTree(capacity)
    fresh.load_state_dict(tree.state_dict())
    assert np.array_equal(fresh.totals, tree.totals)
    assert np.array_equal(fresh.counts, tree.counts)


def test_of_equal_slots_in_one_update_the_last_wins():
    tree = SumTree(100)
    tree.set(np.arange(100), np.ones(100), np.ones(100, np.uint8))
    tree.set_mass(np.array([7, 8, 7]), np.array([5.0, 2.0, 3.0]))
    assert tree.mass(np.array([7, 8])).tolist() == [3.0, 2.0]
    assert tree.totals[0] == 103.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**31))
def test_a_draw_has_mass_and_belongs_to_its_stratum(capacity, seed):
    random = np.random.default_rng(seed)
    tree, *_ = filled(random, capacity, 0.5)
    counts = np.where(tree.totals > 0, [64, 16, 16, 16], 0)
    uniforms = random.random((3, int(counts.sum())))
    uniforms[1:] = np.array([[0.0], [np.nextafter(1.0, 0.0)]])
    drawn = tree.sample(counts, uniforms)
    assert np.all(tree.mass(drawn) > 0)
    stratum = np.repeat(np.arange(4), counts)
    assert np.all(tree.bits(drawn) >> stratum & 1)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 2000), st.integers(0, 2**31))
def test_each_slot_is_drawn_as_often_as_its_mass_says_to_within_one_a_batch(capacity, seed):
    """n stratified draws hit an item of expected count e either floor(e) - 1 to ceil(e) + 1
    times: a much sharper statement than a frequency test."""
    random = np.random.default_rng(seed)
    tree, slots, mass, _ = filled(random, capacity)
    if tree.totals[0] <= 0:
        return
    n = 4096
    drawn = tree.sample(np.array([n, 0, 0, 0]), random.random((1, n)))
    expected = np.zeros(capacity)
    expected[slots] = n * mass / mass.sum()
    assert np.all(np.abs(np.bincount(drawn[0], minlength=capacity) - expected) <= 2.0)


def test_draws_of_a_seed_repeat():
    tree, *_ = filled(np.random.default_rng(3), 1000)
    counts = np.array([100, 10, 10, 8])
    first, second = (tree.sample(counts, np.random.default_rng(5).random((2, 128))) for _ in "ab")
    assert np.array_equal(first, second)


def test_drawing_from_a_stratum_without_mass_is_refused():
    tree = SumTree(10)
    tree.set(np.arange(3), np.ones(3), np.ones(3, np.uint8))
    with pytest.raises(ApexError, match="without mass"):
        tree.sample(np.array([1, 1, 0, 0]), np.zeros((1, 2)))


def test_a_tree_of_another_capacity_is_refused():
    with pytest.raises(ApexError, match=r"replay\.capacity"):
        SumTree(10).load_state_dict(SumTree(11).state_dict())


def test_a_corrupted_sum_is_seen_and_mended():
    tree, *_ = filled(np.random.default_rng(1), 500)
    before = tree.totals
    tree._inner[0, 3] *= 1.001
    assert tree.drift() == pytest.approx(1e-3, rel=1e-2)
    tree.rebuild()
    assert tree.drift() == 0.0
    assert np.array_equal(tree.totals, before)
