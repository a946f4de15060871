"""Pivots → state and reward: one structure, the same in the table, the potential and the bonus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from actors.potentials import Potentials
from apex_trader.errors import ApexError
from apex_trader.experience import Sample
from apex_trader.runtime.audit.findings import Probe
from apex_trader.runtime.audit.pipeline import Pipeline
from apex_trader.runtime.audit.update import update_effect
from apex_trader.runtime.audit.walk import walk
from apex_trader.state.pivots import confirmed_trend
from apex_trader.state.schema import PIVOT_COLUMNS
from apex_trader.trading.rewards import PIVOT, TERMS

GROUP = "pivots"
_OFF = "its weight is 0 in the configuration"


def probe_pivots(line: Pipeline, sample: Sample) -> Iterator[Probe]:
    """Pivot table → trend → potential of actors and learner; pivot events → bonus."""
    yield _trend(line)
    weight = line.config.reward.pivot_potential
    if weight == 0.0:
        yield Probe(GROUP, "trend → potential", "–", "off", _OFF)
    else:
        yield _actors(line)
        yield _learner(line, sample)
    if line.config.reward.pivot_bonus == 0.0:
        yield Probe(GROUP, "pivots → bonus", "–", "off", _OFF)
    else:
        yield _bonus(line)


def _trend(line: Pipeline) -> Probe:
    """The trend that the reward uses is the one that the state's pivots show."""
    segment, connection = line.segment, "pivots → trend"
    trend = segment.decisions.trend[line.rows]
    distinct = len(np.unique(segment.decisions.trend))
    effect = f"{distinct} different values in a day"
    if "pivots" in segment.tables:
        last = segment.decisions.row["1m"][line.rows]
        shown = confirmed_trend(segment.tables["pivots"][last])
        same = np.allclose(shown, trend, atol=1e-6)
        note = "the reward's trend is not that of the state's pivot table"
    else:
        same, note = True, ""
    held = line.tables.trend[torch.from_numpy(line.rows)].numpy()
    if not np.array_equal(held, trend):
        same, note = False, "the tables hold another trend than the segment"
    if distinct < 2:
        same, note = False, "the trend never changes"
    return Probe.judged(GROUP, connection, effect, same, note)


def _actors(line: Pipeline) -> Probe:
    tables = line.own_tables
    potentials = Potentials(tables, line.run.rollout.reward)
    position = line.account[:, 0]
    before = potentials.pivot(line.rows, position)
    kept = tables.trend.clone()
    tables.trend.neg_()
    try:
        change = float(np.abs(potentials.pivot(line.rows, position) - before).mean())
    finally:
        tables.trend.copy_(kept)
    return Probe.judged(
        GROUP, "trend → potential, actors", f"mean |ΔΦ| {change:.2e} when turned round",
        change > 0, "the actors' priorities do not contain the potential of the trend",
    )  # fmt: skip


def _learner(line: Pipeline, sample: Sample) -> Probe:
    learner, trend = line.run.learner, line.run.learner.arena.tables.trend
    known, kept = update_effect(learner, sample), trend.clone()
    trend.neg_()
    try:
        change, _ = update_effect(learner, sample).differs(known)
    finally:
        trend.copy_(kept)
    return Probe.judged(
        GROUP, "trend → TD error, learner", f"mean Δ|TD| {change:.2e} when turned round",
        change > 0, "the learner's target does not contain the potential of the trend",
    )  # fmt: skip


def _bonus(line: Pipeline) -> Probe:
    """Highs made lows: the bonus goes to other positions, and nothing else changes."""
    rollout = line.run.rollout
    path, connection = rollout.market.path, "pivots → bonus"
    if not len(path.events):
        return _no_events(line, connection)
    events = path.events.copy().view(np.recarray)
    events.kind *= -1
    args = (rollout.trading, rollout.reward, line.config.seed)
    base, turned = walk(path, *args).terms, walk(replace(path, events=events), *args).terms
    others = np.delete(np.arange(len(TERMS)), PIVOT)
    if not np.array_equal(base[..., others], turned[..., others]):
        raise ApexError("pivots change reward terms that are not theirs")
    change = float((base[..., PIVOT] != turned[..., PIVOT]).mean())
    return Probe.judged(
        GROUP, connection, f"{len(path.events)} pivots; {change:.2%} of steps change when turned",
        change > 0, "no reward follows the pivots that are confirmed",
    )  # fmt: skip


def _no_events(line: Pipeline, connection: str) -> Probe:
    """No pivot is confirmed on the path: for want of one, or although the state shows them."""
    table, names = line.segment.tables.get("pivots"), [c.name for c in PIVOT_COLUMNS]
    shown = 0 if table is None else len(np.unique(table[:, names.index("l2_p1_price")]))
    if shown > 1:
        note = "the state shows pivots of level 2, the reward knows of none"
        return Probe(GROUP, connection, f"{shown} pivots of level 2 in the state", "hole", note)
    note = "no pivot of level 2 or more is confirmed in these days"
    return Probe(GROUP, connection, "–", "warning", note)
