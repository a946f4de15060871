"""A run in a notebook: its configuration, metrics, states with column names, and backtests.

import apex_trader
run = apex_trader.load_run("runs/quickstart/…")
run.result["backtest"]["agent"]
run.metrics("learner")                        # a data frame, indexed by its step axis
run.state_at("2024-01-06T12:00:00")           # 15,798 named market features
run.backtest(**{"trading.fee": 0.0005})       # records, figures and what to know about them
run.backtest(start="2024-08-08", end="2024-08-10")
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from apex_trader.errors import ApexError, ConfigError
from apex_trader.evaluation.record import Record
from apex_trader.runtime.calibration import confidence_of
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.load_agent import check_agent, load_agent
from apex_trader.runtime.market_data import (
    EVER,
    CnnRows,
    MarketData,
    prepare_store,
    tables_with_cnn,
)
from apex_trader.runtime.metrics import STEP_AXES
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.verdict import verdict
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.segment import Segment
from apex_trader.time import day_start, format_date, format_time, parse_time

#: A time: ISO text, a date, datetime or stamp of pandas or numpy; without a zone it is UTC. A whole
#: number is µs UTC.
Time = str | int | date | np.datetime64


class Run:
    """A finished or running run's folder.

    overrides: settings by dotted name that differ from the run's own here, such as
    ``**{"market.store": "/data/market"}`` where the store has moved.
    Raises ApexError when the folder holds no run.
    """

    def __init__(self, path: str | Path, **overrides: Any) -> None:
        self.folder = RunFolder.open(Path(path).expanduser())
        self._overrides = _dotlist(overrides)
        self.config: Config = load_config(self.folder, self._overrides)
        check_agent(load_config(self.folder), self.config)
        self._tables: tuple[int, Segment, MarketTables] | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r}, {self.config.name}, seed {self.config.seed})"

    @property
    def result(self) -> dict[str, Any]:
        """``result.json``. ApexError while the run has not finished."""
        if not self.folder.result.is_file():
            raise ApexError(f"{self.folder.path} has no result yet: the run has not finished")
        result: dict[str, Any] = self.folder.read_json(self.folder.result)
        return result

    def metrics(self, group: str) -> pd.DataFrame:
        """A group's metrics ("actors", "learner", …), indexed by its step axis.

        Empty while there is none. Raises ApexError for a group that does not exist.
        """
        if group not in STEP_AXES:
            raise ApexError(f"there is no group {group!r}: choose of {', '.join(STEP_AXES)}")
        rows = [row for row in self.folder.readings() if row["group"] == group]
        axis = STEP_AXES[group]
        frame = pd.DataFrame(rows or {axis: []}).drop(columns=["group", "step"], errors="ignore")
        return frame.set_index(axis)

    @cached_property
    def data(self) -> MarketData:
        """The run's market: store, periods, segments."""
        return _market(self.config, self.folder, None)

    @cached_property
    def agent(self) -> Agent:
        """The best checkpoint's network weights and extractor."""
        return load_agent(self.folder, self.data.schema)

    @cached_property
    def days(self) -> tuple[int, ...]:
        """Starts (µs) of all days of the market that states can be built for."""
        return tuple(self.data.builder.days())

    def state_at(self, t: Time, mirror: bool = False) -> pd.Series:
        """The state at decision time ``t``, named; missing features are 0.

        t: see ``Time``. Its ``attrs`` hold the time, the coverage of each block, whether it can be
        decided on, and the extractor's version. ApexError when ``t`` is no decision time of a day
        that there is.
        """
        micros = to_micros(t)
        segment, tables = self._day(self._known_day(micros))
        row = int(np.searchsorted(segment.decisions.ts, micros))
        if row == segment.rows or segment.decisions.ts[row] != micros:
            raise ApexError(self._no_decision(micros, segment.decisions.ts, row))
        state = gather(tables, torch.tensor([row]), torch.tensor([mirror]))[0]
        series = pd.Series(state.numpy(), index=self.data.schema.columns, name=format_time(micros))
        coverage = segment.decisions.coverage[row]
        series.attrs = {
            "time": micros,
            "decidable": bool(segment.decisions.decidable[row]),
            "coverage": dict(
                zip((b.name for b in self.data.schema.blocks), map(float, coverage), strict=True)
            ),
            "extractor": tables.cnn_version,
        }
        return series

    def backtest(
        self,
        period: str = "test",
        *,
        start: Time | None = None,
        end: Time | None = None,
        checkpoint: str = "best",
        **overrides: Any,
    ) -> dict[str, Any]:
        """Run the agent and the baselines: {"records", "figures", "notes"}.

        period: of the run: "test", "validation", "agent" or "extractor". start, end: the first day
        and the day after the last of a period of its own instead; either may be left out.
        checkpoint: "best", "latest", or its name. overrides: settings of the run by dotted name,
        such as ``**{"trading.fee": 0.0005}``. notes: what a reader of the figures must know, such
        as days that the run was trained on. Raises ApexError or ConfigError, as the command does.
        """
        config = load_config(self.folder, [*self._overrides, *_dotlist(overrides)])
        check_agent(self.config, config)
        span = span_of(start, end)
        own = config == self.config and span is None
        data = self.data if own else _market(config, self.folder, span)
        days = data.periods.test if span else data.periods.days(period)
        if checkpoint == "best" and data.schema == self.data.schema:
            agent = self.agent
        else:
            agent = load_agent(self.folder, data.schema, checkpoint)
        confidence = confidence_of(config, data, agent, data.trading, self.folder)
        judgement = verdict(
            config, data, agent, self.folder, data.numbers(days), "notebook", confidence=confidence
        )
        records: dict[str, Record] = {record.name: record for record in judgement.records}
        figures = pd.DataFrame(judgement.figures)
        return {"records": records, "figures": figures, "notes": judgement.notes}

    def _known_day(self, micros: int) -> int:
        """Start of a time's day. ApexError when no state can be built on it."""
        day = day_start(micros)
        if day not in self.days:
            first, last = format_date(self.days[0]), format_date(self.days[-1])
            raise ApexError(
                f"{format_time(micros)}: {self.config.market.primary} has no states on that day; "
                f"it has {first} to {last} ({len(self.days)} days)"
            )
        return day

    def _no_decision(self, micros: int, times: np.ndarray, row: int) -> str:
        step = self.data.schema.decision_interval / 1e6
        near = " and ".join(format_time(t) for t in times[max(row - 1, 0) : row + 1])
        return (
            f"{format_time(micros)} is no decision time: they are multiples of {step:g} s, the "
            f"nearest {near}"
        )

    def _day(self, day: int) -> tuple[Segment, MarketTables]:
        if self._tables is None or self._tables[0] != day:
            segment = self.data.builder.build(day)
            cnn = CnnRows(self.agent.extractor)
            rows = [cnn.of(segment)]
            tables = tables_with_cnn([segment], self.data.schema, rows, cnn.version)
            self._tables = (day, segment, tables)
        return self._tables[1], self._tables[2]


