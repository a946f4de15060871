"""The account at the live edge is the simulator's, told of everything when it is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import MismatchError
from apex_trader.time import SECOND
from apex_trader.trading.config import RewardConfig, TradingConfig
from apex_trader.trading.live_account import LiveAccount
from apex_trader.trading.path import MarketPath
from apex_trader.trading.simulator import Simulator
from tests.trading.conftest import DAY_START, walk_segment

FIVE, ROWS = 5 * SECOND, 60
RULES = {"lot_size": 0.001, "tick_size": 0.01, "min_notional": 5.0}


def funded(seed: int, offsets: tuple[int, ...]) -> tuple[MarketPath, np.ndarray, np.ndarray]:
    """A day, and its funding payments: a few, each stamped one of ``offsets`` after a decision.

    The simulator charges them as ``state.outcomes`` does: up to a latency behind a decision it is
    the position held into that decision that pays.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(np.arange(2, ROWS - 2), 4, replace=False))
    times = DAY_START + rows * FIVE + rng.choice(offsets, len(rows))
    rates = rng.normal(0.0, 1e-3, len(rows)).astype(np.float32).astype(np.float64)
    late = SECOND - 1
    funding = np.zeros(ROWS)
    step = -(-(times - late - DAY_START) // FIVE) - 1
    np.add.at(funding, step, rates)
    segment = walk_segment(seed, ROWS, level=7.0, unfilled=0.2, funding=funding)
    return MarketPath.from_segments([segment]), times, rates


def both(path: MarketPath, times, rates, wishes, trading: TradingConfig):
    """(equity, features) after each decision: of the simulator, and of the live account."""
    simulator = Simulator(path, trading, RewardConfig(), lanes=1)
    simulator.reset(np.array([0]), np.array([0]))
    live = LiveAccount(trading, SECOND)
    live.begin(int(path.arrays.ts[0]), float(path.arrays.mark[0]))
    expected, found = [], []
    for wish in wishes:
        row, before = simulator.rows[0], path.arrays[simulator.rows[0]]
        step = simulator.step(np.array([wish + 1]))
        after = path.arrays[row + 1]
        start, until = live.owed(int(after.ts))
        heard = (times >= start) & (times < until)
        live.settle(int(after.ts), float(after.mark), wish, float(before.fill_price),
                    int(before.fill_ts), (times[heard], rates[heard]))  # fmt: skip
        expected.append((float(step.equity[0]), step.next_account[0]))
        found.append((live.equity, live.features(after.sigma_hour, after.sigma_decision)))
    return expected, found


wishes = st.lists(st.sampled_from((-1, 0, 1)), min_size=ROWS - 1, max_size=ROWS - 1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), wishes=wishes)
def test_it_is_the_simulator_s_account_where_payments_are_known_in_their_step(seed, wishes):
    path, times, rates = funded(seed, (2 * SECOND, 4 * SECOND))
    expected, found = both(path, times, rates, wishes, TradingConfig(slippage_bps=1.0, **RULES))
    for (equity, features), (own, shown) in zip(expected, found, strict=True):
        assert own == equity
        np.testing.assert_array_equal(shown, features)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), wishes=wishes)
def test_a_payment_stamped_behind_its_hour_is_paid_by_the_position_held_into_it(seed, wishes):
    """Features are the simulator's at once, which hides the payment too; equity one step later.

    Lots of no size: equity that misses a payment for one decision must not round a lot away.
    """
    path, times, rates = funded(seed, (8_000,))
    kept = [w if k % 3 == 0 else wishes[k - k % 3] for k, w in enumerate(wishes)]
    expected, found = both(path, times, rates, kept, TradingConfig(lot_size=0.0, tick_size=0.0))
    for (_, features), (_, shown) in zip(expected, found, strict=True):
        np.testing.assert_allclose(shown, features, rtol=0, atol=1e-6)
    assert found[-1][0] == pytest.approx(expected[-1][0], rel=1e-5)


