"""Every limit holds: what breaks one adds no risk, and what reduces risk always passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.execution.config import RiskConfig, TradeConfig
from apex_trader.execution.limits import (
    DAILY_LOSS,
    DRAWDOWN,
    HALTED,
    ORDER,
    POSITION,
    RATE,
    SKEW,
    STALE,
    UNUSUAL,
    RiskLimits,
    Situation,
)
from apex_trader.time import DAY, HOUR, SECOND

NOON = 20_000 * DAY + 12 * HOUR
CALM = Situation(NOON, NOON + SECOND // 2, NOON, 0.01, 0.001, 10_000.0, 0, 0.0, 10_000.0)


def limits(**changes: float) -> RiskLimits:
    made = RiskLimits(RiskConfig(**changes))  # type: ignore[arg-type]
    made.mark(NOON, 10_000.0)
    return made


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (POSITION, {"wanted_value": 15_001.0}),
        (ORDER, {"position": -1, "value": -16_000.0, "wanted_value": 14_500.0}),
        (STALE, {"now": NOON + 6 * SECOND}),
        (SKEW, {"skew": -1.5}),
        (SKEW, {"skew": float("nan")}),
        (UNUSUAL, {"clipped": 0.06}),
        (UNUSUAL, {"clipped": float("nan")}),
    ],
)
def test_each_limit_refuses_risk_and_says_why(reason, changes):
    found = limits().rule(1, replace(CALM, **changes))
    assert found.target == 0
    assert found.reason.startswith(reason)
    assert limits().rule(1, CALM) == (1, "")


def test_orders_of_a_minute_are_counted_and_forgotten():
    made = limits(orders_per_minute=2)
    for second in (0, 5):
        assert made.rule(1, replace(CALM, ts=NOON + second * SECOND)).target == 1
        made.sent(NOON + second * SECOND)
    refused = made.rule(1, replace(CALM, ts=NOON + 10 * SECOND, now=NOON, known=NOON))
    assert refused.target == 0
    assert refused.reason.startswith(RATE)
    later = replace(CALM, ts=NOON + 61 * SECOND, now=NOON, known=NOON)
    assert made.rule(1, later).target == 1


def test_a_lost_day_closes_and_stays_closed_until_the_next():
    made = limits(daily_loss=0.05)
    made.mark(NOON + HOUR, 9_501.0)
    assert made.rule(1, CALM).target == 1
    made.mark(NOON + 2 * HOUR, 9_499.0)
    held = replace(CALM, position=1, value=9_499.0)
    assert made.rule(1, held).target == 0  # keeping it is not enough
    assert made.rule(1, held).reason.startswith(DAILY_LOSS)
    made.mark(NOON + 3 * HOUR, 9_900.0)  # a recovery does not open it again
    assert made.rule(1, CALM).target == 0
    made.mark(NOON + DAY, 9_499.0)
    assert made.rule(1, CALM).target == 1
    assert not made.halt


def test_a_drawdown_halts_for_good_whatever_the_day():
    made = limits(drawdown=0.2, daily_loss=0.5)
    made.mark(NOON + DAY, 12_000.0)
    made.mark(NOON + 2 * DAY, 9_599.0)
    assert made.halt.startswith(DRAWDOWN)
    made.mark(NOON + 9 * DAY, 13_000.0)
    found = made.rule(-1, replace(CALM, position=1))
    assert found.target == 0
    assert found.reason.startswith(HALTED)


situations = st.builds(
    Situation,
    ts=st.just(NOON),
    now=st.integers(NOON - SECOND, NOON + 20 * SECOND),
    known=st.just(NOON),
    skew=st.floats(-3, 3) | st.just(float("nan")),
    clipped=st.floats(0, 1) | st.just(float("nan")),
    equity=st.floats(100, 1e6),
    position=st.sampled_from((-1, 0, 1)),
    value=st.floats(-1e6, 1e6),
    wanted_value=st.floats(-1e6, 1e6),
)


@given(
    now=situations, wanted=st.sampled_from((-1, 0, 1)), sent=st.integers(0, 20),
    equities=st.lists(st.floats(100, 1e6), min_size=1, max_size=5),
)  # fmt: skip
def test_no_ruling_adds_risk_that_a_limit_forbids_and_none_forbids_less_risk(
    now: Situation, wanted: int, sent: int, equities: list[float]
):
    made = RiskLimits(RiskConfig())
    for equity in equities:
        made.mark(NOON, equity)
    for _ in range(sent):
        made.sent(NOON)
    target, reason = made.rule(wanted, now)
    assert target in (0, now.position, wanted)
    if wanted == 0:
        assert target == 0
    if target not in (0, now.position):
        assert target == wanted
        config = made.config
        assert sent < config.orders_per_minute
        assert now.now - now.known <= config.stale_after * SECOND
        assert abs(now.skew) <= config.max_skew
        assert now.clipped <= config.max_clipped
        assert abs(now.wanted_value) <= config.max_position * now.equity
        assert equities[-1] > (1 - config.daily_loss) * equities[0]
    if target != wanted:
        assert reason


def test_it_goes_on_after_a_restart_with_what_it_knew():
    made = limits(orders_per_minute=1, drawdown=0.2, daily_loss=0.1)
    made.sent(NOON)
    made.mark(NOON, 7_000.0)
    again = RiskLimits(made.config)
    again.load(made.state())
    assert again.state() == made.state()
    assert again.halt == made.halt
    assert again.rule(1, CALM) == made.rule(1, CALM)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (RiskConfig, "max_position", float("inf")),
        (RiskConfig, "daily_loss", 0.0),
        (RiskConfig, "orders_per_minute", 0),
        (RiskConfig, "stale_after", float("nan")),
        (TradeConfig, "mode", "live"),
        (TradeConfig, "mode", "real"),
        (TradeConfig, "journal_rows", 0),
    ],
)
def test_a_limit_cannot_be_switched_off(kind, field, value):
    with pytest.raises(ConfigError, match=field):
        kind(**{field: value})
