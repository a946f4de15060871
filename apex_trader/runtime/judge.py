"""The last word on a run: its best agent on the test days, beside the baselines, with a report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actors.evaluation import EncodedPolicy
from apex_trader.evaluation.assessment import Assessment
from apex_trader.evaluation.backtest import path_of
from apex_trader.evaluation.confidence.confidence import Calibrated, Uncalibrated
from apex_trader.evaluation.confidence.judgement import ConfidenceJudgement
from apex_trader.evaluation.encodings import Look
from apex_trader.evaluation.ledger import Trial
from apex_trader.evaluation.logistic import LogisticMarket
from apex_trader.evaluation.network_walk import Scenario
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.statistics import MIN_DAYS, summarize
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.models.flat import QNetwork
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.agent_walk import walk_agent
from apex_trader.runtime.assess import assess, learn_logistic, run_baselines, scenarios_of
from apex_trader.runtime.confidence import judged_confidence
from apex_trader.runtime.config import Config
from apex_trader.runtime.judged_market import StateCheck, read_market
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.parts import judged_network
from apex_trader.runtime.periods import days_text
from apex_trader.runtime.trials import Looks
from apex_trader.state.coverage import BlockReport
from apex_trader.state.segment import Segment
from apex_trader.time import format_date
from apex_trader.trading.config import TradingConfig
from apex_trader.trading.path import MarketPath

F64 = NDArray[np.float64]

#: Units of progress that ``judge`` counts, and those of them for the logistic regression's days,
#: for the days judged, and for the accounts.
JUDGE_STEPS, _LEARNING, _READING, _WALKING = 100.0, 10.0, 65.0, 5.0
#: Share of decisions below which a period is not said to have been judged in whole.
_WHOLE = 0.95
#: How the warning begins that days were used before they were judged.
IN_SAMPLE = "IN SAMPLE"
#: What a run uses the days of each part for, apart from the test.
_USES = {
    "extractor": "extractor", "agent": "agent", "validation": "choice of checkpoint",
    "calibration": "calibration of confidence",
}  # fmt: skip


@dataclass(frozen=True)
class Agent:
    """What is judged: network weights, the extractor that made its CNN columns, and their age.

    days: period of the run → its days (µs), as they were when the checkpoint was written. known:
    what it was taught that orders cost (``parts.order_costs``), whatever its account is charged;
    None for what the configuration says.
    """

    weights: Mapping[str, Tensor]
    extractor: FrozenExtractor | None
    updates: int
    checkpoint: str
    days: Mapping[str, Sequence[int]] = field(default_factory=dict)
    known: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Judgement:
    """The agent's and the baselines' records and figures under the same fills and costs.

    segments: those judged, in time order, ``lean``. coverage, cnn: what of their states was there,
    block by block, and whether CNN rows were wherever something could be decided. notes: sentences
    that a reader of the figures must not miss. confidence: what it was worth here,
    or why there is none; None where nobody asked. The gated agent is the second record then.
    assessment: what the figures are worth. looks: what the ledger knew of the days before; None
    where it was not asked.
    """

    records: list[Record]
    figures: dict[str, dict[str, float]]
    segments: list[Segment]
    coverage: tuple[BlockReport, ...]
    cnn: bool
    notes: list[str]
    confidence: ConfidenceJudgement | Uncalibrated | None = None
    assessment: Assessment | None = None
    looks: Looks | None = None


def judge(
    config: Config,
    data: MarketData,
    agent: Agent,
    numbers: Sequence[int],
    trading: TradingConfig,
    advance: Callable[[float], None] = lambda done: None,
    confidence: Calibrated | Uncalibrated | None = None,
    trials: Sequence[Trial] = (),
) -> Judgement:
    """Run agent and baselines over segments, one continuous account each, and assess them.

    advance: told how much is done, up to ``JUDGE_STEPS``. confidence: the agent's, judged as well,
    with a gated account. trials: of the ledger, this run's among them. Raises ApexError when
    nothing can be decided in the period.
    """
    network, check = network_of(config, data, agent), StateCheck(data.schema)
    training = agent.days.get("agent", data.periods.agent)
    with ThreadPoolExecutor(cores()) as pool:
        logistic = learn_logistic(config, data, training, agent.extractor, pool)
        advance(_LEARNING)
        expected = _Expected(logistic.model)
        segments, market = read_market(
            data, agent.extractor, network, numbers, pool, check, expected.look,
            lambda share: advance(_LEARNING + _READING * share),
        )  # fmt: skip
        with market:
            path = path_of(segments)
            scenarios = scenarios_of(config, data, path, trading)
            accounts = walk_agent(
                network, market, scenarios.accounts, config.reward, pool,
                lambda share: advance(_LEARNING + _READING + _WALKING * share),
            )  # fmt: skip
            judged: ConfidenceJudgement | Uncalibrated | None = None
            if isinstance(confidence, Calibrated):
                greedy = EncodedPolicy(network, market)
                judged = judged_confidence(config, trading, confidence, greedy, path)
            else:
                judged = confidence
    advance(_LEARNING + _READING + _WALKING)
    baselines = run_baselines(
        config, data, logistic, expected.moves(path), path, accounts[0], trading
    )
    records = [accounts[0], *baselines.records]
    if isinstance(judged, ConfidenceJudgement):
        records.insert(1, judged.record)
    figures = {record.name: summarize(record) for record in records}
    notes = [
        *in_sample(agent, [segment.day for segment in segments]),
        *data.notes(),
        *period_notes(segments, records[0]),
        *decision_notes(np.concatenate([s.decisions.decidable for s in segments])),
        *(judged.notes() if judged is not None else []),
        *baselines.notes,
    ]
    chosen_on = agent.days.get("validation", data.periods.validation)
    assessment = assess(config, path, scenarios, accounts, baselines, trials, chosen_on)
    return Judgement(
        records, figures, segments, check.report(), check.cnn, notes, judged, assessment
    )


def account_on(
    config: Config,
    data: MarketData,
    agent: Agent,
    numbers: Sequence[int],
    trading: TradingConfig,
) -> tuple[MarketPath, Record]:
    """The agent alone over segments, one continuous account. Errors as in ``judge``."""
    network = network_of(config, data, agent)
    with ThreadPoolExecutor(cores()) as pool:
        segments, market = read_market(data, agent.extractor, network, numbers, pool)
        with market:
            path = path_of(segments)
            scenario = Scenario("agent", path, trading)
            return path, walk_agent(network, market, [scenario], config.reward, pool)[0]


class _Expected:
    """What the logistic regression expects, written down as states pass by."""

    def __init__(self, model: LogisticMarket | None) -> None:
        self._model = model
        self._parts: dict[int, F64] = {}

    @property
    def look(self) -> Look | None:
        """For ``read_market``."""
        return self._look if self._model is not None else None

    def moves(self, path: MarketPath) -> F64 | None:
        """[n] at every row that a decision can be made at, elsewhere NaN; None without a model."""
        if self._model is None:
            return None
        found = np.full(len(path), np.nan)
        for first, part in self._parts.items():
            found[first : first + len(part)] = part
        found[~path.startable] = np.nan
        return found

    def _look(self, first: int, states: NDArray[np.float32]) -> None:
        assert self._model is not None
        self._parts[first] = self._model.expected(states)


def cores() -> int:
    """Stretches to encode at once: as many as there are cores left by torch, few enough that their
    states are small."""
    return max(1, min(4, len(os.sched_getaffinity(0)) // torch.get_num_threads()))


def network_of(config: Config, data: MarketData, agent: Agent) -> QNetwork:
    """The agent's network with its weights."""
    network = judged_network(config, data.schema, config.trading)
    network.load_state_dict(dict(agent.weights))
    if agent.known is not None and isinstance(network, DuelingQNetwork):
        network.known.copy_(torch.from_numpy(agent.known))
    return network


