"""What a run notes in the ledger: itself as a trial, and each look at days that it had not used."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.evaluation.assessment import log_returns, path_days
from apex_trader.evaluation.ledger import Ledger, Touch, Trial
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.sharpe import annual_sharpe
from apex_trader.evaluation.statistics import MIN_DAYS
from apex_trader.runtime.compose import plain
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import store_url
from apex_trader.runtime.periods import Periods, days_text
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.time import format_time
from apex_trader.trading.path import MarketPath

#: Settings that change where, when and how watched a run is, not what it learns.
_ELSEWHERE = frozenset({
    "name", "seed", "runtime", "resume", "periods", "walk_forward", "evaluation", "confidence",
    "cluster", "wandb", "exchange", "stream", "trade", "risk",
})  # fmt: skip
#: How a note begins that test days were looked at before.
SEEN = "SEEN BEFORE"


def ledger_of(config: Config, folder: RunFolder) -> Ledger:
    """The ledger of a run: the configured one, or that of its market store."""
    if config.evaluation.ledger:
        return Ledger(config.evaluation.ledger)
    return Ledger.of_store(store_url(config, folder))


def configuration_hash(config: Config) -> str:
    """Of all settings that what is learned depends on, but for seed and days."""
    values: dict[str, Any] = {k: v for k, v in plain(config).items() if k not in _ELSEWHERE}
    values["market"] = {k: v for k, v in values["market"].items() if k != "store"}
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def trial_id(folder: RunFolder, make: bool = False) -> str:
    """The run's own, for good; ``make`` gives it one. The folder's name where it has none."""
    path = folder.path / "trial.json"
    if path.is_file():
        return str(folder.read_json(path)["id"])
    if not make:
        return folder.path.name
    made = uuid.uuid4().hex
    folder.write_json(path, {"id": made})
    return made


def trial_of(
    config: Config,
    folder: RunFolder,
    periods: Periods,
    validation: Record | None,
    path: MarketPath | None,
) -> Trial:
    """The run as a trial; validation: the chosen agent's record of a path of the days that chose
    its checkpoint, None where none did."""
    days, daily = np.zeros(0, np.int64), np.zeros(0)
    if validation is not None and path is not None:
        days = path_days(path)
        daily = log_returns(validation, days)
    used = (*periods.extractor, *periods.agent)
    return Trial(
        id=trial_id(folder, make=True),
        market=config.market.primary,
        experiment=config.name,
        run=str(folder.path),
        configuration=configuration_hash(config),
        seed=config.seed,
        trained=(min(used), max(used)),
        days=tuple(int(day) for day in days),
        daily=tuple(float(value) for value in daily),
    )


@dataclass(frozen=True)
class Looks:
    """Earlier looks at the days that are judged. ledger: where they are noted; trials: of the
    market; touches: of days that are judged; notes: what a reader must know."""

    ledger: Ledger
    trials: list[Trial]
    touches: list[Touch]
    notes: list[str]

    def describe(self) -> dict[str, Any]:
        """For machines."""
        return {
            "trials": len(self.trials),
            "touches_before": [
                {"time": format_time(t.time), "who": t.who, "run": t.run, "command": t.command,
                 "days": days_text(sorted(t.days)), "net_return": t.net_return}
                for t in self.touches
            ],
        }  # fmt: skip


def look(config: Config, folder: RunFolder, days: Sequence[int], used: Sequence[int]) -> Looks:
    """What the ledger knows before ``days`` (µs) are judged; used: those of them that the run
    itself was made with, which are no test."""
    ledger, market = ledger_of(config, folder), config.market.primary
    trials = ledger.trials(market)
    unseen = sorted(set(days) - set(used))
    touches = ledger.touches(market, unseen)
    notes = []
    if touches:
        shared = sorted(set(unseen) & {day for touch in touches for day in touch.days})
        notes.append(
            f"{SEEN}: {days_text(shared)} of the {len(days)} judged had been looked at "
            f"{len(touches)} time{'s' * (len(touches) != 1)} before, first by {touches[0].who} on "
            f"{format_time(touches[0].time)[:16]} UTC ({touches[0].run}): what was chosen since "
            "then may have been chosen for them."
        )
    if ledger.unreadable:
        notes.append(f"{ledger.unreadable} entries of the ledger {ledger.url} cannot be read.")
    return Looks(ledger, trials, touches, notes)


def note_touch(
    looks: Looks,
    config: Config,
    folder: RunFolder,
    checkpoint: str,
    record: Record,
    used: Sequence[int],
    command: str,
) -> list[str]:
    """Note that a record's days were looked at; a note where they could not be."""
    days, daily = record.daily_returns()
    unseen = sorted(set(days.tolist()) - set(used))
    if not unseen:
        return []
    ratio = annual_sharpe(daily) if len(daily) >= MIN_DAYS else math.nan
    touch = Touch(
        trial=trial_id(folder), run=str(folder.path), checkpoint=checkpoint,
        market=config.market.primary, days=tuple(unseen), command=command,
        net_return=float(record.equity[-1] - 1.0),
        sharpe=ratio if math.isfinite(ratio) else None, fee=config.trading.fee,
    )  # fmt: skip
    return _add(looks.ledger, touch)


def note_trial(ledger: Ledger, trial: Trial) -> list[str]:
    """Note a trial; a note where that is not possible."""
    return _add(ledger, trial)


def _add(ledger: Ledger, entry: Trial | Touch) -> list[str]:
    try:
        ledger.add(entry)
    except (ApexError, OSError) as error:
        return [
            f"Not in the ledger {ledger.url}: {error}. Later results will not know of this one; "
            "set evaluation.ledger to a place that can be written."
        ]
    return []
