"""Runs that differ from one by their seed alone: what chance in training is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apex_trader.errors import ApexError
from apex_trader.evaluation.report.data import Seed
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.periods import Periods
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trials import configuration_hash
from apex_trader.state.segment import Segment

#: Folders beside a run that are looked into at most, the newest first.
MOST = 200


def seeds_of(
    run: RunFolder,
    config: Config,
    periods: Periods,
    segments: Sequence[Segment],
    figures: Mapping[str, Mapping[str, float]],
) -> list[Seed]:
    """This run and the finished ones beside its folder with the same settings, periods and test
    days, in the order of their seeds; of equal seeds the newest. Empty when other days than its
    test were judged, since the others were not judged on them.
    """
    if {segment.day for segment in segments} != set(periods.test):
        return []
    found: dict[int, Seed] = {}
    for folder in _beside(run.path):
        other = _finished(RunFolder(folder), config, periods)
        if other is not None:
            found.setdefault(other.seed, other)
    found[config.seed] = Seed(config.seed, figures)
    return [found[seed] for seed in sorted(found)]


def _beside(path: Path) -> list[Path]:
    """Other runs in the folder that a run lies in, the newest first."""
    own = path.absolute()
    try:
        results = [p / "result.json" for p in own.parent.iterdir() if p != own]
        aged = [(file.stat().st_mtime, file.parent) for file in results if file.is_file()]
    except OSError:
        return []
    return [folder for _, folder in sorted(aged, reverse=True)[:MOST]]


def _finished(folder: RunFolder, config: Config, periods: Periods) -> Seed | None:
    """A run's result; None for one that is another experiment, or cannot be read."""
    try:
        other = load_config(folder)
        result = folder.read_json(folder.result)
        same = (
            configuration_hash(other) == configuration_hash(config)
            and result["periods"] == periods.describe()
            and result["market"] == config.market.primary
        )
        return Seed(other.seed, _numbers(result["backtest"])) if same else None
    except (ApexError, OSError, ValueError, KeyError, TypeError):
        return None


def _numbers(backtest: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Figures by policy out of JSON, where what is no number is null."""
    return {
        policy: {k: math.nan if v is None else float(v) for k, v in figures.items()}
        for policy, figures in backtest.items()
    }
