"""Train an agent: pretrain the CNN, roll out, learn, checkpoint, judge, report.

    python -m apex_trader.train +experiment=quickstart            # minutes, on a synthetic market
    python -m apex_trader.train +experiment=eth_minutes market.store=DIR
    python -m apex_trader.train +experiment=eth_full    market.store=DIR
    python -m apex_trader.train resume=runs/…                     # go on where a run stopped
    python -m apex_trader.train +experiment=eth_minutes walk_forward.folds=3 market.store=DIR
    python -m apex_trader.train +experiment=quickstart runtime=serial seed=1
    python -m apex_trader.train -m +experiment=quickstart seed=1,2,3

Any setting can be changed as name=value; ``--cfg job`` prints them all.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import hydra
import torch
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from apex_trader.evaluation.confidence.confidence import Calibrated, Uncalibrated
from apex_trader.runtime.calibration import calibrate_agent, save_confidence
from apex_trader.runtime.command import run_command
from apex_trader.runtime.compose import (
    CONF,
    check_overrides,
    load_config,
    register,
    sweep_first,
    typed,
)
from apex_trader.runtime.config import Config, check_blocks
from apex_trader.runtime.judge import JUDGE_STEPS, Agent, result_of
from apex_trader.runtime.live_market import keep_store_days
from apex_trader.runtime.load_agent import load_agent
from apex_trader.runtime.market_data import MarketData, prepare_store
from apex_trader.runtime.parts import check_arena
from apex_trader.runtime.report import write_report
from apex_trader.runtime.resume import check_resumable
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session
from apex_trader.runtime.summary import print_summary
from apex_trader.runtime.verdict import record_trial, verdict
from apex_trader.runtime.walk_forward import walk_forward


def main() -> None:
    """The command."""
    register()
    sys.argv[1:] = sweep_first(sys.argv[1:])
    job = hydra.main(version_base=None, config_path=str(CONF), config_name="config")(_job)
    code = run_command(lambda: check_overrides(sys.argv[1:]))
    if code:
        sys.exit(code)
    job()


def _job(composed: DictConfig) -> None:
    """What Hydra runs, once or for each point of a sweep."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    overrides = list(hydra_config.overrides.task)
    group = _sweep_group(hydra_config)
    code = run_command(lambda: train(_resolve(composed, overrides, group), RunFolder(folder)))
    if code:
        with suppress(OSError):
            folder.rmdir()  # empty: nothing was begun in it
        sys.exit(code)


def _sweep_group(hydra_config: HydraConf) -> str:
    """W&B's group of the runs of a sweep, where none is given; empty for a single run."""
    if hydra_config.mode != RunMode.MULTIRUN:
        return ""
    place = Path(hydra_config.sweep.dir)
    return f"{place.parent.name}/{place.name}"


def _resolve(composed: DictConfig, overrides: list[str], group: str = "") -> Config:
    """The run's configuration; when resuming, the old run's with the given changes on top.

    group: W&B's, for a new run that names none.
    """
    config = typed(composed)
    if not config.resume:
        wandb = replace(config.wandb, group=config.wandb.group or group)
        return replace(config, wandb=wandb)
    own = ("resume=", "+experiment=", "experiment=", "hydra")
    changes = [o for o in overrides if not o.startswith(own)]
    saved = load_config(RunFolder.open(config.resume), changes)
    return replace(saved, resume=config.resume)


def train(config: Config, folder: RunFolder) -> None:
    """Run the whole pipeline in ``folder``: from the market to result.json and report.html."""
    check_blocks(config)
    if config.resume:
        folder = RunFolder.open(config.resume)
        check_resumable(load_config(folder), config)
    if config.walk_forward.folds:
        walk_forward(config, folder, train)
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    prepare_store(config, folder)
    if config.rollout.source == "stream":
        config = keep_store_days(config, folder)
    data = MarketData(config, folder)
    if config.agent == "apex":
        check_arena(config, data.schema, len(data.periods.agent))
    with Session(config, folder, data.schema) as session:
        for name, text in data.periods.describe().items():
            session.display.say(f"{name:>11}: {text}")
        _run(config, data, session)
        finish(config, data, session)


def _run(config: Config, data: MarketData, session: Session) -> None:
    if config.agent == "rllib_dqn":
        from apex_trader.runtime.ray_rllib_run import RllibRun

        RllibRun(config, data, session).run()
        return
    match config.runtime, config.rollout.source:
        case "serial", "stream":
            from apex_trader.runtime.stream_run import StreamRun

            StreamRun(config, data, session).run()
        case "serial", _:
            from apex_trader.runtime.serial import SerialRun

            SerialRun(config, data, session).run()
        case _, "stream":
            from apex_trader.runtime.ray_stream_run import RayStreamRun

            RayStreamRun(config, data, session).run()
        case _:
            from apex_trader.runtime.ray_cluster import RayRun

            RayRun(config, data, session).run()


def finish(config: Config, data: MarketData, session: Session) -> None:
    """Judge the best checkpoint on the test days; write result.json and report.html."""
    numbers = data.numbers(data.periods.test)
    agent = load_agent(session.folder, data.schema)
    torch.set_num_threads(config.train.threads)
    confidence = _calibrate(config, data, agent, session)
    for note in record_trial(config, data, agent, session.folder):
        session.display.say(note)
    if not numbers:
        session.finish(result_of(config, data, agent, None))
        session.display.say("no report: periods.test leaves no day to judge the run on")
        return
    display = session.display
    display.phase("backtest on the test days", JUDGE_STEPS)
    judgement = verdict(
        config, data, agent, session.folder, numbers, "train", display.advance, confidence
    )
    display.advance(JUDGE_STEPS)
    session.finish(result_of(config, data, agent, judgement))
    session.show(write_report(session.folder, config, data, agent, judgement))
    print_summary(session.display.say_table, session.folder, judgement.figures)


def _calibrate(
    config: Config, data: MarketData, agent: Agent, session: Session
) -> Calibrated | Uncalibrated:
    """The agent's confidence, kept in the run's folder."""
    if data.periods.calibration:
        session.display.say("calibrating confidence …")
    confidence = calibrate_agent(config, data, agent, data.trading)
    if isinstance(confidence, Calibrated):
        save_confidence(session.folder, confidence)
    return confidence


if __name__ == "__main__":
    main()
