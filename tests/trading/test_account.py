"""The account: its equity identity, its costs, its features, and that they know nothing early."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import MismatchError
from apex_trader.time import DAY, HOUR, SECOND
from apex_trader.trading.account import (
    ACCOUNT_COLUMNS,
    Ledger,
    MarketStep,
    Rules,
    account_features,
    book,
    executed_price,
    ledger_state,
    new_ledger,
    reset_ledger,
    restore_ledger,
)
from apex_trader.trading.config import TradingConfig

FIVE = 5 * SECOND
T0 = 20_000 * DAY
CONFIGS = st.builds(
    TradingConfig,
    instrument=st.sampled_from(["perpetual", "spot"]),
    fee=st.sampled_from([0.0, 0.0002, 0.01]),
    slippage_bps=st.sampled_from([0.0, 1.0, 25.0]),
    exposure=st.sampled_from([0.3, 1.0]),
    lot_size=st.sampled_from([0.0, 0.0001, 0.5]),
    tick_size=st.sampled_from([0.0, 0.01]),
    min_notional=st.sampled_from([0.0, 5.0, 4_000.0]),
)


def walk(seed: int, steps: int, level: float = 7.0, sigma: float = 0.002) -> list[MarketStep]:
    rng = np.random.default_rng(seed)
    path = level + np.cumsum(rng.normal(0, sigma, 2 * steps + 1))
    out = []
    for n in range(steps):
        fill = path[2 * n + 1] if rng.random() > 0.1 else np.nan
        ts = T0 + n * FIVE
        funding = 1e-4 if n % 7 == 3 else 0.0
        out.append(MarketStep(ts, ts + FIVE, path[2 * n], path[2 * n + 2], fill, ts + SECOND,
                              funding))  # fmt: skip
    return out


def wishes(seed: int, steps: int, config: TradingConfig) -> np.ndarray:
    low = 0 if config.instrument == "spot" else -1
    return np.random.default_rng(seed + 1).integers(low, 2, steps)


def features(ledger: Ledger, ts: int, mark: float, config: TradingConfig) -> dict[str, float]:
    row = account_features(ledger, np.array([ts]), np.array([mark]), np.array([0.01]),
                           np.array([0.002]), config)[0]  # fmt: skip
    return dict(zip(ACCOUNT_COLUMNS, row.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), config=CONFIGS)
def test_equity_changes_by_profit_less_costs(seed, config):
    ledger, rules = new_ledger(1, config), Rules.of(config)
    steps, total = 120, 0.0
    for wanted, step in zip(wishes(seed, steps, config), walk(seed, steps), strict=True):
        done = book(ledger[0], int(wanted), step, rules)
        total += done.pnl - done.fee - done.slippage - done.funding
        difference = ledger.equity[0] - config.initial_equity - total
        assert abs(difference) <= 1e-9 * config.initial_equity
        unrealised = ledger.quantity[0] * (np.exp(step.next_mark) - ledger.entry_price[0])
        costs = ledger.fee[0] + ledger.slippage[0] + ledger.paid[0]
        split = config.initial_equity + ledger.realised[0] + unrealised - costs
        assert abs(split - ledger.equity[0]) <= 1e-9 * config.initial_equity
        if done.ruined:
            break


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), config=CONFIGS)
def test_orders_keep_the_rules_of_the_market(seed, config):
    ledger, rules = new_ledger(1, config), Rules.of(config)
    for wanted, step in zip(wishes(seed, 80, config), walk(seed, 80), strict=True):
        equity, price = ledger.equity[0], np.exp(step.mark)
        before = ledger.quantity[0]
        done = book(ledger[0], int(wanted), step, rules)
        quantity = ledger.quantity[0]
        assert np.sign(quantity) == ledger.position[0]
        assert rules.spot is False or ledger.cash[0] >= -1e-9 * config.initial_equity
        if np.isnan(step.fill):
            assert quantity == before
        if quantity != before and quantity != 0.0 and not done.ruined:
            assert abs(quantity) * price <= config.exposure * equity * (1 + 1e-9)
            assert abs(quantity) * price >= config.min_notional
            if config.lot_size:
                lots = abs(quantity) / config.lot_size
                assert abs(lots - round(lots)) < 1e-6


def test_a_round_trip_costs_fee_and_slippage_on_both_ways():
    config = TradingConfig(fee=0.001, slippage_bps=10.0, min_notional=0.0)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    price = np.log(100.0)
    book(ledger[0], 1, MarketStep(T0, T0 + FIVE, price, price, price, T0 + SECOND, 0.0), rules)
    done = book(ledger[0], 0, MarketStep(T0 + FIVE, T0 + 2 * FIVE, price, price, price,
                                         T0 + FIVE + SECOND, 0.0), rules)  # fmt: skip
    up, down = np.exp(0.001), np.exp(-0.001)
    assert ledger.fee[0] == pytest.approx(100 * 100 * 0.001 * (up + down), rel=1e-12)
    assert ledger.slippage[0] == pytest.approx(100 * 100 * (up - down), rel=1e-12)
    assert done.trip == pytest.approx(-2 * (0.001 + 0.001), rel=1e-12)
    assert done.held == FIVE


def test_a_flip_is_two_transactions():
    config = TradingConfig(fee=0.001)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    one = book(ledger[0], -1, MarketStep(T0, T0 + FIVE, 0.0, 0.0, 0.0, T0 + SECOND, 0.0), rules)
    two = book(ledger[0], 1, MarketStep(T0 + FIVE, T0 + 2 * FIVE, 0.0, 0.0, 0.0,
                                        T0 + FIVE + SECOND, 0.0), rules)  # fmt: skip
    assert (one.transactions, two.transactions) == (1, 2)
    assert one.core == pytest.approx(-0.001)
    assert two.core == pytest.approx(-0.002)


def test_slipped_prices_lie_on_the_worse_tick():
    rules = Rules.of(TradingConfig(slippage_bps=1.0, tick_size=0.5))
    assert executed_price(100.0, 1, rules) == 100.5
    assert executed_price(100.0, -1, rules) == 99.5
    assert executed_price(100.3, 1, Rules.of(TradingConfig(tick_size=0.5))) == 100.3


def test_too_small_an_order_leaves_the_account_flat():
    config = TradingConfig(initial_equity=4.0, min_notional=5.0)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    done = book(ledger[0], 1, MarketStep(T0, T0 + FIVE, 7.0, 7.1, 7.0, T0 + SECOND, 0.0), rules)
    assert done.transactions == 0
    assert ledger.position[0] == 0
    assert ledger.equity[0] == 4.0


@pytest.mark.parametrize(("position", "paid"), [(1, 1.0), (-1, -1.0)])
def test_longs_pay_positive_funding_and_shorts_receive_it(position, paid):
    config = TradingConfig(fee=0.0)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    book(ledger[0], position, MarketStep(T0, T0 + FIVE, 0.0, 0.0, 0.0, T0 + SECOND, 0.0), rules)
    held = MarketStep(T0 + FIVE, T0 + 2 * FIVE, 0.0, 0.0, np.nan, 0, 1e-4)
    done = book(ledger[0], position, held, rules)
    assert done.funding == pytest.approx(paid)
    assert done.core == pytest.approx(-position * 1e-4)
    spot = Rules.of(TradingConfig(instrument="spot"))
    assert book(new_ledger(1, config)[0], 1, held, spot).funding == 0.0


@pytest.mark.parametrize(("late", "payer"), [(False, 1), (True, -1)])
def test_funding_is_paid_by_the_position_held_into_the_payment(late, payer):
    """A payment at the next decision comes before a fill on the bar that opens there."""
    config = TradingConfig(fee=0.0)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    book(ledger[0], -1, MarketStep(T0, T0 + FIVE, 0.0, 0.0, 0.0, T0 + SECOND, 0.0), rules)
    at = T0 + 2 * FIVE if late else T0 + FIVE + SECOND
    done = book(ledger[0], 1, MarketStep(T0 + FIVE, T0 + 2 * FIVE, 0.0, 0.0, 0.0, at, 1e-4), rules)
    assert done.core == pytest.approx(-payer * 1e-4)
    assert done.funding == pytest.approx(payer * 1.0)
    assert done.trip == pytest.approx(-payer * 1e-4 if late else 0.0)
    assert done.shown == 0.0


def test_the_core_is_the_position_times_the_log_return_less_costs():
    config = TradingConfig(fee=0.0003, slippage_bps=2.0)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    path = walk(3, 60)
    for wanted, step in zip(wishes(3, 60, config), path, strict=True):
        before = ledger.position[0]
        done = book(ledger[0], int(wanted), step, rules)
        after = ledger.position[0]
        split = step.mark if before == after else step.fill
        expected = before * (split - step.mark) + after * (step.next_mark - split)
        expected -= abs(after - before) * (0.0003 + 0.0002) + after * step.funding
        assert done.core == pytest.approx(expected, abs=1e-15)


def test_ruin_liquidates_at_the_mark():
    config = TradingConfig(ruin_fraction=0.5, fee=0.001)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    step = MarketStep(T0, T0 + FIVE, 0.0, -1.0, 0.0, T0 + SECOND, 0.0)
    done = book(ledger[0], 1, step, rules)
    assert done.ruined
    assert (ledger.position[0], ledger.quantity[0]) == (0, 0.0)
    expected = 10_000.0 * np.exp(-1.0) * 0.999 - 10.0
    assert ledger.equity[0] == pytest.approx(expected, rel=1e-12)
    assert done.core == pytest.approx(-1.0 - 0.002)
    assert done.trip == pytest.approx(-1.0 - 0.002)


def test_features_are_those_of_the_feature_reference():
    config = TradingConfig(fee=0.001, trade_allowance=12.0)
    ledger, rules = new_ledger(1, config), Rules.of(config)
    fresh = features(ledger, T0, 0.0, config)
    assert fresh.pop("since_trade") == pytest.approx(1.0)
    assert not any(fresh.values())
    book(ledger[0], -1, MarketStep(T0, T0 + FIVE, 0.0, 0.004, 0.0, T0 + SECOND, 0.0), rules)
    seen = features(ledger, T0 + FIVE, 0.004, config)
    assert seen["position"] == -1.0
    assert seen["unrealised"] == pytest.approx(-0.4 / 3)
    assert seen["held"] == pytest.approx(np.log1p(4) / np.log1p(86_400))
    assert seen["since_trade"] == seen["held"]
    assert seen["trade_rate"] == pytest.approx(np.log(2) / 12)
    assert seen["drawdown"] == pytest.approx(np.log1p(0.5))
    share = 1 - 0.5 ** (FIVE / HOUR)
    deviation = 0.005 * np.sqrt(share - share**2)
    assert seen["mean_return"] == pytest.approx(-share * 0.005 / deviation, rel=1e-6)
    assert seen["deviation"] == pytest.approx(deviation / 0.002, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), config=CONFIGS)
def test_features_are_finite_and_within_the_guard(seed, config):
    ledger, rules = new_ledger(1, config), Rules.of(config)
    for wanted, step in zip(wishes(seed, 60, config), walk(seed, 60, sigma=0.03), strict=True):
        done = book(ledger[0], int(wanted), step, rules)
        row = np.array(list(features(ledger, step.next_ts, step.next_mark, config).values()))
        assert np.isfinite(row).all()
        assert (np.abs(row) <= 5.0).all()
        if done.ruined:
            break


def test_a_market_without_volatility_gives_zeros():
    ledger = new_ledger(2, TradingConfig())
    zeros = np.zeros(2)
    row = account_features(ledger, np.full(2, T0), zeros, zeros, zeros, TradingConfig())
    np.testing.assert_array_equal(row[:, :7], 0.0)


@pytest.mark.parametrize("before", [-1, 0, 1])
@pytest.mark.parametrize("wanted", [-1, 0, 1])
def test_a_fill_at_the_next_decision_shows_its_position_but_not_its_price(before, wanted):
    config = TradingConfig()
    rules = Rules.of(config)
    shown = []
    later = []
    for price in (0.001, 0.2, -0.3):
        ledger = new_ledger(1, config)
        start = MarketStep(T0, T0 + FIVE, 0.0, 0.0, 0.0, T0 + SECOND, 0.0)
        book(ledger[0], before, start, rules)
        step = MarketStep(T0 + FIVE, T0 + 2 * FIVE, 0.0, 0.002, price, T0 + 2 * FIVE, 0.0)
        booked = book(ledger[0], wanted, step, rules)
        shown.append(features(ledger, step.next_ts, step.next_mark, config))
        rest = MarketStep(T0 + 2 * FIVE, T0 + 3 * FIVE, 0.002, 0.002, np.nan, 0, 0.0)
        booked_rest = book(ledger[0], wanted, rest, rules)
        later.append(features(ledger, rest.next_ts, rest.next_mark, config))
        moved = (wanted - before) * (0.002 - price)
        assert booked.core - booked.shown == pytest.approx(moved, abs=1e-15)
        assert booked_rest.shown - booked_rest.core == pytest.approx(moved, abs=1e-15)
    assert shown[0] == shown[1] == shown[2]
    assert shown[0]["position"] == wanted
    assert wanted == before or later[0] != later[1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), late=st.booleans())
def test_the_mirrored_market_mirrors_the_account_to_the_bit(seed, late):
    config = TradingConfig(slippage_bps=1.0)
    one, other, rules = new_ledger(1, config), new_ledger(1, config), Rules.of(config)
    for wanted, step in zip(wishes(seed, 60, config), walk(seed, 60, level=0.0), strict=True):
        when = step.next_ts if late else step.fill_ts
        up = step._replace(fill_ts=when)
        down = up._replace(mark=-up.mark, next_mark=-up.next_mark, fill=-up.fill,
                           funding=-up.funding)  # fmt: skip
        a, b = book(one[0], int(wanted), up, rules), book(other[0], -int(wanted), down, rules)
        assert (a.core, a.trip, a.held) == (b.core, b.trip, b.held)
        seen = features(one, up.next_ts, up.next_mark, config)
        image = features(other, down.next_ts, down.next_mark, config)
        image["position"] *= -1.0
        assert seen == image


def test_resetting_some_accounts_leaves_the_others():
    config = TradingConfig()
    ledger, rules = new_ledger(2, config), Rules.of(config)
    step = MarketStep(T0, T0 + FIVE, 0.0, 0.01, 0.0, T0 + SECOND, 0.0)
    for k in (0, 1):
        book(ledger[k], 1, step, rules)
    kept = ledger[1].copy()
    reset_ledger(ledger, np.array([0]), config)
    fresh = new_ledger(1, config)
    assert ledger[0] == fresh[0]
    assert ledger[1] == kept


def test_a_ledger_is_given_and_taken():
    config = TradingConfig()
    ledger, rules = new_ledger(2, config), Rules.of(config)
    book(ledger[1], 1, MarketStep(T0, T0 + FIVE, 0.0, 0.01, 0.0, T0 + SECOND, 0.0), rules)
    other = new_ledger(2, config)
    restore_ledger(other, ledger_state(ledger))
    np.testing.assert_array_equal(ledger, other)
    with pytest.raises(MismatchError, match="number of lanes"):
        restore_ledger(new_ledger(3, config), ledger_state(ledger))
