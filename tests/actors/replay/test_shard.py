import numpy as np
import pytest

from actors.replay.config import ReplayConfig
from actors.replay.shard import ReplayShard
from actors.replay.strata import Peers
from apex_trader.errors import ApexError
from apex_trader.experience import EXTREMA, MAIN, MOVEMENT, POSITIVE, Transitions


def config(**changes):
    values = {"capacity": 400, "shards": 2, "batch_size": 32, "prefetch": 4, "min_size": 100,
              "max_insert": 100, "samples_per_insert": 4.0}  # fmt: skip
    return ReplayConfig(**(values | changes))


@pytest.fixture
def filled(transitions):
    def make(n=80, incarnation=1, seed=0, **changes):
        shard = ReplayShard(config(**changes), 0, incarnation, seed)
        random = np.random.default_rng(3)
        part = transitions(random, n)
        part.strata[:] = np.where(random.random(n) < 0.3, POSITIVE, 0)
        part.strata[random.random(n) < 0.3] |= MOVEMENT
        assert shard.insert(part, random.exponential(size=n))
        return shard

    return make


def same_samples(a, b):
    return all(
        np.array_equal(x.slot, y.slot)
        and np.array_equal(x.generation, y.generation)
        and np.array_equal(x.weight, y.weight)
        and np.array_equal(x.transitions.account, y.transitions.account)
        for x, y in zip(a, b, strict=True)
    )


def test_several_batches_come_at_once_with_their_addresses(filled):
    shard = filled()
    samples = shard.sample(3)
    assert len(samples) == 3
    for sample in samples:
        assert len(sample.transitions) == len(sample.slot) == len(sample.weight) == 32
        assert sample.weight.dtype == np.float32
        assert np.all(sample.weight > 0)
        assert np.all(sample.transitions.strata & MAIN)
        assert np.all(sample.transitions.strata >> sample.stratum & 1)
        assert np.array_equal(shard._store._columns["row"][sample.slot], sample.transitions.row)


def test_sampling_waits_for_min_size_and_for_inserts(transitions):
    shard = ReplayShard(config(), 0, 1, 0)
    random = np.random.default_rng(0)
    shard.insert(transitions(random, 49), np.ones(49))
    assert shard.warming_up
    assert shard.sample(1) is None
    shard.insert(transitions(random, 1), np.ones(1))
    given = 0
    while shard.sample(4) is not None:
        given += 1
    assert 0 < given < 100
    assert shard.metrics()["replay/sample_waits"] == 2
    shard.insert(transitions(random, 100), np.ones(100))
    assert shard.sample(1) is not None


def test_insertion_waits_when_nobody_samples(filled, transitions):
    shard, random = filled(), np.random.default_rng(0)
    accepted = [shard.insert(transitions(random, 50), np.ones(50)) for _ in range(40)]
    assert accepted[0]
    assert not accepted[-1]


def test_unpaced_insertion_waits_for_nobody_and_makes_the_next_one_wait(filled, transitions):
    shard, random = filled(), np.random.default_rng(0)
    while shard.insert(transitions(random, 50), np.ones(50)):
        pass
    before = len(shard)
    assert shard.insert(transitions(random, 5), np.ones(5), paced=False)
    assert len(shard) >= before
    assert not shard.insert(transitions(random, 50), np.ones(50))


def test_updated_priorities_move_the_draws(filled):
    shard = filled()
    slots = np.arange(80)
    generations = shard._store.generation[slots]
    shard.update(slots, generations, np.where(slots == 11, 1e6, 0.0))
    # The share of main falls on the one slot; other strata draw among their own.
    for sample in shard.sample(2):
        assert np.all(sample.slot[sample.stratum == 0] == 11)


def test_updates_for_recycled_and_evicted_slots_are_rejected_and_counted(filled, transitions):
    shard, random = filled(), np.random.default_rng(5)
    old = shard._store.generation[:80].copy()
    assert shard.insert(transitions(random, 100), np.full(100, 2.0))
    shard.sample(4)
    assert shard.insert(transitions(random, 30), np.full(30, 2.0))  # wraps over slots 0 to 9
    mass = shard._tree.mass(np.arange(200))
    shard.update(np.arange(10), old[:10], np.full(10, 99.0))
    assert np.array_equal(shard._tree.mass(np.arange(200)), mass)
    assert shard.metrics()["replay/rejected_stale"] == 10
    gone = np.flatnonzero(shard._store._columns["segment"] == 1)
    late = shard._store.generation[gone].copy()
    assert shard.evict_segment(1) == len(gone)
    shard.update(gone, late, np.full(len(gone), 99.0))
    assert shard.metrics()["replay/rejected_stale"] == 10 + len(gone)
    assert np.all(shard._tree.mass(gone) == 0)


