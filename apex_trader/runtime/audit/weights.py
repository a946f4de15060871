"""Loss → weights → target network and actors: what is learned is what acts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.experience import Sample
from apex_trader.runtime.audit.findings import Probe
from apex_trader.runtime.audit.pipeline import Pipeline
from apex_trader.state.gather import gather

F32 = NDArray[np.float32]
GROUP = "weights"
#: The learner may compute on another device than the actors.
_TOLERANCE = 1e-3


def probe_weights(line: Pipeline, sample: Sample) -> Iterator[Probe]:
    """One update: which weights learn; whether target and actors follow. Call it last."""
    learner, run = line.run.learner, line.run
    run.publish()
    before = {n: p.detach().clone() for n, p in learner.network.named_parameters()}
    target = [p.detach().clone() for p in learner.target.parameters()]
    acting = _acting(line)
    run.learn(sample)
    yield _learns(line, before)
    yield _target(line, target)
    waits = _acting(line)
    run.publish()
    yield _follows(line, acting, waits)


def _learns(line: Pipeline, before: dict[str, torch.Tensor]) -> Probe:
    still = [
        name for name, p in line.run.learner.network.named_parameters()
        if p.grad is None or not bool(p.grad.any()) or bool((p.detach() == before[name]).all())
    ]  # fmt: skip
    count = sum(p.numel() for p in before.values())
    return Probe.judged(
        GROUP, "loss → every weight", f"{len(before) - len(still)} of {len(before)} tensors learn, "
        f"{count:,} weights", not still, f"no gradient or no step: {', '.join(still[:4])}",
    )  # fmt: skip


def _target(line: Pipeline, before: list[torch.Tensor]) -> Probe:
    learner, connection = line.run.learner, "learner → target network"
    after = list(learner.target.parameters())
    change = max(float((a - b).abs().max()) for a, b in zip(after, before, strict=True))
    if (
        learner.config.target_update == "periodic"
        and learner.updates % learner.config.target_period
    ):
        note = f"copied every {learner.config.target_period} updates, none was due"
        return Probe(GROUP, connection, f"largest step {change:.1e}", "warning", note)
    return Probe.judged(
        GROUP, connection, f"largest step {change:.1e}", change > 0, "the target never moves"
    )


def _acting(line: Pipeline) -> F32:
    rows = line.rows  # of the first segment: the same rows in the actors' tables
    return line.run.rollout.policy.q(rows, line.account)


def _learned(line: Pipeline) -> F32:
    """Q-values of the learner's network for the same rows, from its own arena."""
    learner = line.run.learner
    rows = torch.from_numpy(line.rows + line.arena_row)
    device = learner.device
    with torch.no_grad():
        states = gather(learner.arena.tables, rows.to(device))
        q = learner.network(states, torch.from_numpy(line.account).to(device))
    out: F32 = q.float().cpu().numpy()
    return out


def _follows(line: Pipeline, before: F32, waits: F32) -> Probe:
    """Actors keep their weights until new ones are published, and then have the learner's."""
    after, learned = _acting(line), _learned(line)
    change = float(np.abs(after - before).max())
    error = float(np.abs(after - learned).max() / max(np.abs(learned).max(), 1e-12))
    rollout, publisher = line.run.rollout, line.run.publisher
    note = ""
    if not np.array_equal(before, waits):
        note = "the actors' weights changed before they were published"
    elif change == 0.0:
        note = "the actors' Q-values do not change when new weights are published"
    elif error > _TOLERANCE:
        note = f"the actors' Q-values differ from the learner's by {error:.1%}"
    elif rollout.policy.version != publisher.version:
        note = f"actors name version {rollout.policy.version}, published is {publisher.version}"
    effect = f"max |ΔQ| {change:.2e} after an update, {error:.0e} apart from the learner's"
    return Probe(GROUP, "weights → actors", effect, "hole" if note else "ok", note)
