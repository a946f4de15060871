"""A limit that is shown as hit is one that refuses, and the other way round."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.execution.config import RiskConfig
from apex_trader.execution.limits import RATE, RiskLimits, Situation
from apex_trader.runtime.dashboard.risk import risk_state
from apex_trader.time import MINUTE, SECOND

CONFIG = RiskConfig(orders_per_minute=3, daily_loss=0.1, drawdown=0.2)
START = 1_700_000_000 * SECOND


def shown(limits: RiskLimits, ts: int, equity: float, **other: object) -> dict[str, str]:
    last = {
        "ts": ts, "seen": ts, "equity": equity, "quantity": 0.0, "mark": math.log(2_000.0),
        "skew": 0.0, "clipped": 0.0, "limits": json.dumps(limits.state()),
    }  # fmt: skip
    state = risk_state(CONFIG, last | other, math.nan)
    return {use.setting: use.status for use in state.uses}


@given(st.lists(st.floats(0.7, 1.3), min_size=1, max_size=6))
def test_losses_are_hit_when_they_close_the_position(path: list[float]):
    limits = RiskLimits(CONFIG)
    for k, share in enumerate(path):
        ts, equity = START + k * MINUTE, 10_000.0 * share
        limits.mark(ts, equity)
        status = shown(limits, ts, equity)
        if status["drawdown"] == "hit":
            assert limits.halt
        if status["daily_loss"] == "hit":
            assert limits.rule(1, situation(ts, equity)).target == 0
    halted = any(1 - e / max(path[: k + 1]) >= 0.2 for k, e in enumerate(path))
    assert bool(limits.halt) == halted


@given(st.lists(st.integers(0, 200), max_size=8))
def test_the_order_rate_is_hit_when_one_more_would_be_refused(seconds: list[int]):
    limits, ts = RiskLimits(CONFIG), START + 200 * SECOND
    limits.mark(ts, 10_000.0)
    for at in sorted(seconds):
        limits.sent(START + at * SECOND)
    hit = shown(limits, ts, 10_000.0)["orders_per_minute"] == "hit"
    refused = limits.rule(1, situation(ts, 10_000.0)).reason.startswith(RATE)
    assert hit == refused


def test_what_is_not_known_is_not_called_free():
    limits = RiskLimits(CONFIG)
    limits.mark(START, 10_000.0)
    status = shown(limits, START, 10_000.0, clipped=None, skew=None)
    assert status["max_clipped"] == status["max_skew"] == status["max_order"] == "unknown"
    assert shown(limits, START, 10_000.0, clipped=0.04)["max_clipped"] == "near"
    late = shown(limits, START, 10_000.0, seen=START + 6 * SECOND)
    assert late["stale_after"] == "hit"
    assert late["max_position"] == "free"


def test_a_day_that_is_closed_and_a_halt_are_said():
    limits = RiskLimits(CONFIG)
    for k, equity in enumerate((10_000.0, 8_900.0)):
        limits.mark(START + k * MINUTE, equity)
    last = {
        "ts": START + MINUTE, "seen": START + MINUTE, "equity": 8_900.0, "quantity": -1.0,
        "mark": math.log(2_000.0), "skew": 0.1, "clipped": float(np.float32(0.01)),
        "limits": json.dumps(limits.state()),
    }  # fmt: skip
    state = risk_state(CONFIG, last, 2_000.0)
    assert state.closed_today
    assert not state.halted
    limits.mark(START + 2 * MINUTE, 7_000.0)
    last = last | {"limits": json.dumps(limits.state()), "equity": 7_000.0}
    assert risk_state(CONFIG, last, 2_000.0).halted.startswith("drawdown")


def situation(ts: int, equity: float) -> Situation:
    return Situation(ts, ts, ts, 0.0, 0.0, equity, 0, 0.0, equity)
