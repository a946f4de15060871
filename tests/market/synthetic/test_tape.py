"""The tape around a latent price: real columns, and no information before its time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apex_trader.market.synthetic.tape import TapeLaw, trades_of_day
from apex_trader.market.types import Trades
from apex_trader.time import SECOND

LAW = TapeLaw(
    trades_per_second=4.0, sweep=2.0, burstiness=0.5, notional=1000.0, amount_dispersion=1.4,
    flow=0.7, spread_ticks=1.0, tick_size=0.01, lot_size=0.0001,
)  # fmt: skip
SECONDS = 40_000
SIGMA = 1e-4


def tape(seed: int = 0, law: TapeLaw = LAW) -> tuple[Trades, np.ndarray]:
    rng = np.random.default_rng(seed)
    mid = np.log(2000.0) + np.append(0.0, np.cumsum(SIGMA * rng.standard_normal(SECONDS)))
    sigma = np.full(SECONDS, SIGMA)
    return trades_of_day(0, mid, sigma, SIGMA, law, rng), mid


def test_trades_are_in_order_on_the_grids_and_numbered() -> None:
    trades, _ = tape()
    assert (np.diff(trades.ts) >= 0).all()
    assert trades.ts[0] >= 0
    assert trades.ts[-1] < SECONDS * SECOND
    np.testing.assert_array_equal(trades.price, np.rint(trades.price * 100) / 100)
    np.testing.assert_array_equal(trades.amount, np.rint(trades.amount * 10_000) / 10_000)
    assert (trades.amount > 0).all()
    assert set(np.unique(trades.side)) == {-1, 1}
    assert trades.id is not None
    np.testing.assert_array_equal(np.diff(trades.id), 1)


def test_rates_sweeps_and_amounts_are_as_asked() -> None:
    trades, _ = tape()
    assert len(trades) / SECONDS == pytest.approx(4.0, rel=0.05)
    same = trades.ts[1:] == trades.ts[:-1]
    assert same.mean() == pytest.approx(0.5, abs=0.02)
    value = trades.price * trades.amount
    assert value.mean() == pytest.approx(1000.0, rel=0.05)
    assert np.median(value) < 0.5 * value.mean()


def test_some_seconds_have_no_trades() -> None:
    trades, _ = tape()
    busy = len(np.unique(trades.ts // SECOND)) / SECONDS
    assert 0.7 < busy < 0.95


def test_a_sweep_has_one_side_and_walks_away_from_its_first_trade() -> None:
    trades, _ = tape()
    same = np.flatnonzero(trades.ts[1:] == trades.ts[:-1])
    agree = trades.side[same] == trades.side[same + 1]
    assert agree.mean() > 0.99  # two orders rarely share a millisecond
    move = trades.side[same] * (trades.price[same + 1] - trades.price[same])
    assert (move[agree] >= -0.05).all()
    assert 0.1 < (move[agree] > 0).mean() < 0.5


def test_sides_follow_the_move_of_their_own_second_only() -> None:
    trades, mid = tape()
    second = trades.ts // SECOND
    move = np.diff(mid)
    own = np.corrcoef(trades.side, move[second])[0, 1]
    inside = second < SECONDS - 1
    following = np.corrcoef(trades.side[inside], move[second[inside] + 1])[0, 1]
    assert own > 0.3
    assert abs(following) < 0.02


def test_a_trades_price_is_the_latent_price_in_the_mean() -> None:
    """Rounding and bid-ask bounce hide nothing: the error has no mean given what is known."""
    trades, mid = tape()
    second = trades.ts // SECOND
    first = np.r_[True, second[1:] != second[:-1]]
    error = np.log(trades.price[first]) - mid[second[first]]
    known = mid[second[first]] - mid[np.maximum(second[first] - 5, 0)]
    for condition in (known > 0, known < 0):
        kept = error[condition]
        assert abs(kept.mean()) < 4 * kept.std() / np.sqrt(len(kept))


def test_the_first_fill_after_a_second_starts_is_not_told_by_the_last_trade() -> None:
    """The bounce is independent from order to order, so buying after a sale gains nothing."""
    trades, _ = tape()
    second = trades.ts // SECOND
    starts = np.flatnonzero(np.r_[False, second[1:] != second[:-1]])
    last, entry, later = starts[:-40] - 1, starts[:-40], starts[40:]
    gain = -trades.side[last] * np.log(trades.price[later] / trades.price[entry])
    assert abs(gain.mean()) < 4 * gain.std() / np.sqrt(len(gain) / 40)


def test_a_quiet_law_leaves_whole_stretches_empty() -> None:
    trades, _ = tape(law=replace(LAW, trades_per_second=0.02))
    assert 0 < len(trades) < 0.05 * SECONDS
