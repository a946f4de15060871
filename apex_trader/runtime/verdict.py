"""A judgement that goes on record: the ledger is asked before, and told after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from apex_trader.evaluation.confidence.confidence import Calibrated, Uncalibrated
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent, Judgement, account_on, judge
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trials import ledger_of, look, note_touch, note_trial, trial_of


def verdict(
    config: Config,
    data: MarketData,
    agent: Agent,
    folder: RunFolder,
    numbers: Sequence[int],
    command: str,
    advance: Callable[[float], None] = lambda done: None,
    confidence: Calibrated | Uncalibrated | None = None,
) -> Judgement:
    """``judge`` on segments by number, as ``command``; the look is noted for days that are a test.

    folder: of the agent's run.
    """
    days = [data.registry.days[number] for number in numbers]
    used = [day for part, known in agent.days.items() if part != "test" for day in known]
    looks = look(config, folder, days, used)
    judgement = judge(config, data, agent, numbers, data.trading, advance, confidence, looks.trials)
    record = judgement.records[0]
    failed = note_touch(looks, config, folder, agent.checkpoint, record, used, command)
    notes = [*judgement.notes, *looks.notes, *failed]
    return replace(judgement, notes=notes, looks=looks)


def record_trial(config: Config, data: MarketData, agent: Agent, folder: RunFolder) -> list[str]:
    """Note a finished run in the ledger, with the chosen agent's account on the days that chose it;
    a note where that is not possible."""
    numbers = data.numbers(data.periods.validation)
    path, record = None, None
    if numbers:
        path, record = account_on(config, data, agent, numbers, data.trading)
    trial = trial_of(config, folder, data.periods, record, path)
    return note_trial(ledger_of(config, folder), trial)
