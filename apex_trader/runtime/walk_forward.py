"""A walk-forward test as a run of runs: every fold is a run of its own in the folder.

    fold-1/ fold-2/ …   runs, each with its checkpoints, report.html and result.json
    market/             the synthetic market that all folds share, where the run makes one
    result.json         all folds as one result, and report.html of it

A fold that ended is not done again: resuming goes on in the one that was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.evaluation.assessment import to_plain
from apex_trader.evaluation.ledger import distinct
from apex_trader.evaluation.report.walk_forward_page import render_walk_forward
from apex_trader.evaluation.sharpe import annual_sharpe
from apex_trader.evaluation.walk_forward import FoldResult, WalkForward, combine
from apex_trader.runtime.assess import random_of
from apex_trader.runtime.compose import load_config, save_config
from apex_trader.runtime.config import Config, MarketConfig
from apex_trader.runtime.folds import WalkForwardConfig, fold_periods
from apex_trader.runtime.market_data import EVER, MarketData, Say, prepare_store, store_url
from apex_trader.runtime.overrides import changes
from apex_trader.runtime.report import costs_text
from apex_trader.runtime.reproduction import train_command
from apex_trader.runtime.resume import resume_command
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trials import ledger_of

#: Stream of the seed that the folds' joint bootstrap draws from.
_PART = 5

Train = Callable[[Config, RunFolder], None]


def walk_forward(config: Config, folder: RunFolder, train: Train, say: Say = print) -> None:
    """Train and judge every fold with ``train``, then write result and report of all of them.

    Goes on where it stopped when ``config.resume`` is set. ApexError when the folder holds folds
    already and it is not, or when there are too few days.
    """
    _open(config, folder)
    try:
        prepare_store(config, folder, say)
        folds = fold_configs(config, folder)
        _check_finished(folder, folds)
        save_config(folder, replace(config, resume=""))
        for number, fold in enumerate(folds, 1):
            place = fold_folder(folder, number)
            if place.result.is_file():
                say(f"fold {number} of {config.walk_forward.folds} is done: {place.path}")
                continue
            say(f"fold {number} of {config.walk_forward.folds}: {place.path}")
            resumes = place.config.is_file() and place.has_checkpoint()
            train(replace(fold, resume=str(place.path)) if resumes else fold, place)
        places = [fold_folder(folder, k + 1) for k in range(config.walk_forward.folds)]
        write_folds(config, folder, places, folder)
        say(f"report: {folder.report}")
        say(f"result: {folder.result}")
    except KeyboardInterrupt:
        say(f"all folds go on with: {resume_command(folder.path)}")
        raise
    finally:
        folder.release()


def fold_folder(folder: RunFolder, number: int) -> RunFolder:
    """The folder of fold 1, 2, …"""
    return RunFolder(folder.path / f"fold-{number}")


def fold_configs(config: Config, folder: RunFolder) -> list[Config]:
    """Each fold as a run of its own, on the walk-forward's market and ledger."""
    single = replace(config, resume="", walk_forward=WalkForwardConfig())
    data = MarketData(single, folder, EVER)
    periods = fold_periods(data.builder.days(), config.periods, config.walk_forward)
    market: MarketConfig = replace(
        config.market, store=store_url(config, folder), synthetic="", parameters={}
    )
    return [replace(single, market=market, periods=fold) for fold in periods]


def write_folds(config: Config, run: RunFolder, folds: list[RunFolder], target: RunFolder) -> None:
    """Write ``result.json`` and ``report.html`` of all folds, from theirs, into ``target``.

    run: the walk-forward's folder. ApexError when a fold tested nothing.
    """
    results = [fold.read_json(fold.result) for fold in folds]
    joint = joined(config, run, folds, results)
    result = result_of_folds(config, results, joint)
    target.write_json(target.result, result)
    target.write_text(target.report, page_of_folds(config, joint, folds, result["notes"]))


def page_of_folds(
    config: Config, joint: WalkForward, folds: Sequence[RunFolder], notes: Sequence[str]
) -> str:
    """``report.html`` of all folds."""
    division = config.walk_forward
    return render_walk_forward(
        joint,
        f"{config.name}: {config.market.primary}, walk-forward",
        {
            "market": f"{config.market.primary}, beside it {config.market.reference or 'none'}",
            "folds": f"{division.folds}, each trained from scratch on its past",
            "seed": str(config.seed),
            "costs": costs_text(config.trading),
            "instrument": f"{config.trading.instrument}, actions {config.trading.action_set}",
        },
        notes,
        train_command(config),
        {fold.path.name: str(fold.report) for fold in folds},
    )


def result_of_folds(
    config: Config, results: Sequence[Mapping[str, Any]], joint: WalkForward
) -> dict[str, Any]:
    """``result.json`` of all folds, from theirs."""
    return {
        "experiment": config.name,
        "seed": config.seed,
        "runtime": config.runtime,
        "market": config.market.primary,
        "synthetic": results[0]["synthetic"],
        "schema": results[0]["schema"],
        "backtest": joint.figures,
        "walk_forward": {
            "folds": [to_plain(_without_days(fold)) for fold in joint.folds],
            "gained": joint.gained,
            "days": joint.days,
            "daily": joint.daily,
        },
        "evaluation": {"sharpe": to_plain(joint.sharpe), "bootstrap": to_plain(joint.bootstrap)},
        "notes": list(dict.fromkeys(note for result in results for note in result["notes"])),
    }


def joined(
    config: Config, folder: RunFolder, folds: list[RunFolder], results: list[dict[str, Any]]
) -> WalkForward:
    """The folds together, deflated by the trials of the ledger."""
    trials = distinct(ledger_of(config, folder).trials(config.market.primary))
    sharpes = [annual_sharpe(np.expm1(np.array(trial.daily))) for trial in trials]
    made = [_fold(fold, result) for fold, result in zip(folds, results, strict=True)]
    return combine(
        made, sharpes, max(len(trials), 1), config.evaluation.draws, random_of(config, _PART)
    )


def _fold(folder: RunFolder, result: dict[str, Any]) -> FoldResult:
    found = result["evaluation"]
    if found is None:
        raise ApexError(f"{folder.path} tested nothing: its result has no evaluation")
    periods = result["periods"]
    return FoldResult(
        folder.path.name, periods["agent"], periods["validation"], periods["test"],
        result["backtest"], np.array(found["days"], np.int64),
        {name: np.array(values, np.float64) for name, values in found["daily"].items()},
    )  # fmt: skip


def _without_days(fold: FoldResult) -> FoldResult:
    """The row of the fold table; the days are given once, for all."""
    return replace(fold, days=np.zeros(0, np.int64), daily={})


def _open(config: Config, folder: RunFolder) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    if not config.resume and any(folder.path.glob("fold-*")):
        raise ApexError(
            f"{folder.path} holds folds of a walk-forward test: continue it with "
            f"resume={folder.path}, or choose another hydra.run.dir"
        )
    folder.claim()


def _check_finished(folder: RunFolder, folds: Sequence[Config]) -> None:
    """ApexError when a fold that ended was made with other settings than its like now."""
    for number, fold in enumerate(folds, 1):
        place = fold_folder(folder, number)
        if not place.result.is_file():
            continue
        saved = load_config(place)
        # where it ran and what was logged is not what it learned
        like = replace(fold, runtime=saved.runtime, cluster=saved.cluster, wandb=saved.wandb)
        if made := changes(like, saved):
            raise ApexError(
                f"fold {number} ended with {' '.join(made)}: folds of different settings are no "
                "walk-forward test. Resume without the changes, or begin one in another folder"
            )