def result_of(
    config: Config, data: MarketData, agent: Agent, judgement: Judgement | None
) -> dict[str, Any]:
    """The run's ``result.json``: figures for machines. No judgement: there was no test day."""
    return {
        "experiment": config.name,
        "seed": config.seed,
        "runtime": config.runtime,
        "market": config.market.primary,
        "synthetic": data.info.synthetic is not None,
        "schema": {"name": data.schema.name, "market_size": data.schema.market_size,
                   "fingerprint": data.schema.fingerprint},
        "periods": data.periods.describe(),
        "agent": {"system": config.agent, "updates": agent.updates, "checkpoint": agent.checkpoint,
                  "extractor": agent.extractor.version if agent.extractor else None},
        "backtest": judgement.figures if judgement is not None else {},
        "evaluation": _assessment(judgement),
        "ledger": _looks(judgement),
        "confidence": _confidence(judgement),
        "notes": judgement.notes if judgement is not None else data.notes(),
    }  # fmt: skip


def _looks(judgement: Judgement | None) -> dict[str, Any] | None:
    """For machines: what the ledger knew of the days before they were judged."""
    looks = judgement.looks if judgement is not None else None
    return looks.describe() if looks is not None else None


def _assessment(judgement: Judgement | None) -> dict[str, Any] | None:
    """For machines: what the figures are worth."""
    found = judgement.assessment if judgement is not None else None
    return found.to_plain() if found is not None else None


