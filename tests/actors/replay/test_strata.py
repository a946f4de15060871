import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.replay.strata import Peers, importance_weights, mixture, strata_ratio
from actors.replay.sum_tree import SumTree
from apex_trader.errors import ApexError

SHARES = (0.55, 0.15, 0.15, 0.15)


class Population:
    """Transitions with masses and strata spread over shards that are asked unequally often."""

    def __init__(self, seed, shards=3, size=40, batch=64):
        random = np.random.default_rng(seed)
        self.batch = batch
        self.mass = [random.exponential(size=size + 7 * k) ** 2 + 1e-3 for k in range(shards)]
        self.bits = [
            (1 | (2 * (random.random(len(m)) < 0.3)) | (4 * (random.random(len(m)) < 0.2))
             | (8 * (random.random(len(m)) < 0.1 * (k > 0)))).astype(np.uint8)
            for k, m in enumerate(self.mass)
        ]  # fmt: skip
        self.share = random.dirichlet(np.full(shards, 3.0))
        self.size = sum(map(len, self.mass))
        self.total = sum(m.sum() for m in self.mass)

    def shard(self, k):
        """(probability [n] of every transition of shard k, its ratio [16])."""
        mass, bits = self.mass[k], self.bits[k]
        member = bits[:, None] >> np.arange(4) & 1
        held, totals = member.sum(0), (mass[:, None] * member).sum(0)
        counts = mixture(SHARES, self.batch, held)
        rate = np.divide(counts, self.batch * totals, out=np.zeros(4), where=counts > 0)
        peers = Peers(self.share[k], self.size - len(mass), max(self.total - totals[0], 0.0))
        probability = self.share[k] * mass * (member @ rate)
        return probability, strata_ratio(counts, totals, peers)

    def all(self, beta):
        """(probability, weight, mass, bits) of every transition of every shard."""
        parts = [self.shard(k) for k in range(len(self.mass))]
        weights = [
            importance_weights(m, b, ratio, self.size, self.total, beta)
            for m, b, (_, ratio) in zip(self.mass, self.bits, parts, strict=True)
        ]
        return (
            np.concatenate([p for p, _ in parts]), np.concatenate(weights),
            np.concatenate(self.mass), np.concatenate(self.bits),
        )  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_at_beta_one_weighted_expectations_are_those_of_uniform_sampling(seed):
    population = Population(seed)
    probability, weight, *_ = population.all(1.0)
    assert probability.sum() == pytest.approx(1.0, rel=1e-12)
    assert probability * weight == pytest.approx(np.full(population.size, 1 / population.size))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_below_one_each_stratum_weighs_what_main_only_prioritized_sampling_gives_it(seed, beta):
    population = Population(seed)
    probability, weight, mass, bits = population.all(beta)
    main_only = mass / mass.sum()
    main_weight = (population.size * main_only) ** -beta
    for s in range(4):
        member = bits >> s & 1
        ours = (probability * weight * member).sum() / (probability * weight).sum()
        theirs = (main_only * main_weight * member).sum() / (main_only * main_weight).sum()
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-15)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_alone_and_without_strata_weights_are_those_of_the_paper(seed, beta):
    mass = np.random.default_rng(seed).exponential(size=50) + 1e-3
    ratio = strata_ratio(np.array([32, 0, 0, 0]), np.array([mass.sum(), 0, 0, 0]), Peers())
    ours = importance_weights(mass, np.ones(50, np.uint8), ratio, 50, mass.sum(), beta)
    assert ours == pytest.approx((50 * mass / mass.sum()) ** -beta)


def test_drawn_frequencies_are_the_stated_probabilities():
    population = Population(11, shards=1)
    population.share = np.ones(1)
    probability, _ = population.shard(0)
    mass, bits = population.mass[0], population.bits[0]
    tree = SumTree(len(mass))
    tree.set(np.arange(len(mass)), mass, bits)
    counts = mixture(SHARES, population.batch, tree.counts)
    batches = 20_000
    drawn = tree.sample(counts, np.random.default_rng(0).random((batches, population.batch)))
    frequency = np.bincount(drawn.ravel(), minlength=len(mass)) / drawn.size
    error = np.sqrt(probability / drawn.size)
    assert np.all(np.abs(frequency - probability) < 5 * error)


@given(
    st.integers(1, 2000), st.lists(st.integers(0, 300), min_size=3, max_size=3),
    st.lists(st.floats(0, 0.33), min_size=3, max_size=3),
)  # fmt: skip
def test_a_batch_is_full_and_takes_no_more_from_a_stratum_than_it_holds(batch, held, shares):
    shares = (1.0 - sum(shares), *shares)
    counts = mixture(shares, batch, np.array([10_000, *held]))
    assert counts.sum() == batch
    assert np.all(counts >= 0)
    assert np.all(counts[1:] <= held)
    assert np.all(counts[1:] <= np.ceil(np.array(shares[1:]) * batch + 1e-6))


def test_an_empty_stratum_gives_its_share_to_main():
    assert mixture(SHARES, 100, np.array([500, 50, 0, 50])).tolist() == [70, 15, 0, 15]


def test_impossible_peers_are_refused():
    with pytest.raises(ApexError, match="share"):
        Peers(share=0.0)
