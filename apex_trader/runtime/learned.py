"""What learning beside a trader leaves in its folder: verdicts, and the weights that were adopted.

``learning.jsonl`` is the one truth about which weights trade: the last verdict that adopted some.
Their files are there before its line is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from apex_trader.errors import ApexError
from apex_trader.evaluation.confidence.confidence import Calibrated
from apex_trader.runtime.calibration import weights_digest
from apex_trader.runtime.run_folder import RunFolder


@dataclass(frozen=True)
class Verdict:
    """One judgement of new weights; a line of ``learning.jsonl``.

    time: of the market, where the judged parts end (ISO). candidate, updates: the new weights.
    against: those in use. parts, decisions: that both were judged on; since: where they begin.
    returns, others: net log returns of both (None where nothing was judged). t: see ``Comparison``.
    adopted: the candidate is in use from here on. reason: why or why not.
    """

    time: str
    candidate: str
    updates: int
    against: str
    parts: int
    decisions: int
    since: str
    returns: float | None
    others: float | None
    t: float | None
    adopted: bool
    reason: str


class Learned:
    """The files of learning beside a trader, in the trading run's folder ``path``.

    learning.jsonl            a verdict a line
    learning/adopted/         NAME.pt: weights; NAME.json: their calibrated confidence, where gated
    learning/                 the learner's own run: configuration, checkpoints, metrics, log.txt
    """

    def __init__(self, path: Path) -> None:
        self.verdicts_file = path / "learning.jsonl"
        self.run = path / "learning"
        self.adopted = self.run / "adopted"
        self.log = self.run / "log.txt"

    def verdicts(self) -> list[Verdict]:
        """All so far, in order; a line that is being written is not there yet."""
        if not self.verdicts_file.is_file():
            return []
        lines = self.verdicts_file.read_text(encoding="utf-8").splitlines(keepends=True)
        names = {field.name for field in fields(Verdict)}
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [Verdict(**{k: v for k, v in line.items() if k in names}) for line in found]

    def in_use(self) -> str:
        """Name of the newest adopted weights; "" while those of the run's checkpoint are used."""
        return next((v.candidate for v in reversed(self.verdicts()) if v.adopted), "")

    def add(self, verdict: Verdict) -> None:
        """Write a verdict down, safe on the disk."""
        self.verdicts_file.parent.mkdir(parents=True, exist_ok=True)
        with self.verdicts_file.open("a+b") as file:
            file.seek(0)
            whole = file.read()
            file.truncate(whole.rfind(b"\n") + 1)  # a line that a kill cut short
            file.write(json.dumps(asdict(verdict), allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def keep(self, name: str, weights: Mapping[str, Tensor], found: Calibrated | None) -> None:
        """Write weights that are going to be adopted, whole or not at all."""
        self.adopted.mkdir(parents=True, exist_ok=True)
        if found is not None:
            RunFolder(self.run).write_json(self._confidence(name), found.to_plain())
        temporary = self.adopted / f".{name}.{os.getpid()}"
        with temporary.open("wb") as file:
            torch.save({k: v.detach().cpu() for k, v in weights.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._weights(name))

    def weights(self, name: str) -> dict[str, Tensor]:
        """Adopted weights; data only, never code. ApexError when they cannot be read."""
        path = self._weights(name)
        try:
            found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ApexError(f"{path} cannot be read ({type(error).__name__}: {error})") from error
        if not name.endswith(weights_digest(found)[:_DIGITS]):
            raise ApexError(f"{path} holds other weights than its name says")
        return found

    def confidence(self, name: str) -> Calibrated | None:
        """Calibrated confidence of adopted weights; None where they were adopted without a gate."""
        path = self._confidence(name)
        if not path.is_file():
            return None
        try:
            values: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ApexError(f"{path} cannot be read ({error})") from error
        return Calibrated.from_plain(values, str(path))

    def _weights(self, name: str) -> Path:
        return self.adopted / f"{name}.pt"

    def _confidence(self, name: str) -> Path:
        return self.adopted / f"{name}.json"


#: Digits of a digest in a name.
_DIGITS = 8


def live_name(updates: int, weights: Mapping[str, Tensor]) -> str:
    """What journal and verdicts call weights: by the learner's updates and by their content."""
    return f"live-{updates:06d}-{weights_digest(weights)[:_DIGITS]}"


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Verdicts to be printed, one a row."""
    table = Table("until", "candidate", "against", "parts", "net", "others", "verdict", box=None)
    for v in verdicts:
        figures = ["" if value is None else f"{value:+.3%}" for value in (v.returns, v.others)]
        what = "adopted" if v.adopted else f"refused: {v.reason}"
        table.add_row(v.time, v.candidate, v.against, str(v.parts), *figures, what)
    return table
