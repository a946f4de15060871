"""Judge a run's agent on a period under the simulator's fills and costs, with a report.

    python -m apex_trader.backtest run=runs/eth_full/…                      # its test days
    python -m apex_trader.backtest run=DIR period=validation
    python -m apex_trader.backtest run=DIR from=2024-08-08 to=2024-08-10
    python -m apex_trader.backtest run=DIR trading.fee=0.0005 execution.latency=2
    python -m apex_trader.backtest run=DIR market.primary=binance:ETHUSDT from=2024-08-08
    python -m apex_trader.backtest run=DIR checkpoint=latest out=DIR

run         the run's folder; of a walk-forward test, every fold is judged on its own test days
period      test (default), calibration, validation, agent or extractor, as the run divided them
from, to    dates of a period of its own instead; to is the day after the last (default: all)
checkpoint  best (on validation, the default), latest, or a name such as step-002000
out         where report.html and result.json go (default: a new folder in DIR/backtests)
Any setting of the run can be changed as name=value, as in train, but for those of training alone.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.calibration import confidence_of
from apex_trader.runtime.command import run_command
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.display import Display
from apex_trader.runtime.judge import (
    IN_SAMPLE,
    JUDGE_STEPS,
    Agent,
    Judgement,
    result_of,
)
from apex_trader.runtime.load_agent import check_agent, load_agent
from apex_trader.runtime.market_data import EVER, MarketData, prepare_store
from apex_trader.runtime.periods import PERIODS, days_text
from apex_trader.runtime.report import write_report
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.summary import print_summary
from apex_trader.runtime.verdict import verdict
from apex_trader.runtime.walk_forward import fold_configs, fold_folder, write_folds
from apex_trader.runtime.words import split_words
from apex_trader.time import DAY, format_date, parse_time

#: Groups of settings that only training and trading know: here they would change nothing.
_ELSEWHERE = (
    "rollout", "replay", "learner", "pretrain", "cluster", "stream", "exchange", "trade", "risk",
)  # fmt: skip


@dataclass
class Request:
    """What the user asked for; see the module's help."""

    run: str = ""
    period: str = "test"
    checkpoint: str = "best"
    out: str = ""
    start: str = ""
    end: str = ""
    overrides: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, arguments: list[str]) -> Request:
        """From the command line. Raises ApexError for what is not understood."""
        own = {"run": "run", "period": "period", "checkpoint": "checkpoint", "out": "out",
               "from": "start", "to": "end"}  # fmt: skip
        words, overrides = split_words(arguments, own, _ELSEWHERE)
        request = cls(**{own[word]: value for word, value in words.items()}, overrides=overrides)
        request._check()
        return request

    def _check(self) -> None:
        if not self.run:
            raise ConfigError("run", self.run, "the folder of a run, run=DIR")
        if self.period not in PERIODS:
            raise ConfigError("period", self.period, f"one of {', '.join(PERIODS)}")

    @property
    def span(self) -> tuple[int, int] | None:
        """(from, to) in µs when a period of its own was given."""
        if not self.start and not self.end:
            return None
        start = parse_time(self.start) if self.start else EVER[0]
        end = parse_time(self.end) if self.end else EVER[1]
        if end <= start:
            raise ConfigError("to", self.end, f"a day after from={self.start}")
        return start, end


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    sys.exit(run_command(lambda: _run(sys.argv[1:])))


def _run(arguments: list[str]) -> None:
    request = Request.parse(arguments)
    folder = RunFolder.open(request.run)
    config = load_config(folder, request.overrides)
    check_agent(load_config(folder), config)
    out = Path(request.out).expanduser() if request.out else _new_folder(folder, request)
    _check_out(out)
    if config.walk_forward.folds:
        _judge_folds(config, folder, request, out)
    else:
        _judge_run(config, folder, request, out)


def _judge_run(config: Config, folder: RunFolder, request: Request, out: Path) -> None:
    display = Display(f"backtest · {folder.path}")
    try:
        judgement = backtest(config, folder, request, out, display)
    finally:
        display.close({})
    print_summary(display.say_table, RunFolder(out), judgement.figures, _title(judgement))


def _judge_folds(config: Config, folder: RunFolder, request: Request, out: Path) -> None:
    """Judge every fold of a walk-forward test on its own test days, in a folder each of ``out``."""
    if request.span is not None or request.period != "test":
        raise ApexError(
            f"{folder.path} is a walk-forward test, judged on its folds' test days; for another "
            f"period give one of its folds, run={fold_folder(folder, 1).path}"
        )
    judged = []
    for number, fold in enumerate(fold_configs(config, folder), 1):
        place = fold_folder(folder, number)
        RunFolder.open(place.path)
        _judge_run(fold, place, request, fold_folder(RunFolder(out), number).path)
        judged.append(fold_folder(RunFolder(out), number))
    result = RunFolder(out)
    write_folds(config, folder, judged, result)
    print(f"all folds: {result.result}")


def backtest(
    config: Config, folder: RunFolder, request: Request, out: Path, display: Display
) -> Judgement:
    """Judge and write ``result.json`` and ``report.html`` into ``out``; nothing else is touched."""
    torch.set_num_threads(config.train.threads)
    prepare_store(config, folder, display.say)
    display.phase("backtest", JUDGE_STEPS)
    data = MarketData(config, folder, request.span)
    agent = load_agent(folder, data.schema, request.checkpoint)
    days = data.periods.test if request.span else data.periods.days(request.period)
    confidence = confidence_of(config, data, agent, data.trading, folder)
    judgement = verdict(
        config, data, agent, folder, data.numbers(days), "backtest", display.advance, confidence
    )
    _write(out, config, data, agent, judgement, folder)
    display.advance(JUDGE_STEPS)
    return judgement


def _write(
    out: Path, config: Config, data: MarketData, agent: Agent, judgement: Judgement, run: RunFolder
) -> None:
    target = RunFolder(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_report(target, config, data, agent, judgement, run)
        target.write_json(target.result, result_of(config, data, agent, judgement))
    except OSError as error:
        raise ApexError(f"out={out} cannot be written: {error.strerror or error}") from None


def _check_out(out: Path) -> None:
    """ApexError before any work when the results cannot be written, or would be a run's own."""
    if RunFolder(out).config.exists():
        raise ApexError(
            f"out={out} holds a run, whose own result and report are there: choose another folder"
        )
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise ApexError(f"out={out} cannot be written: choose another folder")


def _title(judgement: Judgement) -> str:
    """The days that were judged, and whether the run had used some of them before."""
    seen = any(note.startswith(IN_SAMPLE) for note in judgement.notes)
    days = days_text([segment.day for segment in judgement.segments])
    return f"{days}, {'IN SAMPLE in part: see the report' if seen else 'out of sample'}"


def _new_folder(folder: RunFolder, request: Request) -> Path:
    span = request.span
    name = request.period
    if span is not None:
        last = request.end and format_date(span[1] - DAY)
        name = "_".join(filter(None, (request.start and format_date(span[0]), last)))
    return folder.path / "backtests" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{name}"


if __name__ == "__main__":
    main()
