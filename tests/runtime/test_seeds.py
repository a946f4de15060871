"""Runs beside a run that differ by their seed alone."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apex_trader.runtime.compose import compose_config, save_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.periods import Periods
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.seeds import seeds_of
from apex_trader.state.segment import Segment
from apex_trader.time import DAY

PERIODS = Periods(extractor=(0,), agent=(DAY,), validation=(2 * DAY,), calibration=(),
                  test=(3 * DAY, 4 * DAY), agent_from=DAY)  # fmt: skip
OWN = {"agent": {"net_return": 0.5}}


@pytest.fixture(scope="module")
def config() -> Config:
    return compose_config(["+experiment=quickstart"])


def segments(*days: int) -> list[Segment]:
    made = []
    for day in days:
        segment = Segment.__new__(Segment)
        object.__setattr__(segment, "day", day)
        made.append(segment)
    return made


def run_at(folder: Path, config: Config, net: float | None, periods: Periods = PERIODS) -> None:
    run = RunFolder(folder)
    run.path.mkdir()
    save_config(run, config)
    if net is not None:
        run.write_json(run.result, {
            "periods": periods.describe(), "market": config.market.primary,
            "backtest": {"agent": {"net_return": net, "sharpe": np.nan}},
        })  # fmt: skip


def found(tmp_path: Path, config: Config, days=(3 * DAY, 4 * DAY)) -> dict[int, float]:
    seeds = seeds_of(RunFolder(tmp_path / "own"), config, PERIODS, segments(*days), OWN)
    return {seed.seed: seed.figures["agent"]["net_return"] for seed in seeds}


def test_finished_runs_of_other_seeds_are_found_and_nothing_else(tmp_path: Path, config: Config):
    run_at(tmp_path / "a", replace(config, seed=1), 0.1)
    run_at(tmp_path / "b", replace(config, seed=2), 0.2)
    run_at(tmp_path / "unfinished", replace(config, seed=3), None)
    dear = replace(config, seed=4, trading=replace(config.trading, fee=0.001))
    run_at(tmp_path / "dear", dear, 0.4)
    run_at(tmp_path / "other days", replace(config, seed=5), 0.5, replace(PERIODS, test=(3 * DAY,)))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text("{", encoding="utf-8")
    assert found(tmp_path, config) == {0: 0.5, 1: 0.1, 2: 0.2}


def test_of_equal_seeds_the_newest_counts(tmp_path: Path, config: Config):
    for age, (name, net) in enumerate((("new", 0.1), ("old", 0.2))):
        run_at(tmp_path / name, replace(config, seed=1), net)
        os.utime(tmp_path / name / "result.json", (1_000 - age, 1_000 - age))
    assert found(tmp_path, config)[1] == 0.1


def test_on_other_days_than_the_test_no_seed_is_compared(tmp_path: Path, config: Config):
    run_at(tmp_path / "a", replace(config, seed=1), 0.1)
    assert found(tmp_path, config, days=(3 * DAY,)) == {}


def test_what_is_no_number_stays_none(tmp_path: Path, config: Config):
    run_at(tmp_path / "a", replace(config, seed=1), 0.1)
    assert (
        json.loads((tmp_path / "a" / "result.json").read_text())["backtest"]["agent"]["sharpe"]
        is None
    )
    seeds = seeds_of(RunFolder(tmp_path / "own"), config, PERIODS, segments(3 * DAY, 4 * DAY), OWN)
    assert np.isnan(seeds[1].figures["agent"]["sharpe"])
