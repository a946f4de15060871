"""Days rotate through memory: each gets its turn, none twice at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_trader.errors import ConfigError
from apex_trader.runtime.config import Config, TrainConfig
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.rotation import ActiveDays, active_days, training_days
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.time import DAY


def make(count: int, limit: int, seed: int = 0) -> ActiveDays:
    return ActiveDays(range(100, 100 + count), limit, np.random.default_rng(seed))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 25), st.data())
def test_every_day_gets_its_turn(count, data):
    """After two passes every day has been active; none is much ahead of another."""
    limit = data.draw(st.integers(1, count - 1))
    days = make(count, limit, data.draw(st.integers(0, 99)))
    turns = Counter(days.current)
    for _ in range(10 * count):
        gone, come = days.rotate()
        assert gone not in days.current
        assert come == days.current[-1]
        assert len(set(days.current)) == len(days.current) == limit
        turns[come] += 1
    assert set(turns) == set(range(100, 100 + count))
    assert max(turns.values()) <= 2 * min(turns.values()) + 2


def test_the_oldest_day_goes_first():
    days = make(10, 3)
    before = list(days.current)
    assert [days.rotate()[0] for _ in range(3)] == before


@pytest.mark.parametrize("limit", [4, 9])
def test_days_that_all_fit_do_not_rotate(limit):
    days = make(4, limit)
    assert not days.rotates
    assert sorted(days.current) == [100, 101, 102, 103]


def test_a_saved_rotation_goes_on_as_if_it_had_never_stopped():
    days = make(12, 4, seed=3)
    for _ in range(7):
        days.rotate()
    other = make(12, 4, seed=99)
    other.load_state_dict(days.state_dict())
    assert [days.rotate() for _ in range(40)] == [other.rotate() for _ in range(40)]


def test_no_day_is_an_error():
    with pytest.raises(ValueError, match="no day"):
        make(0, 3)


# --- the training days on which the weights are judged too ---------------------------------


def judged(config: Config, folder: Path, **train: int) -> tuple[list[int], MarketData]:
    """(their days, the run's market)."""
    config = replace(config, train=replace(config.train, **train))
    data = MarketData(config, RunFolder(folder))
    return [data.registry.days[n] for n in training_days(config, data)], data


@pytest.fixture
def long(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A run over 40 days, of which nothing is built."""
    days = [20_000 * DAY + k * DAY for k in range(40)]
    monkeypatch.setattr("apex_trader.state.builder.SegmentBuilder.days", lambda self: list(days))
    return tiny


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("resident", [2, 5, 32])
def test_weights_are_compared_on_days_that_they_are_trained_on_and_on_no_others(
    long: Config, tmp_path: Path, count: int, resident: int
) -> None:
    chosen, data = judged(long, tmp_path, train_days=count, resident_days=resident)
    config = replace(long, train=replace(long.train, resident_days=resident))
    first = {data.registry.days[n] for n in active_days(config, data).current}
    periods = data.periods
    assert set(chosen) <= first <= set(periods.agent)
    assert not set(chosen) & {*periods.validation, *periods.test, *periods.calibration}
    assert all(day >= periods.agent_from for day in chosen)
    assert chosen == sorted(set(chosen))
    whole = [day for day in first if day >= periods.agent_from]
    assert len(chosen) == min(count, len(whole), len(periods.validation))


def test_they_are_the_same_in_every_process_of_a_run_and_as_long_as_it_runs(
    long: Config, tmp_path: Path
) -> None:
    train = {"train_days": 2, "resident_days": 5}
    once, data = judged(long, tmp_path, **train)
    active_days(long, data).rotate()
    assert judged(long, tmp_path, **train)[0] == once
    assert {tuple(judged(replace(long, seed=s), tmp_path, **train)[0]) for s in range(8)} != {
        tuple(once)
    }


def test_there_are_never_more_of_them_than_days_that_choose(long: Config, tmp_path: Path) -> None:
    chosen, data = judged(long, tmp_path, train_days=30, evaluate_days=2)
    assert len(chosen) == len(data.evaluation_numbers()) == 2


def test_none_are_run_where_they_are_switched_off_or_the_market_is_live(
    long: Config, tmp_path: Path
) -> None:
    assert judged(long, tmp_path, train_days=0)[0] == []
    live = replace(long, rollout=replace(long.rollout, source="stream"))
    assert training_days(live, MarketData(long, RunFolder(tmp_path))) == []
    with pytest.raises(ConfigError, match="train_days"):
        TrainConfig(train_days=-1)
