"""Seconds made slice by slice have the bits of one pass."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.seconds import concatenate_seconds, seconds_from_trades
from apex_trader.market.stream.second_rows import SecondRows
from apex_trader.market.types import Seconds
from apex_trader.time import SECOND
from tests.market.stream.tapes import tape


def identical(a: Seconds, b: Seconds) -> bool:
    names = ("ts", "open", "high", "low", "close", "volume", "vwap", "count", "count_buy",
             "count_sell", "volume_buy", "volume_sell", "largest", "gap_count", "gap_sum",
             "gap_sumsq")  # fmt: skip
    return all(getattr(a, n).tobytes() == getattr(b, n).tobytes() for n in names)


@given(st.integers(0, 1000), st.lists(st.integers(0, 40), max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_slices_at_whole_seconds_give_the_bits_of_one_pass(
    seed: int, cuts: list[int], with_previous: bool
) -> None:
    trades = tape(seed, 120)
    previous = int(trades.ts[0]) - 7_000 if with_previous else None
    edges = [0, *(int(trades.ts[0]) // SECOND * SECOND + cut * SECOND for cut in sorted(cuts))]
    rows = SecondRows(previous)
    parts = [rows.close(trades.between(a, b)) for a, b in pairwise([*edges, 2**62])]
    assert identical(concatenate_seconds(parts), seconds_from_trades(trades, previous))


def test_a_trade_that_came_too_late_is_still_the_one_before_the_next() -> None:
    trades = tape(3, 40, rate=2.0)
    edge = int(trades.ts[20]) // SECOND * SECOND
    before = trades.between(0, edge)
    late = before.slice(len(before) - 1, len(before))
    rows = SecondRows()
    rows.close(before.slice(0, len(before) - 1))
    rows.passed(late)
    whole = seconds_from_trades(trades)
    rest = rows.close(trades.between(edge, 2**62))
    assert identical(rest, seconds_from_trades(trades.between(edge, 2**62), int(late.ts[0])))
    assert np.array_equal(rest.gap_sum, whole.gap_sum[-len(rest) :])