@pytest.mark.parametrize("actions", [None, 3])
def test_a_delivery_of_nothing_changes_nothing(actions):
    config = ReplayConfig(capacity=64, shards=1, min_size=1, batch_size=4, max_insert=8, prefetch=1)
    shard = ReplayShard(config, 0, 0, seed=1, actions=actions)
    assert shard.insert(Transitions.empty(0, actions), np.empty(0))
    assert len(shard) == 0
    assert shard.insert(Transitions.empty(2, actions), np.ones(2))
    assert shard.sample(1) is not None


def test_empty_and_impossible_slots_cannot_be_updated(filled):
    shard = filled()
    shard.update(np.array([150, -1, 10**9]), np.zeros(3, np.uint64), np.ones(3))
    assert shard.metrics()["replay/rejected_stale"] == 3
    assert shard._tree.totals[0] == pytest.approx(shard._tree.mass(np.arange(80)).sum())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1.0])
def test_impossible_priorities_are_rejected_and_counted(filled, bad):
    shard = filled()
    before = shard.mass
    shard.update(np.arange(3), shard._store.generation[:3], np.full(3, bad))
    assert shard.mass == before
    assert shard.metrics()["replay/rejected_invalid"] == 3


def test_inserts_that_would_poison_the_learner_are_left_out(transitions):
    shard, random = ReplayShard(config(), 0, 1, 0), np.random.default_rng(0)
    part = transitions(random, 10)
    part.reward[2] = np.nan
    part.next_account[3, 5] = np.inf
    priorities = np.ones(10)
    priorities[4] = np.nan
    assert shard.insert(part, priorities)
    assert len(shard) == 7
    assert shard.metrics()["replay/rejected_inserts"] == 3
    assert np.isfinite(shard.mass)


def test_a_tag_brings_transitions_into_their_stratum(filled):
    shard = filled()
    columns = shard._store._columns
    rows = np.array([2, 5, 5, 9])
    expected = np.flatnonzero((columns["segment"][:80] == 1) & np.isin(columns["row"][:80], rows))
    assert len(expected) > 2
    assert shard.tag(1, rows, EXTREMA) == len(expected)
    assert np.flatnonzero(shard._tree.bits(np.arange(200)) & EXTREMA).tolist() == expected.tolist()
    for sample in shard.sample(2):
        drawn = sample.slot[sample.stratum == 2]
        assert len(drawn) > 0
        assert np.isin(drawn, expected).all()
    assert shard.tag(77, rows, EXTREMA) == 0


def test_sums_never_drift_through_a_long_life(filled, transitions):
    shard, random = filled(), np.random.default_rng(8)
    for _ in range(60):
        shard.insert(transitions(random, 40), random.exponential(size=40))
        for sample in shard.sample(2) or []:
            shard.update(sample.slot, sample.generation, random.exponential(size=32))
        shard.tag(int(random.integers(3)), random.integers(0, 12, 3), EXTREMA)
        if random.random() < 0.1:
            shard.evict_segment(int(random.integers(3)))
        assert len(shard) == np.count_nonzero(shard._store.generation) == shard._tree.counts[0]
    assert shard.check_drift() == 0.0
    assert shard.metrics()["replay/drift_rebuilds"] == 0


def test_the_same_seed_draws_the_same_batches(filled):
    assert same_samples(filled(seed=4).sample(4), filled(seed=4).sample(4))
    assert not same_samples(filled(seed=4).sample(4), filled(seed=5).sample(4))


def test_a_run_in_one_process_resumes_to_the_bit(filled, transitions):
    shard, random = filled(), np.random.default_rng(8)
    shard.sample(2)
    shard.evict_segment(2)
    other = ReplayShard(config(), 0, 1, 99)
    other.load_state_dict(shard.state_dict(), exact=True)
    part = transitions(random, 60)
    for each in (shard, other):
        each.insert(part, np.ones(60))
        each.tag(1, np.arange(12), EXTREMA)
    assert same_samples(shard.sample(4), other.sample(4))
    assert shard.metrics() == other.metrics()


