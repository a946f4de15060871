"""Trades without ids: none twice, none lost, identical ones kept."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.stream.overlap import Overlap, occurs_more
from apex_trader.market.types import Trades
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


def until(trades: Trades, stop: int) -> Trades:
    return trades.slice(0, int(np.searchsorted(trades.ts, trades.ts[stop - 1], side="right")))


@given(st.integers(0, 10_000), st.integers(6, 80), st.data())
@settings(max_examples=80, deadline=None)
def test_a_lost_socket_and_a_rest_answer_over_the_gap_give_each_trade_once(
    seed: int, count: int, data: st.DataObject
) -> None:
    trades = coarse(seed, count)
    cut = data.draw(st.integers(1, count - 2))
    back = data.draw(st.integers(cut, count - 1))
    again = data.draw(st.integers(0, back))
    overlap = Overlap(MONDAY)
    released = [overlap.caught_up(), overlap.offer(trades.slice(0, cut), NEVER)]
    overlap.lost()
    # The new socket repeats some trades; REST answers with whole milliseconds up to some time.
    released.append(overlap.offer(trades.slice(again, count), NEVER))
    released.append(overlap.backfill(until(trades, back)))
    released.append(overlap.caught_up())
    assert rows(joined(released)) == rows(trades)


def test_identical_trades_of_an_unbroken_socket_are_all_fills() -> None:
    one = coarse(1, 1)
    overlap = Overlap(MONDAY)
    overlap.caught_up()
    assert [len(overlap.offer(one, NEVER)) for _ in range(3)] == [1, 1, 1]
    assert len(overlap.backfill(joined([one] * 5))) == 2


def test_until_rest_was_asked_the_trades_of_a_new_socket_are_held() -> None:
    trades = coarse(2, 30)
    overlap = Overlap(MONDAY)
    assert len(overlap.offer(trades.slice(10, 20), NEVER)) == 0
    assert overlap.owed_since == MONDAY
    assert rows(overlap.backfill(trades.slice(0, 15))) == rows(trades.slice(0, 15))
    assert rows(overlap.caught_up()) == rows(trades.slice(15, 20))
    assert overlap.owed_since is None
    assert overlap.counts.backfilled == 15
    assert overlap.counts.duplicates == 5


def test_giving_up_lets_the_held_trades_go() -> None:
    trades = tape(3, 10)
    overlap = Overlap(MONDAY)
    overlap.offer(trades, NEVER)
    assert rows(overlap.give_up()) == rows(trades)


def test_the_kth_of_a_kind_is_new_when_fewer_are_known() -> None:
    a, b = coarse(4, 1), coarse(5, 1)
    assert occurs_more(joined([a, a]), joined([a, b, a, a])).tolist() == [False, True, False, True]
    assert occurs_more(a.slice(0, 0), joined([a, a])).tolist() == [True, True]
