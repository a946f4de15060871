"""A run is a folder: resolved configuration, checkpoints, metrics, report, final figures."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from apex_trader.errors import ApexError


class RunFolder:
    """Paths of a run and its small files, written whole or not at all.

    config.yaml      the resolved configuration
    checkpoints/     see ``learner.checkpoint``
    extractors/      frozen extractors, one file a version
    confidence/      calibrated confidence, one file a checkpoint (``runtime.calibration``)
    segments.json    the run's registry of market segments
    metrics.jsonl    every metric, one line a reading
    resumed.json     settings that were changed when it was resumed, where some were
    report.html      the backtest's report
    result.json      the final figures, for machines
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: IO[str] | None = None

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run. Raises ApexError when there is none at ``path``."""
        folder = cls(path)
        if not folder.config.is_file():
            hint = "" if folder.path.exists() else " (the folder does not exist)"
            raise ApexError(
                f"{path} holds no run{hint}: give the folder that "
                "`python -m apex_trader.train` printed, the one with config.yaml in it"
            )
        return folder

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def extractors(self) -> Path:
        """Folder of frozen extractors."""
        return self.path / "extractors"

    @property
    def segments(self) -> Path:
        """The registry of market segments."""
        return self.path / "segments.json"

    @property
    def resumed(self) -> Path:
        """Settings that were changed when the run was resumed."""
        return self.path / "resumed.json"

    @property
    def metrics(self) -> Path:
        """Every metric, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def report(self) -> Path:
        """The backtest's report."""
        return self.path / "report.html"

    @property
    def result(self) -> Path:
        """The final figures."""
        return self.path / "result.json"

    def create(self) -> None:
        """Make the folder. Raises ApexError when a run is there already, or is beginning there.

        A run that ended before its first checkpoint has nothing to continue from: its metrics are
        removed and the folder is used again.
        """
        if self.config.exists() and self.has_checkpoint():
            raise ApexError(
                f"{self.path} holds a run already: continue it with resume={self.path}, "
                "or choose another hydra.run.dir"
            )
        for folder in (self.path, self.checkpoints, self.extractors):
            folder.mkdir(parents=True, exist_ok=True)
        self.claim()
        for left in (self.metrics, self.resumed, self.report, self.result):
            left.unlink(missing_ok=True)

    def has_checkpoint(self) -> bool:
        """Whether there is something to resume from."""
        return self.checkpoints.is_dir() and any(self.checkpoints.glob("step-*"))

    def claim(self) -> None:
        """Hold the folder until ``release``, or until this process ends, however it ends.

        Raises ApexError when another run holds it.
        """
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ApexError(
                f"another run is beginning or going on in {self.path}: wait for its end, or "
                "choose another hydra.run.dir"
            ) from None
        except OSError:
            pass  # a file system without locks

    def release(self) -> None:
        """Let the folder go, to be resumed in this process or another."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write_text(self, path: Path, text: str) -> None:
        """Write a file so that it is there whole or as it was."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def write_json(self, path: Path, value: Any) -> None:
        """Write JSON; numbers that JSON lacks (NaN, infinity) become null."""
        self.write_text(path, json.dumps(_plain(value), indent=2) + "\n")

    def readings(self) -> list[dict[str, Any]]:
        """Every complete reading of the metrics so far; a run that goes on may be writing one."""
        if not self.metrics.is_file():
            return []
        text = self.metrics.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def read_json(self, path: Path) -> Any:
        """The content of one of the folder's JSON files."""
        return json.loads(path.read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value
