"""What the filters say of the hidden state is as sure as they say, and no surer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from apex_trader.evaluation.optimum.deviation_filter import Deviations, estimate
from apex_trader.evaluation.optimum.execution import Execution
from apex_trader.evaluation.optimum.pace import Pace
from apex_trader.evaluation.optimum.prints import Prints
from apex_trader.evaluation.optimum.regime_filter import Trends, believe
from apex_trader.evaluation.optimum.volatility import Volatility
from apex_trader.market.fills import FillConfig
from apex_trader.market.synthetic import generator_named
from apex_trader.market.synthetic.planted import per_second
from apex_trader.time import DAY, MINUTE, SECOND
from tests.evaluation.optimum.planted_days import BTC, ETH, START, Days, planted


def both_prints(days: Days) -> tuple[Prints, Prints]:
    end = int(days.path.arrays["ts"][-1])
    return (
        Prints.of(days.primary, START - DAY, end),
        Prints.of(days.reference, START - DAY, end),
    )


def hidden(days: Days, column: str) -> np.ndarray:
    own = days.made[ETH].hidden
    return own[column][np.searchsorted(own["ts"], np.asarray(days.path.arrays["ts"]))]


def test_the_deviations_mean_is_unbiased_and_explains_what_theory_says() -> None:
    """On sixty days of minutes, at a volatility that stays."""
    days = planted("mean_reversion", 5, 60, clock="1m", clustering=0.0, season=0.0)
    law = Deviations.of(days.optimum.parameters)
    volatility = Volatility.of(days.optimum.parameters)
    ts = np.asarray(days.path.arrays["ts"])
    found = estimate(law, volatility, both_prints(days), ts).mean
    true = hidden(days, "deviation")
    assert float(found @ true / (found @ found)) == pytest.approx(1.0, abs=0.03)
    explained = law.explained(per_second(0.4), 60.0)
    assert found.var() == pytest.approx(explained, rel=0.06)
    assert ((found - true) ** 2).mean() == pytest.approx(law.variance - explained, rel=0.06)


def test_btc_helps_to_tell_ethers_deviation_from_its_walk() -> None:
    days = planted("mean_reversion", 5, 60, clock="1m", clustering=0.0, season=0.0)
    law, volatility = Deviations.of(days.optimum.parameters), days.optimum.volatility
    ts, (eth, btc) = np.asarray(days.path.arrays["ts"]), both_prints(days)
    nothing = Prints(btc.ts[:0], btc.log_price[:0])
    true = hidden(days, "deviation")
    errors = [
        ((estimate(law, volatility, (eth, other), ts).mean - true) ** 2).mean()
        for other in (btc, nothing)
    ]
    assert errors[0] < errors[1] < law.variance


def test_volatility_that_changes_is_followed() -> None:
    """The filter's volatility goes with the true one, which it is never told."""
    days = planted("regimes", 6, 3, duration=600.0)
    belief = believe(
        Trends.of(days.optimum.parameters), days.optimum.volatility, both_prints(days),
        np.asarray(days.path.arrays["ts"]), days.interval,
    )  # fmt: skip
    true = np.log(hidden(days, "volatility"))
    assert np.corrcoef(belief.log_volatility[500:], true[500:])[0, 1] > 0.85
    assert abs((belief.log_volatility - true)[500:].mean()) < 0.05


def test_a_chance_of_sixty_percent_comes_true_in_sixty_of_a_hundred() -> None:
    days = planted("regimes", 6, 3, duration=600.0)
    belief = believe(
        Trends.of(days.optimum.parameters), days.optimum.volatility, both_prints(days),
        np.asarray(days.path.arrays["ts"]), days.interval,
    ).chances  # fmt: skip
    state = hidden(days, "state")
    assert belief.sum(axis=1) == pytest.approx(1.0)
    for trend in range(3):
        came = state == trend - 1
        for low in (0.1, 0.3, 0.5, 0.7):
            told = (belief[:, trend] >= low) & (belief[:, trend] < low + 0.2)
            assert told.sum() > 1_000
            assert came[told].mean() == pytest.approx(belief[told, trend].mean(), abs=0.1)


def test_fills_come_when_the_execution_law_says() -> None:
    days = planted("lead_lag", 5, 2, clustering=0.1, season=0.1)
    rows = days.path.arrays
    filled = ~np.isnan(rows["fill_price"])
    delay = (rows["fill_ts"] - rows["ts"])[filled] / SECOND
    law = days.optimum.execution
    assert (~filled).mean() == pytest.approx(law.unfilled, abs=0.006)
    assert delay.mean() == pytest.approx(law.delay, abs=0.02)
    typical = law.typical_delays(8)
    middles = np.quantile(delay, (np.arange(8) + 0.5) / 8)
    assert np.abs(typical - middles).max() < 0.08


def test_minute_orders_fill_at_the_next_open() -> None:
    law = Execution.of(None, FillConfig(), MINUTE)
    assert (law.interval, law.unfilled, law.delay) == (60.0, 0.0, 60.0)
    optimistic = Execution.of(None, FillConfig(bar_fill="this_open"), MINUTE)
    assert optimistic.delay == 0.0


def test_volatility_has_the_mean_square_that_was_asked_for() -> None:
    parameters = generator_named("martingale").resolve({})
    values, share = Volatility.of(parameters).spread()
    assert share.sum() == pytest.approx(1.0)
    assert math.sqrt(share @ values**2) == pytest.approx(per_second(0.6), rel=0.01)


def test_orders_arrive_at_the_mean_rate() -> None:
    parameters = generator_named("martingale").resolve({"clustering": 0.0, "season": 0.0})
    pace = Pace.of(parameters, np.ones(1), np.ones(1))
    assert 1.0 / pace.gap == pytest.approx(2.0, rel=1e-6)
    assert pace.silent(np.array([0.0]))[0] == pytest.approx(1.0)
    assert pace.decayed(0.0) == pytest.approx(1.0)


def test_a_print_is_known_only_after_its_moment() -> None:
    prints = Prints(np.array([10, 20, 30], np.int64), np.zeros(3))
    assert prints.before(np.array([10, 11, 20, 21, 99], np.int64)).tolist() == [-1, 0, 0, 1, 2]


def test_minute_bars_are_prints_of_their_close() -> None:
    days = planted("regimes", 5, 90, clock="1m", clustering=0.1, season=0.1)
    bars = days.made[BTC].bars["1m"].between(START, START + DAY)
    prints = Prints.of(days.reference, START, START + DAY)
    assert prints.ts.tolist() == (bars.ts + MINUTE - 1).tolist()
    assert prints.log_price == pytest.approx(np.log(bars.close))
