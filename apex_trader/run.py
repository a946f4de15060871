"""A run in a notebook: its configuration, metrics, states with column names, and backtests.

import apex_trader
run = apex_trader.load_run("runs/quickstart/…")
run.result["backtest"]["agent"]
run.metrics("learner")                        # a data frame, indexed by its step axis
run.state_at("2024-01-06T12:00:00")           # 15,798 named market features
run.backtest(**{"trading.fee": 0.0005})       # records and figures
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from apex_trader.errors import ApexError
from apex_trader.evaluation.record import Record
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent, Judgement, judge
from apex_trader.runtime.load_agent import load_agent
from apex_trader.runtime.market_data import CnnRows, MarketData, tables_with_cnn
from apex_trader.runtime.metrics import STEP_AXES
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.segment import Segment
from apex_trader.time import day_start, format_time, parse_time


class Run:
    """A finished or running run's folder.

    Raises ApexError when the folder holds no run.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = RunFolder.open(path)
        self.config: Config = load_config(self.folder)
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
        """A group's metrics ("actors", "learner", …), indexed by its step axis."""
        if group not in STEP_AXES:
            raise ApexError(f"there is no group {group!r}: choose of {', '.join(STEP_AXES)}")
        lines = self.folder.metrics.read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["group"] == group]
        frame = pd.DataFrame(rows).drop(columns=["group", "step"], errors="ignore")
        return frame.set_index(STEP_AXES[group]) if rows else frame

    @cached_property
    def data(self) -> MarketData:
        """The run's market: store, periods, segments."""
        return MarketData(self.config, self.folder)

    @cached_property
    def agent(self) -> Agent:
        """The best checkpoint's network weights and extractor."""
        return load_agent(self.folder, self.data.schema)

    def state_at(self, t: str | int, mirror: bool = False) -> pd.Series:
        """The state at decision time ``t`` (ISO text or µs UTC), named; missing features are 0.

        Its ``attrs`` hold the time, the coverage of each block, whether it can be decided on, and
        the extractor's version. ApexError when ``t`` is no decision time of a day that there is.
        """
        micros = parse_time(t) if isinstance(t, str) else int(t)
        segment, tables = self._day(day_start(micros))
        row = int(np.searchsorted(segment.decisions.ts, micros))
        if row == segment.rows or segment.decisions.ts[row] != micros:
            nearest = segment.decisions.ts[max(row - 1, 0)]
            step = self.data.schema.decision_interval / 1e6
            raise ApexError(
                f"{format_time(micros)} is no decision time: they are multiples of {step:g} s; "
                f"the last one before it is {format_time(nearest)}"
            )
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

    def backtest(self, period: str = "test", **overrides: Any) -> dict[str, Any]:
        """Run the agent and the baselines over a period of the run: {"records", "figures"}.

        overrides: settings of the run by dotted name, such as ``**{"trading.fee": 0.0005}``.
        """
        config = load_config(self.folder, [f"{k}={v}" for k, v in overrides.items()])
        data = self.data if config == self.config else MarketData(config, self.folder)
        days = getattr(data.periods, period, None)
        if not isinstance(days, tuple) or not days:
            raise ApexError(f"the run has no days for {period!r}")
        judgement: Judgement = judge(config, data, self.agent, data.numbers(days), data.trading)
        records: dict[str, Record] = {record.name: record for record in judgement.records}
        return {"records": records, "figures": pd.DataFrame(judgement.figures)}

    def _day(self, day: int) -> tuple[Segment, MarketTables]:
        if self._tables is None or self._tables[0] != day:
            segment = self.data.builder.build(day)
            cnn = CnnRows(self.agent.extractor)
            rows = [cnn.of(segment)]
            tables = tables_with_cnn([segment], self.data.schema, rows, cnn.version)
            self._tables = (day, segment, tables)
        return self._tables[1], self._tables[2]
