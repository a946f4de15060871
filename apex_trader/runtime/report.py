"""The report of a judgement: what goes in, gathered from the run, and the page in its folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pandas as pd

from apex_trader.evaluation.report import ReportData, Section, render, sections_of
from apex_trader.evaluation.report.band import band_of
from apex_trader.evaluation.report.data import History, Look
from apex_trader.evaluation.report.market_view import market_view
from apex_trader.runtime.assess import random_of
from apex_trader.runtime.config import Config, ExecutionConfig
from apex_trader.runtime.judge import Agent, Judgement
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.metrics import STEP_AXES
from apex_trader.runtime.periods import days_text
from apex_trader.runtime.reproduction import reproduction
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.seeds import seeds_of
from apex_trader.runtime.trials import Looks
from apex_trader.state.coverage import BlockReport
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment
from apex_trader.time import format_time
from apex_trader.trading.actions import Actions
from apex_trader.trading.config import TradingConfig

#: Curves of the report, a panel each, where the run has them.
CURVES = (
    "learner/loss", "learner/td_mean", "learner/q_mean", "learner/grad_norm",
    "actors/episode_profit", "learner/policy_lag_mean", "replay/size",
    "replay/samples_per_insert", "pretrain/fit_loss", "pretrain/validation_loss", "eval/net_return",
    "eval/train_gap", "eval/q_overestimation",
)  # fmt: skip
#: What the report draws of the run's random numbers, beside the parts of ``assess``.
_BAND = 10


def write_report(
    folder: RunFolder,
    config: Config,
    data: MarketData,
    agent: Agent,
    judgement: Judgement,
    trained_in: RunFolder | None = None,
) -> list[Section]:
    """Write the page into ``folder``; its sections, for who shows them elsewhere.

    trained_in: the run that the agent comes from, ``folder`` by default.
    """
    page = report_of(config, data, agent, judgement, trained_in or folder)
    sections = sections_of(page)
    folder.write_text(folder.report, render(page, sections))
    return sections


def report_of(
    config: Config, data: MarketData, agent: Agent, judgement: Judgement, run: RunFolder
) -> ReportData:
    """Everything that a report shows of a judgement; run: whose agent was judged."""
    segments, record = judgement.segments, judgement.records[0]
    coverage = block_counts(judgement.coverage, data.schema, judgement.cnn)
    found = judgement.assessment
    block = found.bootstrap.block if found is not None else None
    return ReportData(
        title=f"{config.name}: {config.market.primary}",
        facts=facts(config, data, agent, segments),
        notes=judgement.notes,
        records=judgement.records,
        figures=judgement.figures,
        actions=Actions.of(config.trading).names,
        training=training_curves(run),
        coverage=coverage,
        assumed=(config.trading.fee, config.execution.latency),
        market=market_view(segments, data.schema, record),
        band=band_of(record, random_of(config, _BAND), block),
        confidence=judgement.confidence,
        assessment=found,
        seeds=seeds_of(run, config, data.periods, segments, judgement.figures),
        history=history_of(judgement.looks),
        reproduction=reproduction(config, data, agent, segments, run),
    )


def history_of(looks: Looks | None) -> History | None:
    """What the ledger knew before the judgement; None where it was not asked."""
    if looks is None:
        return None
    touches = [
        Look(format_time(t.time)[:16], t.who, t.run, t.command, days_text(sorted(t.days)),
             t.net_return)
        for t in looks.touches
    ]  # fmt: skip
    return History(len(looks.trials), touches, looks.ledger.url)


def block_counts(
    reports: Sequence[BlockReport], schema: Schema, cnn: bool
) -> dict[str, tuple[int, int, int]]:
    """Block → (required, delivered, cannot be provided) features, in the schema's order.

    cnn: whether CNN rows are there wherever a decision can be made.
    """
    by_name = {report.name: report for report in reports}
    counts = {}
    for block in schema.blocks:
        if block.name in by_name:
            columns = by_name[block.name].columns
            lacking = sum(c.cannot_provide for c in columns)
            there = sum(c.present > 0 for c in columns)
        else:
            lacking, there = 0, block.width if cnn else 0
        counts[block.name] = (block.size, there * block.window, lacking * block.window)
    return counts


def facts(
    config: Config, data: MarketData, agent: Agent, segments: Sequence[Segment]
) -> dict[str, str]:
    """The run in a few words."""
    made = " (SYNTHETIC)" if data.info.synthetic is not None else ""
    return {
        "market": f"{config.market.primary}{made}, beside it {config.market.reference or 'none'}",
        "judged on": f"{days_text([segment.day for segment in segments])} (UTC)",
        "trained on": data.periods.describe()["agent"],
        "extractor fitted on": data.periods.describe()["extractor"],
        "state": f"{data.schema.name}: {data.schema.market_size:,} market + 8 account features",
        "instrument": f"{config.trading.instrument}, actions {config.trading.action_set}",
        "costs": costs_text(config.trading),
        "fills": fills_text(config.execution, data.schema),
        "start": f"{config.trading.initial_equity:,.0f} in quote currency, exposure "
        f"{config.trading.exposure:g} × equity",
        "agent": f"{agent.checkpoint}, {agent.updates:,} updates, seed {config.seed}"
        + (f", learned by RLlib's DQN ({config.rllib.network})" if config.agent != "apex" else ""),
        "extractor": agent.extractor.version[:12] if agent.extractor else "none",
    }


def costs_text(trading: TradingConfig) -> str:
    """Every cost that is assumed, those that are assumed to be none as well."""
    slippage = f"{trading.slippage_bps:g} bp slippage" if trading.slippage_bps else "no slippage"
    funded = trading.funding and trading.instrument == "perpetual"
    funding = "funding as the market's data has it" if funded else "no funding"
    return f"fee {trading.fee:.4%} of each transaction's value, {slippage}, {funding}"


def fills_text(execution: ExecutionConfig, schema: Schema) -> str:
    """When an order trades."""
    if schema.fast_clock == "1s":
        return (
            f"first trade {execution.latency:g} s or more after the decision, none after "
            f"{execution.max_fill_wait:g} s more"
        )
    if execution.bar_fill == "this_open":
        return "the decision's own price: OPTIMISTIC"
    return f"open of the first {schema.fast_clock} bar {execution.latency:g} s after the decision"


def training_curves(folder: RunFolder) -> dict[str, pd.DataFrame]:
    """Group → its curves, indexed by the group's step axis."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for reading in folder.readings():
        rows[reading["group"]].append(reading)
    curves = {}
    for group, readings in rows.items():
        frame = pd.DataFrame(readings).set_index(STEP_AXES[group])
        names = [name for name in CURVES if name in frame.columns]
        if names:
            curves[group] = frame[names]
    return curves
