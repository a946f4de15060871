"""Every block → state → Q → loss, each shown by putting another time's rows in its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actors.policy import BatchedPolicy
from apex_trader.experience import Sample
from apex_trader.runtime.audit.findings import Probe
from apex_trader.runtime.audit.pipeline import Pipeline
from apex_trader.runtime.audit.shift import cnn_columns, shifted, shifted_block
from apex_trader.runtime.audit.update import UpdateEffect, update_effect
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import ACCOUNT_SIZE, Block
from apex_trader.time import CLOCKS
from apex_trader.trading.account import ACCOUNT_COLUMNS

F32 = NDArray[np.float32]
Bool = NDArray[np.bool_]
GROUP = "blocks"


def probe_blocks(line: Pipeline, sample: Sample) -> Iterator[Probe]:
    """Each block of the schema, and the account, to state, Q and loss."""
    base = line.own_tables
    states = line.states(base)
    q = _q(line, base)
    reached = _reached(line, states)
    known = update_effect(line.run.learner, sample)
    noise = update_effect(line.run.learner, sample).differs(known)
    for block in line.data.schema.blocks:
        if _is_declared(line, block):
            note = "this source cannot provide the block"
            yield Probe(GROUP, f"{block.name} → state, Q, loss", "–", "off", note)
            continue
        tables = perturbed_tables(line, block)
        yield _state_probe(line, block, tables, states)
        place = line.data.schema.offsets[block.name]
        yield _q_probe(block.name, _q(line, tables) - q, reached[place])
        with shifted_block(line.run.learner.arena.tables, block):
            effect = update_effect(line.run.learner, sample).differs(known)
        yield _loss_probe(block.name, effect, noise)
    yield from _account_probes(line, sample, known, noise)


def perturbed_tables(line: Pipeline, block: Block) -> MarketTables:
    """Tables of the probed segment with another time's rows in one block."""
    segment, cnn = line.segment, line.run.cnn_rows(line.number)
    if block.clock in CLOCKS:
        moved = {**segment.tables, block.name: shifted(segment.tables[block.name])}
        tables = line.tables_of(replace(segment, tables=moved), None)
        tables.cnn, tables.cnn_version = line.own_tables.cnn, line.own_tables.cnn_version
        return tables
    assert cnn is not None
    cnn, columns = cnn.copy(), cnn_columns(block)
    cnn[..., columns] = shifted(cnn[..., columns])
    return line.tables_of(segment, cnn)


def _is_declared(line: Pipeline, block: Block) -> bool:
    lacking = set(line.segment.cannot_provide)
    return all(f"{block.name}.{column.name}" in lacking for column in block.columns)


def _q(line: Pipeline, tables: MarketTables) -> F32:
    return BatchedPolicy(line.run.rollout.policy.network, tables).q(line.rows, line.account)


def _reached(line: Pipeline, states: Tensor) -> Bool:
    """[market_size]: which features of the state change Q at all, by its gradient."""
    network = line.run.rollout.policy.network
    inputs = states.clone().requires_grad_(True)
    q = network(inputs, torch.from_numpy(line.account))
    # Unequal weights: the sum over actions would cancel the advantages.
    weight = torch.arange(1, q.shape[1] + 1, dtype=torch.float32)
    (gradient,) = torch.autograd.grad((q * weight).sum(), inputs)
    reached: Bool = (gradient != 0).any(0).numpy()
    return reached


def _state_probe(line: Pipeline, block: Block, tables: MarketTables, base: Tensor) -> Probe:
    name, place = block.name, line.data.schema.offsets[block.name]
    difference = (line.states(tables) != base).any(0).numpy()
    seen = difference[place].reshape(block.window, block.width)
    elsewhere = int(difference.sum() - seen.sum())
    expected = _expected(line, block, tables)
    lost = expected & ~seen
    rows = expected.any(1) & ~seen.any(1)
    silent = np.flatnonzero(expected.any(axis=0) & ~seen.any(axis=0)).tolist()
    columns = [block.columns[i].name for i in silent]
    effect = f"{seen.sum():,} of {block.size:,} features change, {elsewhere} elsewhere"
    note = ""
    if not seen.any():
        note = "nothing of the block's table arrives in the state"
    elif elsewhere:
        note = f"changes {elsewhere} features of other blocks"
    elif columns or rows.any():
        note = (
            f"{lost.sum():,} features do not follow the table: "
            f"{rows.sum()} rows of the window, columns {', '.join(columns[:5]) or 'none'}"
        )
    return Probe(GROUP, f"{name} → state", effect, "hole" if note else "ok", note)


def _expected(line: Pipeline, block: Block, tables: MarketTables) -> Bool:
    """[window, width]: which features should change, since the rows that they show did."""
    base, rows = line.own_tables, torch.from_numpy(line.rows)
    if block.clock not in CLOCKS:
        assert base.cnn is not None
        assert tables.cnn is not None
        columns = cnn_columns(block)
        moved = base.cnn[rows, 0, columns] != tables.cnn[rows, 0, columns]
        return moved.any(0, keepdim=True).numpy()
    age = torch.arange(block.window - 1, -1, -1)
    shown = age < base.valid[block.clock][rows, None]
    place = base.last[block.clock][rows, None] - age
    old, new = base.blocks[block.name][place], tables.blocks[block.name][place]
    moved = (old != new) & ~(old.isnan() & new.isnan()) & shown[..., None]
    return moved.any(0).numpy()


def _q_probe(name: str, change: F32, reached: Bool) -> Probe:
    effect = f"mean |ΔQ| {np.abs(change).mean():.2e}, {reached.sum():,} features have a gradient"
    note = ""
    if not np.abs(change).max() > 0:
        note = "no Q-value changes with it: the network does not read it"
    elif not reached.all():
        note = f"{(~reached).sum():,} features have no gradient: the network does not read them"
    return Probe(GROUP, f"{name} → Q", effect, "hole" if note else "ok", note)


def _loss_probe(name: str, effect: tuple[float, float], noise: tuple[float, float]) -> Probe:
    """Both must exceed what the same update gives twice (0 on the CPU, rounding on a GPU)."""
    holds = all(e > 10 * n for e, n in zip(effect, noise, strict=True))
    text = f"mean Δ|TD| {effect[0]:.2e}, gradient changes by {effect[1]:.1%}"
    return Probe.judged(
        GROUP, f"{name} → loss", text, holds, "the learner's loss or gradient does not follow it"
    )


def _account_probes(
    line: Pipeline, sample: Sample, known: UpdateEffect, noise: tuple[float, float]
) -> Iterator[Probe]:
    policy = BatchedPolicy(line.run.rollout.policy.network, line.own_tables)
    q, change, silent = policy.q(line.rows, line.account), [], []
    for k in range(ACCOUNT_SIZE):
        other = line.account.copy()
        other[:, k] = np.roll(other[:, k], 1)
        change.append(float(np.abs(policy.q(line.rows, other) - q).mean()))
        if change[-1] == 0.0:
            silent.append(ACCOUNT_COLUMNS[k])
    yield Probe.judged(
        GROUP, "account → Q", f"mean |ΔQ| of a column {min(change):.2e} … {max(change):.2e}",
        not silent, f"the network does not read {', '.join(silent)}",
    )  # fmt: skip
    rolled = replace(
        sample.transitions,
        account=np.roll(sample.transitions.account, 1, axis=0),
        next_account=np.roll(sample.transitions.next_account, 1, axis=0),
    )
    effect = update_effect(line.run.learner, replace(sample, transitions=rolled)).differs(known)
    yield _loss_probe("account", effect, noise)
