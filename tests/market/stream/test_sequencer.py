"""Each trade once, in the exchange's order, whatever a connection does to them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.kinds import concatenate
from apex_trader.market.stream.sequencer import Sequencer
from apex_trader.market.types import Trades
from tests.market.samples import MONDAY
from tests.market.stream.tapes import same, tape

NEVER = 2**62


def joined(parts: list[Trades]) -> Trades:
    out = concatenate("trades", parts)
    assert isinstance(out, Trades)
    return out


def rest(trades: Trades, start: int, limit: int = 1000) -> Trades:
    """What REST answers: the trades from an id on."""
    assert trades.id is not None
    low = int(np.searchsorted(trades.id, start))
    return trades.slice(low, low + limit)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_the_socket_does_every_trade_is_released_once_and_in_order(
    data: st.DataObject,
) -> None:
    trades = tape(data.draw(st.integers(0, 50)), data.draw(st.integers(1, 60)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    count = len(trades)
    # Lost, doubled and shuffled within a few places.
    sent = np.sort(rng.integers(0, count, rng.integers(0, 2 * count + 1)))
    sent = sent[np.argsort(np.arange(len(sent)) + rng.uniform(0, 4, len(sent)))]
    sequencer = Sequencer(999)
    released = []
    for piece in np.array_split(sent, 7):
        released.append(sequencer.offer(trades.take(piece.astype(np.int64)), NEVER))
        if rng.random() < 0.3:
            start = sequencer.wanted
            released.append(sequencer.backfill(rest(trades, start, 10), start))
    while sequencer.wanted <= 999 + count:
        start = sequencer.wanted
        released.append(sequencer.backfill(rest(trades, start, 10), start))
    assert same(joined(released), trades)
    assert sequencer.hole is None
    assert sequencer.counts.garbage == sequencer.counts.absent == 0
    assert sequencer.counts.backfilled >= count - len(np.unique(sent))


def test_an_id_that_is_passed_over_holds_back_what_follows_until_it_comes() -> None:
    trades = tape(1, 6)
    sequencer = Sequencer(999)
    assert len(sequencer.offer(trades.take(np.array([0, 1, 3, 5])), NEVER)) == 2
    assert sequencer.hole == (1002, 1002)
    assert len(sequencer.offer(trades.slice(2, 3), NEVER)) == 2
    assert sequencer.hole == (1004, 1004)
    assert same(sequencer.offer(trades.slice(4, 5), NEVER), trades.slice(4, 6))
    assert sequencer.counts.reordered == 2


def test_doubles_are_dropped_and_counted_released_or_held() -> None:
    trades = tape(2, 5)
    sequencer = Sequencer(999)
    sequencer.offer(trades.take(np.array([0, 0, 2])), NEVER)
    sequencer.offer(trades.take(np.array([0, 2, 2])), NEVER)
    assert sequencer.counts.duplicates == 4
    assert same(sequencer.offer(trades.slice(1, 2), NEVER), trades.slice(1, 3))


def test_identical_trades_with_ids_of_their_own_are_both_kept() -> None:
    one = tape(3, 1)
    two = Trades(*(np.repeat(getattr(one, n), 2) for n in ("ts", "price", "amount", "side")))
    two = replace(two, id=np.array([1000, 1001]))
    assert same(Sequencer(999).offer(two, NEVER), two)


def test_ids_that_the_exchange_does_not_have_are_passed_over() -> None:
    trades = tape(4, 8)
    kept = trades.take(np.array([0, 1, 4, 5, 7]))
    sequencer = Sequencer(999)
    assert len(sequencer.offer(kept, NEVER)) == 2
    assert same(sequencer.backfill(rest(kept, 1002), 1002), kept.slice(2, 5))
    assert sequencer.counts.absent == 3
    assert sequencer.wanted == 1008


@pytest.mark.parametrize(
    "change",
    [{"price": np.array([np.nan])}, {"price": np.array([-1.0])}, {"amount": np.array([0.0])},
     {"ts": np.array([NEVER])}],
)  # fmt: skip
def test_what_cannot_be_a_trade_is_garbage_and_its_place_stays_open(change: dict) -> None:
    trades = tape(5, 3)
    sequencer = Sequencer(999)
    sequencer.offer(replace(trades.slice(0, 1), **change), NEVER - 1)
    assert sequencer.counts.garbage == 1
    assert same(sequencer.offer(trades, NEVER - 1), trades)


def test_an_id_from_nowhere_is_found_out_when_its_time_is_passed() -> None:
    trades = tape(6, 30)
    sequencer = Sequencer(999)
    wrong = replace(trades.slice(3, 4), id=np.array([10**15]))
    sequencer.offer(trades.slice(0, 3), NEVER)
    sequencer.offer(wrong, NEVER)
    assert sequencer.hole == (1003, 10**15 - 1)
    assert same(sequencer.offer(trades.slice(3, 30), NEVER), trades.slice(3, 30))
    assert sequencer.hole is None
    assert sequencer.counts.garbage == 1


def test_a_frame_whose_time_contradicts_its_id_is_asked_for_by_rest() -> None:
    trades = tape(7, 10)
    sequencer = Sequencer(999)
    wrong = replace(trades.slice(2, 3), ts=trades.ts[9:10] + 1)
    released = [sequencer.offer(joined([trades.slice(0, 2), wrong, trades.slice(3, 10)]), NEVER)]
    start = sequencer.wanted
    released.append(sequencer.backfill(rest(trades, start), start))
    assert same(joined(released), trades)


def test_a_hole_that_is_given_up_lets_the_rest_go_and_is_repaid_late() -> None:
    trades = tape(8, 10)
    sequencer = Sequencer(999)
    sequencer.offer(trades.slice(0, 3), NEVER)
    sequencer.offer(trades.slice(6, 8), NEVER)
    assert same(sequencer.give_up(), trades.slice(6, 8))
    assert sequencer.owed_since == trades.ts[2]
    assert same(sequencer.offer(trades.slice(8, 9), NEVER), trades.slice(8, 9))
    # One of the owed comes late by itself, the others are fetched.
    assert same(sequencer.offer(trades.slice(4, 5), NEVER), trades.slice(4, 5))
    assert sequencer.owed_since == trades.ts[2]
    start = sequencer.wanted
    assert start == 1003
    owed = sequencer.backfill(rest(trades, start), start)
    assert same(owed, trades.take(np.array([3, 5, 9])))
    assert sequencer.owed_since is None


def test_a_page_that_ends_inside_what_is_owed_leaves_the_rest_owed() -> None:
    trades = tape(9, 10)
    sequencer = Sequencer(999)
    sequencer.offer(trades.slice(6, 10), NEVER)
    sequencer.give_up()
    assert same(sequencer.backfill(rest(trades, 1000, 4), 1000), trades.slice(0, 4))
    assert sequencer.wanted == 1004
    assert same(sequencer.backfill(rest(trades, 1004, 4), 1004), trades.slice(4, 6))
    assert sequencer.wanted == 1010


def test_time_falls_only_where_rest_itself_says_so_and_then_stands_still() -> None:
    trades = tape(10, 4, rate=1.0)
    fallen = replace(trades, ts=trades.ts[0] + np.array([0, 5, 3, 9]))
    sequencer = Sequencer(999, MONDAY)
    released = sequencer.backfill(fallen, 1000)
    assert (released.ts - released.ts[0]).tolist() == [0, 5, 5, 9]