def test_a_restored_shard_rejects_updates_meant_for_its_predecessor(filled):
    shard = filled()
    sample = shard.sample(1)[0]
    other = ReplayShard(config(), 0, 2, 0)
    other.load_state_dict(shard.state_dict())
    before = other.mass
    other.update(sample.slot, sample.generation, np.full(32, 50.0))
    assert other.mass == before == shard.mass
    assert other.metrics()["replay/rejected_stale"] == 32
    again = other.sample(1)[0]
    other.update(again.slot, again.generation, np.full(32, 50.0))
    assert other.mass > before


def test_restoring_into_an_old_incarnation_is_refused(filled):
    shard = filled(incarnation=3)
    with pytest.raises(ApexError, match="higher"):
        ReplayShard(config(), 0, 3, 0).load_state_dict(shard.state_dict())


def test_incremental_snapshots_add_up_to_a_whole_one(filled, transitions):
    shard, random = filled(), np.random.default_rng(8)
    base, sequence = shard.state_dict(), shard.sequence
    shard.insert(transitions(random, 50), random.exponential(size=50))
    shard.evict_segment(0)
    shard.insert(transitions(random, 20), random.exponential(size=20))
    delta = shard.state_dict(since=sequence)
    assert len(delta["store"]["row"]) == 70
    whole, parts = ReplayShard(config(), 0, 2, 0), ReplayShard(config(), 0, 2, 0)
    whole.load_state_dict(shard.state_dict())
    parts.load_state_dict(base)
    parts.load_state_dict(delta)
    assert same_samples(whole.sample(4), parts.sample(4))
    rows = np.arange(12)
    assert whole.tag(0, rows, EXTREMA) == parts.tag(0, rows, EXTREMA)
    assert whole.tag(1, rows, EXTREMA) == parts.tag(1, rows, EXTREMA) > 0


def test_weights_of_a_shard_know_the_other_shards(filled):
    """Drawn half as often and holding a quarter of all: weights rise as the formula says."""
    alone, among = filled(), filled()
    among.set_peers(Peers(share=0.5, size=240, mass=3 * among.mass))
    one, other = alone.sample(1)[0], among.sample(1)[0]
    assert np.array_equal(one.slot, other.slot)
    # (N u)^-beta keeps: N and W both grow fourfold; r = share * W / ... doubles.
    assert other.weight == pytest.approx(one.weight / 2, rel=1e-6)


def test_beta_follows_the_learner(filled):
    shard = filled(beta_updates=100)
    early, late = shard.sample(1, update=0)[0], shard.sample(1, update=100)[0]
    mass = shard._tree.mass(late.slot)
    size, total = len(shard), shard.mass
    counts = np.bincount(late.stratum, minlength=4)
    bits = shard._tree.bits(late.slot)
    member = bits[:, None] >> np.arange(4) & 1
    rate = mass * (member @ (counts / 32 / shard._tree.totals.clip(1e-300)))
    assert late.weight == pytest.approx(1 / (size * rate), rel=1e-5)
    mass = shard._tree.mass(early.slot)
    main = mass / total
    bits = shard._tree.bits(early.slot)
    member = bits[:, None] >> np.arange(4) & 1
    rate = mass * (member @ (counts / 32 / shard._tree.totals.clip(1e-300)))
    assert early.weight == pytest.approx((size * main) ** -0.4 * main / rate, rel=1e-5)


def test_a_transition_costs_less_than_160_bytes_with_its_share_of_trees_and_index(transitions):
    """At 2,000,000 and 17,280 rows a day; nothing in it depends on the capacity but rounding."""
    capacity, rows = 50_000, 17_280
    shard = ReplayShard(config(capacity=capacity, shards=1, max_insert=capacity), 0, 1, 0)
    part = transitions(np.random.default_rng(0), capacity, segments=1, rows=rows)
    part.segment[:] = np.arange(capacity) // rows
    shard.insert(part, np.ones(capacity))
    assert shard.nbytes / capacity <= 160


@pytest.mark.parametrize(
    "call",
    [
        lambda s: ReplayShard(config(), 2, 1, 0),
        lambda s: s.insert(Transitions.empty(3), np.ones(2)),
        lambda s: s.update(np.arange(2), np.zeros(3, np.uint64), np.ones(2)),
        lambda s: s.tag(0, np.arange(3), 16),
        lambda s: s.sample(5),
    ],
)
def test_misuse_is_named(filled, call):
    with pytest.raises(ApexError):
        call(filled())
