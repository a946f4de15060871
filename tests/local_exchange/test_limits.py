"""Weights are counted by the minute; who ignores a refusal is banned."""

from __future__ import annotations

from tests.local_exchange.limits import LimitConfig, Limiter


class Steady:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


CONFIG = LimitConfig(weight={"spot": 10}, window=60, patience=1, ban=120)


def test_weight_is_used_up_and_comes_back_with_the_next_minute() -> None:
    real = Steady()
    limiter = Limiter(CONFIG, "spot", real)
    assert [limiter.charge(4).used for _ in range(2)] == [4, 8]
    real.seconds = 45
    verdict = limiter.charge(4)
    assert (verdict.status, verdict.retry_after) == (429, 15)
    real.seconds = 60
    assert (limiter.charge(4).status, limiter.charge(6).used) == (200, 10)


def test_who_goes_on_is_banned_and_each_ban_is_longer() -> None:
    real = Steady()
    limiter = Limiter(CONFIG, "spot", real)
    statuses = [limiter.charge(11).status for _ in range(3)]
    assert statuses == [429, 429, 418]
    assert limiter.charge(1).retry_after == 120
    real.seconds = 119
    assert limiter.charge(1).status == 418
    real.seconds = 121
    assert limiter.charge(1).status == 200
    assert [limiter.charge(11).status for _ in range(3)] == [429, 429, 418]
    assert limiter.charge(1).retry_after == 240
    assert limiter.counts == {"limit 429": 4, "limit 418": 5}
