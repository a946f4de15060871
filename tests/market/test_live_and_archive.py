"""Live trades in milliseconds and archived ones in microseconds are one tape, without doubles.

Binance's archive states microseconds of spot trades from 2025 on, its stream milliseconds. Of one
trade (one id) the finer time counts, whichever came first.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import DataError
from apex_trader.market.seconds import seconds_from_trades
from apex_trader.market.store import MarketStore
from apex_trader.market.types import Trades
from apex_trader.time import DAY, SECOND
from tests.market.download.helpers import content

ETH = "binance:ETHUSDT"
#: 2025-03-03, a Monday.
START = 1_740_960_000_000_000
SPAN = 40 * SECOND


def archived(seed: int, count: int) -> Trades:
    """Microseconds, several trades in many a millisecond, over midnight."""
    rng = np.random.default_rng(seed)
    milliseconds = np.sort(rng.integers(0, SPAN // 1000, count)) // 40 * 40
    ts = np.sort(START + DAY - SPAN // 2 + milliseconds * 1000 + rng.integers(0, 1000, count))
    price = 2000 + rng.integers(0, 3, count) / 100
    return Trades(ts, price, rng.integers(1, 3, count) / 2,
                  rng.choice(np.array([-1, 1], np.int8), count),
                  np.arange(900, 900 + count, dtype=np.int64))  # fmt: skip


def live(trades: Trades) -> Trades:
    """As the stream tells of them."""
    return replace(trades, ts=trades.ts // 1000 * 1000)


def written(folder: Path, pieces: list[tuple[Trades, tuple[int, int]]]) -> MarketStore:
    store = MarketStore(folder)
    for trades, covered in pieces:
        if len(trades):
            store.write_trades(ETH, trades, covered=covered)
    return store


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(2, 150), st.integers(0, 39), st.integers(1, 40),
    st.integers(0, 39), st.integers(1, 40), st.booleans(),
)  # fmt: skip
def test_each_trade_is_there_once_with_the_finest_time_that_anyone_told(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, live_from: int,
    live_for: int, from_: int, for_: int, live_first: bool,
) -> None:  # fmt: skip
    whole, begin = archived(seed, count), START + DAY - SPAN // 2
    heard = begin + live_from * SECOND, begin + min(40, live_from + live_for) * SECOND
    filed = begin + from_ * SECOND, begin + min(40, from_ + for_) * SECOND
    pieces = [(live(whole.between(*heard)), heard), (whole.between(*filed), filed)]
    store = written(tmp_path_factory.mktemp("one"), pieces if live_first else pieces[::-1])
    other = written(tmp_path_factory.mktemp("other"), pieces[::-1] if live_first else pieces)
    in_file = (whole.ts >= filed[0]) & (whole.ts < filed[1])
    known = in_file | ((whole.ts >= heard[0]) & (whole.ts < heard[1]))
    wanted = np.where(in_file, whole.ts, whole.ts // 1000 * 1000)[known]
    if not known.any():
        return
    told = store.read_trades(ETH)
    assert told.id is not None
    assert whole.id is not None
    assert told.id.tolist() == whole.id[known].tolist()
    assert told.ts.tolist() == wanted.tolist()
    parts = [{n: b for n, b in content(s).items() if "part-" in n} for s in (store, other)]
    assert parts[0] == parts[1], "which came first leaves no trace"


def test_what_the_archive_adds_later_changes_pauses_alone(tmp_path: Path) -> None:
    """Seconds, prices and flow of a live day stay as they were seen; times inside them sharpen."""
    whole, covered = archived(3, 120), (START, START + 2 * DAY)
    seen = seconds_from_trades(live(whole))
    store = written(tmp_path / "s", [(live(whole), covered), (whole, covered)])
    sharp = store.read_seconds(ETH, *covered)
    for name in ("ts", "open", "high", "low", "close", "volume", "vwap", "count", "count_buy",
                 "volume_buy", "largest", "gap_count"):  # fmt: skip
        np.testing.assert_array_equal(getattr(seen, name), getattr(sharp, name), err_msg=name)
    assert not np.array_equal(seen.gap_sumsq, sharp.gap_sumsq)
    np.testing.assert_allclose(seen.gap_sum, sharp.gap_sum, atol=1e-3)


@pytest.mark.parametrize("shift", [1000, -1000])
def test_another_millisecond_is_another_trade_s_and_refused(tmp_path: Path, shift: int) -> None:
    whole, covered = archived(4, 50), (START, START + 2 * DAY)
    store = written(tmp_path / "s", [(live(whole), covered)])
    wrong = whole.ts.copy()
    wrong[20] = whole.ts[20] // 1000 * 1000 + shift + 1
    with pytest.raises(DataError, match="field 'ts'"):
        store.write_trades(ETH, replace(whole, ts=np.sort(wrong)), covered=covered)
    assert store.read_trades(ETH).ts.tolist() == (whole.ts // 1000 * 1000).tolist()