def test_a_payment_behind_the_hour_is_not_the_new_position_s():
    mark = np.full(4, 7.0)
    segment = walk_segment(0, 4, level=7.0)
    path = MarketPath.from_segments([segment])
    live = LiveAccount(TradingConfig(fee=0.0), SECOND)
    ts = path.arrays.ts
    nothing = (np.empty(0, np.int64), np.empty(0))
    live.begin(int(ts[0]), mark[0])
    live.settle(int(ts[1]), mark[1], 1, 7.0, int(ts[0]) + SECOND, nothing)
    held = live.quantity
    payment = (np.array([int(ts[1]) + 5_000]), np.array([0.01]))
    live.settle(int(ts[2]), mark[2], -1, 7.0, int(ts[1]) + SECOND, payment)
    assert live.equity == pytest.approx(10_000.0 - held * np.exp(7.0) * 0.01)
    assert live.record["paid"] > 0.0  # the long one paid, not the short one that came after


def test_it_goes_on_where_it_was_written_down():
    path, *_ = funded(1, (8_000,))
    rows, nothing = path.arrays, (np.empty(0, np.int64), np.empty(0))
    account = LiveAccount(TradingConfig(), SECOND)
    account.begin(int(rows.ts[0]), float(rows.mark[0]))

    def go(it: LiveAccount, k: int, wish: int) -> float:
        it.settle(int(rows.ts[k + 1]), float(rows.mark[k + 1]), wish, float(rows.mark[k]),
                  int(rows.ts[k]) + SECOND, nothing)  # fmt: skip
        return it.equity

    go(account, 0, 1)
    other = LiveAccount(TradingConfig(), SECOND)
    other.load_bytes(account.to_bytes())
    assert [go(account, k, -1) for k in (1, 2)] == [go(other, k, -1) for k in (1, 2)]
    with pytest.raises(MismatchError, match="another version"):
        other.load_bytes(b"short")


#: One order: quantity that it traded, move of the price before it, and until the next decision.
executions = st.lists(
    st.tuples(st.integers(-2_000, 2_000), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(executions=executions)
def test_it_holds_and_is_worth_what_was_really_traded_in_parts_and_flips(executions):
    account = LiveAccount(TradingConfig(**RULES, initial_equity=1e6), SECOND)
    nothing = (np.empty(0, np.int64), np.empty(0))
    ts, mark = DAY_START, 7.0
    account.begin(ts, mark)
    cash, held = 1e6, 0.0
    for lots, before, after in executions:
        quantity, price = lots * 0.001, float(np.exp(mark + before))
        fee = 0.0005 * abs(quantity) * price
        trade = account.traded(price, quantity, fee)
        mark += before + after
        filled = (mark - after, ts + SECOND) if lots else (float("nan"), 0)
        account.settle(ts + FIVE, mark, 0, *filled, nothing, trade)
        ts += FIVE
        cash, held = cash - quantity * price - fee, held + quantity
        assert account.quantity == pytest.approx(held, abs=1e-9)
        assert account.equity == pytest.approx(cash + held * np.exp(mark), rel=1e-9)
        assert account.position == (0 if abs(held) < 0.0005 else np.sign(held))
        assert np.isfinite(account.features(0.01, 0.001)).all()


@pytest.mark.parametrize("wanted", [-1, 1])
def test_an_order_that_traded_as_the_rules_say_is_booked_as_they_do(wanted):
    nothing = (np.empty(0, np.int64), np.empty(0))
    config = TradingConfig(**RULES, slippage_bps=0.0)
    told, ruled = LiveAccount(config, SECOND), LiveAccount(config, SECOND)
    for account in (told, ruled):
        account.begin(DAY_START, 7.0)
    fill, price = 7.001, float(np.exp(7.001))
    quantity = told.quantity_for(wanted)
    trade = told.traded(price, quantity, config.fee * abs(quantity) * price)
    told.settle(DAY_START + FIVE, 7.002, 0, fill, DAY_START + SECOND, nothing, trade)
    ruled.settle(DAY_START + FIVE, 7.002, wanted, fill, DAY_START + SECOND, nothing)
    for name in told.record.dtype.names:
        assert told.record[name] == pytest.approx(ruled.record[name], rel=1e-12), name