def to_micros(t: Time) -> int:
    """µs UTC of a time in any of its forms. Raises ApexError when it is none."""
    if isinstance(t, str):
        return parse_time(t)
    if isinstance(t, int | np.integer) and not isinstance(t, bool):
        return _in_range(int(t))
    if not isinstance(t, date | np.datetime64) or pd.isna(t):
        raise ApexError(
            f"{t!r} is not a time: give ISO text such as '2024-08-08T23:54:15', a datetime, a "
            "pandas or numpy stamp (UTC where no zone is said), or a whole number of µs"
        )
    try:
        stamp = pd.Timestamp(t)
        stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
        return int(stamp.as_unit("us", round_ok=False).asm8.view(np.int64))
    except (ValueError, OverflowError):
        raise ApexError(f"{t} cannot be a time of the market: give one in whole µs") from None


def span_of(start: Time | None, end: Time | None) -> tuple[int, int] | None:
    """(from, to) in µs of a period of its own; None when neither is given. ConfigError if empty."""
    if start is None and end is None:
        return None
    first = EVER[0] if start is None else to_micros(start)
    last = EVER[1] if end is None else to_micros(end)
    if last <= first:
        raise ConfigError("to", str(end), f"a day after from={start}")
    return first, last


def _in_range(micros: int) -> int:
    try:
        format_time(micros)
    except (ValueError, OverflowError, OSError):
        raise ApexError(f"{micros} is no time in µs since 1970 (UTC)") from None
    return micros


def _market(config: Config, folder: RunFolder, span: tuple[int, int] | None) -> MarketData:
    prepare_store(config, folder)
    return MarketData(config, folder, span)


def _dotlist(overrides: Mapping[str, Any]) -> list[str]:
    """Settings as the command line writes them; text stays as it is, but for the empty one."""
    return [
        f"{name}={(value or repr('')) if isinstance(value, str) else json.dumps(value)}"
        for name, value in overrides.items()
    ]
