import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.replay.config import ReplayConfig
from actors.replay.rate_limiter import RateLimiter
from apex_trader.errors import ApexError, ConfigError


def limiter(**changes):
    values = {"ratio": 4.0, "min_size": 100, "min_diff": 300.0, "max_diff": 500.0,
              "max_sample": 64, "max_insert": 20}  # fmt: skip
    return RateLimiter(**(values | changes))


def test_sampling_starts_at_min_size():
    pacing = limiter()
    pacing.inserted(99)
    assert pacing.warming_up
    assert not pacing.can_sample(1)
    pacing.inserted(1)
    assert pacing.can_sample(1)


def test_a_sample_waits_exactly_when_the_difference_would_fall_below_min_diff():
    pacing = limiter()
    pacing.inserted(100)
    pacing.sampled(64)
    assert pacing.can_sample(36)
    assert not pacing.can_sample(37)


def test_an_insert_waits_exactly_when_the_difference_would_rise_above_max_diff():
    pacing = limiter()
    pacing.inserted(110)
    assert pacing.can_insert(15)
    assert not pacing.can_insert(16)


def test_deletes_count_against_the_size_not_against_the_pace():
    pacing = limiter()
    pacing.inserted(120)
    pacing.deleted(21)
    assert not pacing.can_sample(1)
    pacing.inserted(1)
    assert pacing.can_sample(1)


def test_a_shard_that_lost_a_segment_may_fill_up_again():
    """By Reverb's two inequalities alone, both sides would wait for ever here."""
    pacing = limiter()
    pacing.inserted(124)
    pacing.deleted(30)
    assert (pacing.inserts + 20) * pacing.ratio - pacing.samples > pacing.max_diff
    assert not pacing.can_sample(1)
    assert pacing.can_insert(20)


def test_too_narrow_a_band_is_refused_at_construction():
    limiter(max_diff=300.0 + 64 + 80)
    with pytest.raises(ConfigError, match=r"replay\.error_buffer"):
        limiter(max_diff=300.0 + 64 + 79)


def test_requests_above_the_agreed_largest_are_refused():
    with pytest.raises(ApexError, match="prefetch"):
        limiter().can_sample(65)
    with pytest.raises(ApexError, match="max_insert"):
        limiter().can_insert(21)


@settings(max_examples=50)
@given(st.integers(1, 8), st.integers(1, 512), st.floats(0.1, 64))
def test_the_chosen_buffer_never_needs_mending(prefetch, batch, ratio):
    config = ReplayConfig(batch_size=batch, prefetch=prefetch, samples_per_insert=ratio)
    pacing = RateLimiter.from_config(config)
    assert pacing.min_diff < ratio * config.shard_min_size < pacing.max_diff


class Pacing(RuleBasedStateMachine):
    """Any order of inserts, samples, evictions and refusals."""

    @initialize(
        ratio=st.floats(0.05, 32), min_size=st.integers(1, 60), max_sample=st.integers(1, 40),
        max_insert=st.integers(1, 40), slack=st.floats(0, 50), middle=st.floats(-100, 400),
    )  # fmt: skip
    def start(self, ratio, min_size, max_sample, max_insert, slack, middle):
        width = max_sample + ratio * max_insert + slack + 1e-6
        self.pacing = RateLimiter(
            ratio, min_size, middle - width / 2, middle + width / 2, max_sample, max_insert
        )

    @rule(share=st.floats(0, 1))
    def insert(self, share):
        n = max(1, int(share * self.pacing.max_insert))
        if self.pacing.can_insert(n):
            self.pacing.inserted(n)

    @rule(share=st.floats(0, 1))
    def sample(self, share):
        n = max(1, int(share * self.pacing.max_sample))
        if self.pacing.can_sample(n):
            self.pacing.sampled(n)
            assert self.pacing.size >= self.pacing.min_size
            ahead = self.pacing.inserts * self.pacing.ratio - self.pacing.samples
            assert ahead >= self.pacing.min_diff

    @rule(share=st.floats(0, 1))
    def evict(self, share):
        self.pacing.deleted(int(share * self.pacing.size))

    @rule()
    def restart_from_a_snapshot(self):
        self.pacing.load_state_dict(dict(self.pacing.state_dict()))

    @invariant()
    def one_side_may_always_go_on(self):
        if hasattr(self, "pacing"):
            p = self.pacing
            assert p.can_insert(p.max_insert) or p.can_sample(p.max_sample)

    @invariant()
    def a_shard_in_warm_up_makes_no_actor_wait(self):
        if hasattr(self, "pacing") and self.pacing.warming_up:
            assert all(self.pacing.can_insert(n) for n in (1, self.pacing.max_insert))


TestPacing = Pacing.TestCase
TestPacing.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


def test_the_pace_is_kept_in_the_long_run():
    config = ReplayConfig(capacity=4000, shards=1, batch_size=32, prefetch=4, min_size=500,
                          max_insert=50, samples_per_insert=4.0)  # fmt: skip
    pacing = RateLimiter.from_config(config)
    for _ in range(5000):
        while pacing.can_sample(128):
            pacing.sampled(128)
        assert pacing.can_insert(37)
        pacing.inserted(37)
    assert pacing.samples / (pacing.inserts - 500) == pytest.approx(4.0, rel=0.01)
