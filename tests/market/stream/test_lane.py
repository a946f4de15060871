"""A market's trades: closed once, saved once, late ones handed back."""

import numpy as np

from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.stream.lane import Lane
from apex_trader.market.stream.overlap import Overlap
from apex_trader.market.stream.sequencer import Sequencer
from apex_trader.time import SECOND
from tests.market.samples import MONDAY
from tests.market.stream.tapes import same, tape
from tests.market.stream.test_second_rows import identical
from tests.market.stream.test_sequencer import NEVER


def lane() -> Lane:
    return Lane("binance:ETHUSDT", Sequencer(999), MONDAY)


def test_seconds_close_with_all_their_trades_and_nothing_later() -> None:
    trades = tape(1, 100)
    it = lane()
    assert it.take(trades) is None
    rows, closed, incomplete = it.close(MONDAY + 5 * SECOND, NEVER)
    expected = trades.between(MONDAY, MONDAY + 5 * SECOND)
    assert same(closed, expected)
    assert identical(rows, seconds_from_trades(expected))
    assert len(incomplete) == 0
    rows, closed, _ = it.close(MONDAY + 3600 * SECOND, NEVER)
    assert same(closed, trades.slice(len(expected), len(trades)))


def test_a_trade_of_a_closed_second_is_a_revision_and_still_goes_to_the_store() -> None:
    trades = tape(2, 100)
    it = lane()
    it.take(trades.slice(0, 40))
    edge = int(trades.ts[60]) // SECOND * SECOND
    it.close(edge, NEVER)
    revisions = it.take(trades.slice(40, 100))
    assert revisions is not None
    assert revisions.closed == edge
    assert same(revisions.trades, trades.slice(40, 100).between(0, edge))
    _, closed, _ = it.close(MONDAY + 3600 * SECOND, NEVER)
    assert same(closed, trades.slice(40, 100).between(edge, NEVER))
    unsaved = it.unsaved(MONDAY + 3600 * SECOND)
    assert unsaved is not None
    assert same(unsaved.trades, trades)


def test_what_is_whole_is_handed_out_for_saving_once_or_again_when_that_failed() -> None:
    trades = tape(3, 100)
    it = lane()
    it.take(trades)
    assert it.unsaved(MONDAY + SECOND - 1) is None
    first = it.unsaved(MONDAY + 4 * SECOND + 7)
    assert first is not None
    assert (first.start, first.end) == (MONDAY, MONDAY + 4 * SECOND)
    assert same(first.trades, trades.between(MONDAY, first.end))
    it.not_saved(first)
    again = it.unsaved(MONDAY + 9 * SECOND)
    assert again is not None
    assert again.start == MONDAY
    assert same(again.trades, trades.between(MONDAY, again.end))
    rest = it.unsaved(MONDAY + 3600 * SECOND)
    assert rest is not None
    assert same(rest.trades, trades.between(again.end, NEVER))


def test_nothing_is_saved_beyond_a_hole_that_was_given_up() -> None:
    trades = tape(4, 100)
    sequencer = Sequencer(999)
    it = Lane("binance:ETHUSDT", sequencer, MONDAY)
    it.take(sequencer.offer(trades.slice(0, 50), NEVER))
    it.take(sequencer.offer(trades.slice(51, 100), NEVER))
    it.take(sequencer.give_up())
    it.doubt(int(trades.ts[49]), int(trades.ts[51]) + 1)
    end = MONDAY + 3600 * SECOND
    saved = it.unsaved(end)
    assert saved is not None
    assert saved.end <= trades.ts[50]
    _, _, incomplete = it.close(end, NEVER)
    assert trades.ts[50] // SECOND * SECOND in incomplete
    assert len(incomplete) <= 2 + (trades.ts[51] - trades.ts[49]) // SECOND
    revisions = it.take(sequencer.backfill(trades.slice(50, 100), 1050))
    assert revisions is not None
    assert same(revisions.trades, trades.slice(50, 51))
    rest = it.unsaved(end)
    assert rest is not None
    assert same(rest.trades, trades.between(saved.end, NEVER))


def test_seconds_that_close_before_they_are_known_are_incomplete() -> None:
    it = lane()
    _, _, incomplete = it.close(MONDAY + 4 * SECOND, MONDAY + 2 * SECOND + 1)
    assert ((incomplete - MONDAY) // SECOND).tolist() == [2, 3]
    assert len(it.close(MONDAY + 12 * SECOND, MONDAY + 12 * SECOND)[2]) == 0


def test_without_ids_the_store_gets_nothing_of_what_it_thinks_whole() -> None:
    trades = tape(5, 60)
    overlap = Overlap(MONDAY)
    it = Lane("kraken:ETHUSD", overlap, MONDAY)
    overlap.caught_up()
    keep = np.arange(60) != 20
    it.take(overlap.offer(trades.take(keep), NEVER))
    end = MONDAY + 3600 * SECOND
    assert it.unsaved(end) is not None
    it.close(end, NEVER)
    revisions = it.take(overlap.offer(trades.slice(20, 21), NEVER))
    assert revisions is not None
    more = it.unsaved(end + SECOND)
    assert more is not None
    assert len(more.trades) == 0
