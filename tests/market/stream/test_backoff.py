"""Waits between attempts grow, are limited, and differ between clients."""

import numpy as np

from apex_trader.market.stream.backoff import Backoff


def test_waits_double_up_to_the_limit_with_jitter_below_them() -> None:
    backoff = Backoff(0.5, 8.0, np.random.default_rng(0))
    waits = [backoff.next() for _ in range(200)]
    whole = [min(8.0, 0.5 * 2**k) for k in range(200)]
    assert all(w / 2 <= wait <= w for wait, w in zip(waits, whole, strict=True))
    assert len(set(waits)) == 200


def test_after_a_success_the_first_wait_comes_again() -> None:
    backoff = Backoff(0.5, 8.0, np.random.default_rng(1))
    for _ in range(9):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.5
