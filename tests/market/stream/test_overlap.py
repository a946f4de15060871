"""Trades without ids: none twice, none lost, identical ones kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.stream.overlap import OVERLAP, REMEMBERED, Overlap, occurs_more
from apex_trader.market.types import Trades
from apex_trader.time import SECOND
from tests.market.samples import MONDAY
from tests.market.stream.tapes import tape
from tests.market.stream.test_sequencer import NEVER, joined


def rows(trades: Trades) -> list[tuple[float, ...]]:
    columns = (trades.ts, trades.price, trades.amount, trades.side)
    return sorted(zip(*(c.tolist() for c in columns), strict=True))


def coarse(seed: int, count: int) -> Trades:
    """Trades with many identical ones among them."""
    rng = np.random.default_rng(seed)
    ts = MONDAY + np.sort(rng.integers(0, max(1, count // 3), count)) * 1000
    side = rng.choice(np.array([-1, 1], np.int8), count)
    return Trades(ts, rng.integers(1, 3, count) * 1.0, rng.integers(1, 3, count) * 0.5, side)


def rest(trades: Trades, start: int, stop: int) -> Trades:
    """REST's answer: from a time on, every trade that happened by then."""
    return trades.slice(0, stop).between(start, NEVER)


@given(st.integers(0, 10_000), st.integers(6, 80), st.data())
@settings(max_examples=150, deadline=None)
def test_lost_sockets_and_rest_answers_in_any_order_give_each_trade_once(
    seed: int, count: int, data: st.DataObject
) -> None:
    trades = coarse(seed, count)
    overlap = Overlap(MONDAY)
    released = []
    told = 0
    for _ in range(data.draw(st.integers(1, 4))):
        # A new socket repeats some of the past, and lags behind what REST tells.
        begins = data.draw(st.integers(0, min(count, told + 3)))
        now = data.draw(st.integers(min(count, max(told, begins)), count))
        heard = data.draw(st.integers(begins, max(begins, now)))
        overlap.lost()
        released.append(overlap.offer(trades.slice(begins, heard), NEVER))
        released.append(overlap.backfill(rest(trades, overlap.wanted_time, now)))
        overlap.caught_up()
        told = data.draw(st.integers(max(now, heard), count))
        released.append(overlap.offer(trades.slice(heard, told), NEVER))
    overlap.lost()
    released.append(overlap.backfill(rest(trades, overlap.wanted_time, count)))
    assert rows(joined(released)) == rows(trades)


def test_identical_trades_of_an_unbroken_socket_are_all_fills() -> None:
    one = coarse(1, 1)
    overlap = Overlap(MONDAY)
    overlap.caught_up()
    assert [len(overlap.offer(one, NEVER)) for _ in range(3)] == [1, 1, 1]
    assert len(overlap.backfill(joined([one] * 5))) == 2
    # The socket tells of those two later than REST did.
    assert [len(overlap.offer(one, NEVER)) for _ in range(3)] == [0, 0, 1]


def test_what_a_new_socket_repeats_is_known() -> None:
    trades = coarse(2, 30)
    overlap = Overlap(MONDAY)
    overlap.caught_up()
    overlap.offer(trades.slice(0, 20), NEVER)
    overlap.lost()
    again = int(np.searchsorted(trades.ts, trades.ts[10]))
    new = overlap.offer(trades.slice(again, 30), NEVER)
    assert rows(new) == rows(trades.slice(20, 30))
    assert overlap.counts.duplicates == 20 - again


def test_rest_is_asked_from_before_the_moment_of_the_loss_however_long_the_outage() -> None:
    trades = tape(3, 400, rate=1.0)
    overlap = Overlap(MONDAY)
    overlap.caught_up()
    overlap.offer(trades.slice(0, 50), NEVER)
    lost_at = int(trades.ts[49])
    overlap.lost()
    # The next socket is far ahead; what was missed is still known to be missed.
    assert trades.ts[300] - lost_at > 2 * REMEMBERED
    new = [overlap.offer(trades.slice(300, 320), NEVER)]
    assert overlap.wanted_time == lost_at - OVERLAP
    new.append(overlap.backfill(trades.slice(0, 320).between(overlap.wanted_time, NEVER)))
    overlap.caught_up()
    assert rows(joined(new)) == rows(trades.slice(50, 320))
    assert overlap.counts.backfilled == 250


def test_memory_is_bounded_and_old_trades_do_not_count_as_new() -> None:
    trades = tape(4, 3000, rate=2.0)
    overlap = Overlap(MONDAY)
    overlap.caught_up()
    for start in range(0, 3000, 100):
        overlap.offer(trades.slice(start, start + 100), NEVER)
    known = overlap._known
    assert known.ts[-1] - known.ts[0] <= 2 * REMEMBERED + 60 * SECOND
    recent = trades.between(overlap.wanted_time, NEVER)
    assert len(overlap.backfill(recent)) == 0


@pytest.mark.parametrize("told", [0, 1, 2])
def test_the_kth_of_a_kind_that_a_source_tells_is_new_when_fewer_are_known(told: int) -> None:
    a, b = coarse(4, 1), coarse(5, 1)
    answer = occurs_more(joined([a, a]), joined([a, b, a, a]), joined([a] * told))
    ranks = np.array([0, 1, 2]) + told
    assert answer[[0, 2, 3]].tolist() == (ranks >= 2).tolist()
    assert answer[1]
