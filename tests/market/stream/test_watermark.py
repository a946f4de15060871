"""A second closes once every market is known up to its end, and not before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.stream.watermark import Watermark
from apex_trader.time import SECOND
from tests.market.samples import MONDAY

DELAY, PATIENCE = 300_000, 60 * SECOND


def watermark(*markets: str) -> Watermark:
    return Watermark(markets or ("eth", "btc"), MONDAY, DELAY, PATIENCE)


def at(seconds: float) -> int:
    return MONDAY + round(seconds * SECOND)


def test_a_trade_of_the_next_second_in_unbroken_order_closes_the_one_before() -> None:
    mark = watermark()
    mark.proven("eth", at(5.01))
    assert mark.close() == at(0)
    mark.proven("btc", at(4.99))
    assert mark.close() == at(4)
    mark.proven("btc", at(5.0))
    assert mark.close() == at(5)


def test_a_quiet_market_closes_when_its_socket_was_heard_past_the_watermark() -> None:
    mark = watermark()
    for market in ("eth", "btc"):
        mark.whole(market, True)
        mark.heard(market, at(3.29))
    assert mark.close() == at(2)
    for market in ("eth", "btc"):
        mark.heard(market, at(3.3))
    assert mark.close() == at(3)


def test_nothing_closes_by_hearsay_while_a_hole_is_open() -> None:
    mark = watermark("eth")
    mark.whole("eth", False)
    mark.heard("eth", at(10))
    assert mark.close() == at(0)
    mark.proven("eth", at(2.5))
    assert mark.close() == at(2)
    mark.whole("eth", True)
    assert mark.close() == at(9)


def test_nothing_closes_while_disconnected_and_the_old_socket_counts_no_more() -> None:
    mark = watermark("eth")
    mark.heard("eth", at(100))
    mark.lost("eth")
    mark.whole("eth", True)
    assert mark.close() == at(0)
    assert mark.overdue() == []


def test_a_market_that_holds_the_others_up_is_overdue_after_patience_and_no_sooner() -> None:
    mark = watermark()
    mark.whole("eth", True)
    for second in range(1, 61):
        mark.heard("eth", at(second + 1.5))
        assert mark.close() == at(0)
        assert mark.overdue() == []
    mark.heard("eth", at(63.5))
    assert mark.overdue() == ["btc"]
    mark.abandon("btc")
    assert mark.close() == at(63)
    mark.whole("btc", True)
    assert not mark.abandoned("btc")
    assert mark.close() == at(63)


def test_closing_without_a_market_goes_as_far_as_a_live_socket_shows_and_no_further() -> None:
    mark = Watermark(["eth", "funding"], MONDAY, DELAY, PATIENCE)
    mark.proven("funding", at(28_800))
    mark.heard("eth", at(1.5))
    mark.overdue()
    mark.heard("eth", at(70))
    assert mark.overdue() == ["eth"]
    mark.abandon("eth")
    assert mark.close() == at(69)
    # Its own trades came, in unbroken order: it is waited for again.
    mark.proven("eth", at(70))
    assert mark.close() == at(70)
    assert not mark.abandoned("eth")


def test_after_an_outage_patience_begins_when_the_socket_is_back() -> None:
    mark = watermark("eth")
    mark.whole("eth", True)
    mark.heard("eth", at(1.5))
    mark.close()
    mark.lost("eth")
    mark.heard("eth", at(1000))
    assert mark.overdue() == []
    mark.heard("eth", at(1059))
    assert mark.overdue() == []
    # Progress begins patience anew.
    mark.proven("eth", at(500))
    mark.close()
    mark.heard("eth", at(1062))
    assert mark.overdue() == []
    mark.heard("eth", at(1123))
    assert mark.overdue() == ["eth"]


Event = tuple[str, str, int]
events = st.lists(
    st.tuples(
        st.sampled_from(["eth", "btc"]),
        st.sampled_from(["proven", "heard", "whole", "hole", "lost"]),
        st.integers(0, 30_000_000),
    ),
    max_size=40,
)


@given(events)
@settings(max_examples=150, deadline=None)
def test_closing_never_runs_ahead_of_what_is_known_and_never_back(steps: list[Event]) -> None:
    mark = watermark()
    best = dict.fromkeys(("eth", "btc"), MONDAY)
    heard = dict.fromkeys(("eth", "btc"), 0)
    before = MONDAY
    for market, kind, time in steps:
        if kind == "proven":
            mark.proven(market, MONDAY + time)
            best[market] = max(best[market], MONDAY + time)
        elif kind == "heard":
            mark.heard(market, MONDAY + time)
            heard[market] = max(heard[market], MONDAY + time)
        elif kind == "lost":
            mark.lost(market)
        else:
            mark.whole(market, kind == "whole")
        closed = mark.close()
        allowed = min(max(best[m], heard[m] - DELAY) for m in best)
        assert before <= closed <= max(allowed, MONDAY)
        assert closed % SECOND == 0
        before = closed
