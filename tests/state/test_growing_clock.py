"""A clock's tables grow by new rows alone, and hold the bits of those computed at once."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.market.resample import bars_from_seconds, resample
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.types import Seconds
from apex_trader.state.clock_tables import Side, clock_tables
from apex_trader.state.growing_clock import GrowingClock
from apex_trader.time import HOUR, MINUTE, SECOND
from tests.state.state_markets import START, random_trades

END = START + 3 * HOUR
GAPS = {"1s": 60 * SECOND, "1m": None, "dense 1m": 10 * MINUTE}


@lru_cache
def markets() -> list[Seconds]:
    rng = np.random.default_rng(4)
    return [
        seconds_from_trades(random_trades(rng, START, END, price, 0.5)) for price in (2000.0, 4e4)
    ]


def side(seconds: Seconds, kind: str, start: int, end: int) -> Side:
    """A market's rows that close in (start, end]."""
    if kind == "1s":
        rows = seconds.between(start, end)
        return Side(bars_from_seconds(rows), 0.01, end, rows)
    covered = np.array([[START, END]])
    bars = resample(bars_from_seconds(seconds), "1m", covered)
    first, last = np.searchsorted(bars.ts + MINUTE, [start, end], side="right")
    return Side(bars.slice(int(first), int(last)), 0.01, end)


def assert_same(a: object, b: object, first: int = 0) -> None:
    """Equal columns, of ``b`` from a row on; which real row each shows too."""
    for name, value in vars(a).items():
        other = getattr(b, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other[first:], err_msg=name)
        elif hasattr(value, "__dict__"):
            assert_same(value, other, first)


times = st.lists(st.integers(1, 3 * 3600 - 1), max_size=12, unique=True)


@pytest.mark.parametrize("kind", list(GAPS))
@pytest.mark.parametrize("with_reference", [True, False])
@settings(max_examples=10, deadline=None)
@given(cuts=times)
def test_any_division_gives_the_tables_that_are_made_at_once(kind, with_reference, cuts):
    clock, gap = kind[-2:], GAPS[kind]
    sources = markets() if with_reference else markets()[:1]
    ends = [START + cut * SECOND for cut in sorted(cuts)] + [END]
    grown, at = None, START
    for end in ends:
        sides = [side(s, kind, START - 1 if grown is None else at, end) for s in sources]
        pair = sides[0], sides[1] if with_reference else None
        if grown is None:
            grown = GrowingClock(clock, gap, *pair)
        else:
            known = len(grown)
            new = grown.extend(*pair)
            assert len(new.grid) == len(grown) - known
        at = end
    whole = [side(s, kind, START - 1, END) for s in sources]
    tables, _ = clock_tables(clock, whole[0], whole[1] if with_reference else None, gap)
    assert len(grown) == len(tables.grid)
    assert_same(grown.tables, tables)


def test_rows_that_were_read_do_not_change():
    eth = markets()[0]
    clock = GrowingClock("1s", GAPS["1s"], side(eth, "1s", START, START + HOUR), None)
    early = clock.tables
    values, ts = early.primary.values.copy(), early.grid.ts.copy()
    clock.extend(side(eth, "1s", START + HOUR, END), None)
    np.testing.assert_array_equal(early.primary.values, values)
    np.testing.assert_array_equal(early.grid.ts, ts)