def _confidence(judgement: Judgement | None) -> dict[str, Any] | None:
    """For machines: what confidence was worth, or why there is none."""
    judged = judgement.confidence if judgement is not None else None
    return judged.to_plain() if judged is not None else None


def in_sample(agent: Agent, days: Sequence[int]) -> list[str]:
    """A warning for each use that the agent's run made of some of ``days`` before."""
    notes = []
    for part, use in _USES.items():
        shared = sorted(set(days) & set(agent.days.get(part, ())))
        if shared:
            notes.append(
                f"{IN_SAMPLE}: this run used {days_text(shared)} of the {len(days)} judged, for "
                f"its {use}: the figures flatter."
            )
    return notes


def period_notes(segments: Sequence[Segment], record: Record) -> list[str]:
    """What a reader must know of the period and of the agent's record in it."""
    found = []
    if record.ruined:
        found.append(
            f"Ruined on {format_date(record.ts[-1])}: the agent's equity fell to "
            f"{record.equity[-1]:.1%} of its start, and it trades no more. Its figures a day are "
            "of the time until then."
        )
    days = len(record.daily_returns()[0])
    if days < MIN_DAYS:
        found.append(
            f"Judged on {days} day{'s' * (days != 1)}: not enough for annualised ratios, and "
            "chance weighs more than skill in every figure here."
        )
    return [*found, *_lacking_notes(segments)]


def decision_notes(decidable: NDArray[np.bool_]) -> list[str]:
    """A warning when a good part of the judged time [n decisions] allowed none."""
    share = float(decidable.mean())
    if share >= _WHOLE:
        return []
    return [
        f"Only {share:.1%} of the time judged could be traded: {decidable.sum():,} of "
        f"{len(decidable):,} decisions. Elsewhere there is no data, or too little before it."
    ]


def _lacking_notes(segments: Sequence[Segment]) -> list[str]:
    """What the source cannot provide; what it lacks on some days alone is said apart."""
    counts = Counter(name for segment in segments for name in segment.cannot_provide)
    always = sorted(name for name, days in counts.items() if days == len(segments))
    found = [f"The data source cannot provide: {', '.join(always)}."] if always else []
    for days in sorted(set(counts.values()) - {len(segments)}):
        names = ", ".join(sorted(name for name, count in counts.items() if count == days))
        found.append(
            f"On {days:,} of {len(segments):,} days the data source cannot provide: {names}."
        )
    return found
