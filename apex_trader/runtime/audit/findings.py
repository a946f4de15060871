"""What an audit finds: blocks of the state, flaws of columns, probes of connections."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: ok: the effect was seen. warning: nothing to see in what was sampled, or a matter of taste.
#: off: switched off by the configuration. hole: it should be there and is not.
Status = Literal["ok", "warning", "off", "hole"]


@dataclass(frozen=True)
class Probe:
    """One connection, perturbed.

    group: what it belongs to. connection: "cause → effect". effect: what was measured, with its
    unit. note: why it is not ok, and what to do.
    """

    group: str
    connection: str
    effect: str
    status: Status
    note: str = ""

    @classmethod
    def judged(cls, group: str, connection: str, effect: str, holds: bool, note: str) -> Probe:
        """Ok when ``holds``, else a hole with its note."""
        return cls(group, connection, effect, "ok" if holds else "hole", "" if holds else note)


@dataclass(frozen=True)
class BlockRow:
    """One block of the state. required = delivered + cannot_provide + features in holes.

    required, delivered, cannot_provide: features (columns × window rows). clip_share: the worst
    column's, ``clip_column``; NaN where nothing was clipped or judged. coverage: mean share of its
    windows' rows that are there when something is decided.
    """

    name: str
    required: int
    delivered: int
    cannot_provide: int
    coverage: float
    clip_share: float
    clip_column: str

    @property
    def missing(self) -> int:
        """Features that should be delivered and are not."""
        return self.required - self.delivered - self.cannot_provide


@dataclass(frozen=True)
class Flaw:
    """One column, or block, that is not what it should be."""

    column: str
    reason: str
    status: Status


@dataclass(frozen=True)
class Findings:
    """Everything that an audit found.

    market_size: features of the market part that the schema requires. lacking: "block.column" names
    that the source cannot provide. notes: what a reader must know, e.g. of a minimal extractor.
    """

    experiment: str
    schema: str
    market_size: int
    account_size: int
    blocks: tuple[BlockRow, ...]
    flaws: tuple[Flaw, ...]
    probes: tuple[Probe, ...]
    lacking: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def holes(self) -> list[str]:
        """Every hole in one line each."""
        found = [f"{f.column}: {f.reason}" for f in self.flaws if f.status == "hole"]
        found += [f"{p.connection}: {p.note}" for p in self.probes if p.status == "hole"]
        return found

    @property
    def delivered(self) -> int:
        """Market features delivered."""
        return sum(block.delivered for block in self.blocks if block.name != "account")

    @property
    def cannot_provide(self) -> int:
        """Market features that the source cannot provide."""
        return sum(block.cannot_provide for block in self.blocks if block.name != "account")

    def closing(self) -> str:
        """The one line that says it all."""
        return (
            f"{self.market_size:,} market features required, {self.delivered:,} delivered, "
            f"{self.cannot_provide:,} cannot be provided by this source{self._lacking()}, "
            f"{self.account_size} account features: {self._verdict()}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``audit.json``."""
        return {
            "experiment": self.experiment, "schema": self.schema,
            "required": self.market_size, "delivered": self.delivered,
            "cannot_provide": self.cannot_provide, "account": self.account_size,
            "lacking": list(self.lacking), "holes": self.holes, "closing": self.closing(),
            "blocks": [{**asdict(b), "missing": b.missing} for b in self.blocks],
            "flaws": [asdict(f) for f in self.flaws],
            "probes": [asdict(p) for p in self.probes],
            "notes": list(self.notes),
        }  # fmt: skip

    def _verdict(self) -> str:
        holes = len(self.holes)
        if not holes:
            return "no hole"
        return f"{holes} hole{'s' if holes > 1 else ''}"

    def _lacking(self) -> str:
        if not self.lacking:
            return ""
        blocks = Counter(name.partition(".")[0] for name in self.lacking)
        return f" ({', '.join(f'{n} of {b}' for b, n in blocks.items())})"
