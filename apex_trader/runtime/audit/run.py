"""The whole audit, in order: columns, then the pipeline and each of its connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from apex_trader.errors import ApexError
from apex_trader.runtime.audit import columns
from apex_trader.runtime.audit.blocks import probe_blocks
from apex_trader.runtime.audit.experience import Experience, collect, first_sample, probe_replay
from apex_trader.runtime.audit.extractor import probe_cnn
from apex_trader.runtime.audit.findings import Findings, Probe
from apex_trader.runtime.audit.pipeline import Pipeline
from apex_trader.runtime.audit.rewards import probe_potentials, probe_rewards
from apex_trader.runtime.audit.structure import probe_pivots
from apex_trader.runtime.audit.weights import probe_weights
from apex_trader.runtime.config import Config
from apex_trader.runtime.market_data import MarketData
from apex_trader.state.schema import ACCOUNT_SIZE
from apex_trader.state.segment import Segment

Say = Callable[[str], None]

#: CNN rows whose columns are judged.
_CNN_ROWS = 4096


@dataclass(frozen=True)
class Audit:
    """What is audited: a configuration, its market, and how to set up its pipeline.

    days: segments whose columns are judged. build: makes the pipeline, on days of its own. notes:
    what a reader must know.
    """

    config: Config
    data: MarketData
    days: Iterable[Segment]
    build: Callable[[], Pipeline]
    notes: tuple[str, ...] = ()

    def run(self, say: Say) -> Findings:
        """Judge columns, then perturb every connection.

        Raises ApexError when the input cannot be used. A pipeline that cannot be built from a
        state with holes is a hole itself.
        """
        say("columns of the state")
        parts = [columns.audit_tables(self.days, self.config, self.data.schema)]
        probes: list[Probe] = []
        try:
            say("setting up the pipeline")
            line = self.build()
        except ApexError as error:
            if not any(flaw.status == "hole" for flaw in parts[0].flaws):
                raise
            probes = [Probe("pipeline", "columns → pipeline", "–", "hole", str(error))]
        else:
            more, probes = _connections(line, say)
            parts += more
        return self._findings(columns.joined(parts, columns.base_schema(self.config)), probes)

    def _findings(self, found: columns.Columns, probes: list[Probe]) -> Findings:
        required = columns.base_schema(self.config)
        return Findings(
            self.config.name, self.data.schema.name, required.market_size, ACCOUNT_SIZE,
            found.blocks, found.flaws, tuple(probes), found.lacking, self.notes,
        )  # fmt: skip


def _connections(line: Pipeline, say: Say) -> tuple[list[columns.Columns], list[Probe]]:
    say("a short rollout")
    experience = collect(line)
    states = line.states(line.own_tables)
    size = columns.check_size(line.data.schema, states.shape[1])
    parts = [
        columns.audit_cnn(line.data.schema, line.tables, _decided(line)),
        columns.audit_account(experience.transitions),
        columns.Columns((), tuple(size), ()),
    ]
    probes: list[Probe] = []
    for name, group in _groups(line, experience):
        say(f"connections: {name}")
        probes += _guarded(name, group)
    return parts, probes


def _groups(
    line: Pipeline, experience: Experience
) -> Iterator[tuple[str, Callable[[], Iterator[Probe]]]]:
    """The probes in order; those that change the parts for good come last."""
    yield "cnn", lambda: probe_cnn(line)
    yield "reward", lambda: probe_rewards(line)
    sample = first_sample(line)
    yield "blocks", lambda: probe_blocks(line, sample)
    yield "potentials", lambda: probe_potentials(line, sample)
    yield "pivots", lambda: probe_pivots(line, sample)
    yield "replay", lambda: probe_replay(line, experience)
    yield "weights", lambda: probe_weights(line, first_sample(line))


def _guarded(name: str, group: Callable[[], Iterator[Probe]]) -> list[Probe]:
    """All probes of a group; one that a part refuses is a hole, and ends the group."""
    found = []
    try:
        for probe in group():
            found.append(probe)
    except ApexError as error:
        found.append(Probe(name, f"{name}: probe refused", "–", "hole", str(error)))
    return found


def _decided(line: Pipeline) -> np.ndarray:
    """Decidable rows of the actors' tables, at most _CNN_ROWS of them, evenly spread."""
    rows = np.flatnonzero(line.run.rollout.market.path.startable)
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _CNN_ROWS)).astype(np.int64)]
