"""What a report is made of: records and figures of a judgement, and what other parts found out.

Whatever is None was not found out; the report leaves its section out and says why in a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apex_trader.evaluation.assessment import Assessment
from apex_trader.evaluation.confidence.confidence import Uncalibrated
from apex_trader.evaluation.confidence.judgement import ConfidenceJudgement
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.report.market_view import MarketView
from apex_trader.evaluation.walk_forward import WalkForward

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Seed:
    """The same run with another seed, judged on the same days.

    figures: policy → ``summarize``. days [d] µs, daily [d]: net return of each day, where known.
    """

    seed: int
    figures: Mapping[str, Mapping[str, float]]
    days: I64 | None = None
    daily: F64 | None = None


@dataclass(frozen=True)
class Look:
    """An earlier judgement of some of the same days: when (UTC), by whom, of which run, with which
    command, on which days, and its net return."""

    time: str
    who: str
    run: str
    command: str
    days: str
    net_return: float


@dataclass(frozen=True)
class History:
    """What the ledger held before this judgement.

    trials: training runs on this market. touches: earlier looks at some of the same days, as far as
    they were no part of the run that looked, the oldest first. ledger: where it lies.
    """

    trials: int
    touches: Sequence[Look]
    ledger: str


@dataclass(frozen=True)
class Band:
    """Pointwise 95% band of an account's return since the start, at the end of each of d days."""

    days: I64
    low: F64
    high: F64
    draws: int


@dataclass(frozen=True)
class Reproduction:
    """How to get these figures again.

    commands: title → what to type. configuration: the resolved configuration, YAML. versions: of
    programs and of the data judged.
    """

    commands: Mapping[str, str]
    configuration: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    figures: policy → its ``summarize``. records: the agent first, the gated agent if there is one,
    then the baselines. notes: sentences that a reader must not miss (synthetic data, …). facts:
    the run in a few words (market, period, costs, extractor version …). training: group → frame of
    its metrics, indexed by its step axis. coverage: block → (required, delivered, cannot be
    provided) columns of the state. assumed: (fee an order, latency in seconds)
    of all figures but those of the cost and latency curves.
    """

    title: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    records: Sequence[Record]
    figures: Mapping[str, Mapping[str, float]]
    actions: Sequence[str]
    training: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    coverage: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    assumed: tuple[float, float] | None = None
    market: MarketView | None = None
    band: Band | None = None
    confidence: ConfidenceJudgement | Uncalibrated | None = None
    assessment: Assessment | None = None
    walk_forward: WalkForward | None = None
    seeds: Sequence[Seed] = ()
    history: History | None = None
    reproduction: Reproduction | None = None

    @property
    def agent(self) -> Record:
        """What the report is about."""
        return self.records[0]
