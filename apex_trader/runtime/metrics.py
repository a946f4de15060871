"""Metrics of a run: grouped, each group on its own step axis, to several places at once.

A metric's name begins with its group. docs/metrics.md explains every one.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

#: Group → the metric that is its step axis.
STEP_AXES = {
    "actors": "actors/decisions",
    "replay": "replay/inserted",
    "learner": "learner/updates",
    "pretrain": "pretrain/step",
    "eval": "eval/updates",
    "system": "system/seconds",
    "stream": "stream/seconds_closed",
}


class Sink(Protocol):
    """Where metrics go."""

    def log(self, group: str, step: float, values: Mapping[str, float]) -> None:
        """Take one reading of a group; ``values`` include the group's step axis."""

    def close(self, summary: Mapping[str, Any]) -> None:
        """The run has ended; ``summary`` holds its final figures."""


class MetricsHub:
    """Checks names, groups them and passes them on. Keeps the latest value of each."""

    def __init__(self, sinks: list[Sink], seconds_before: float = 0.0) -> None:
        self.sinks = sinks
        self.latest: dict[str, float] = {}
        self._start = time.monotonic() - seconds_before

    @property
    def seconds(self) -> float:
        """Seconds of this run so far, earlier sittings included."""
        return time.monotonic() - self._start

    def log(self, values: Mapping[str, float]) -> None:
        """Log readings of any groups. Each group named must bring its step axis.

        Raises ValueError on a name outside the groups or a group without its axis.
        """
        groups: dict[str, dict[str, float]] = {}
        for name, value in values.items():
            group = name.partition("/")[0]
            if group not in STEP_AXES:
                raise ValueError(f"metric {name!r} is in none of the groups {sorted(STEP_AXES)}")
            groups.setdefault(group, {})[name] = float(value)
        if "system" in groups:
            groups["system"].setdefault(STEP_AXES["system"], self.seconds)
        for group, readings in groups.items():
            axis = STEP_AXES[group]
            if axis not in readings:
                raise ValueError(f"readings of {group!r} lack their step axis {axis!r}")
            self.latest.update(readings)
            for sink in self.sinks:
                sink.log(group, readings[axis], readings)

    def close(self, summary: Mapping[str, Any]) -> None:
        """End every sink."""
        for sink in self.sinks:
            sink.close(summary)


class JsonLines:
    """Appends every reading to a file, one JSON object a line; NaN becomes null."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def log(self, group: str, step: float, values: Mapping[str, float]) -> None:
        """See ``Sink.log``."""
        plain = {k: v if math.isfinite(v) else None for k, v in values.items()}
        line = {"time": round(time.time(), 3), "group": group, "step": step, **plain}
        self._file.write(json.dumps(line) + "\n")

    def close(self, summary: Mapping[str, Any]) -> None:
        """See ``Sink.close``."""
        self._file.close()


def rewind(path: Path, moment: float) -> None:
    """Drop the readings after a moment (epoch seconds): a run goes on from a checkpoint of then."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line)["time"] <= moment]
    if len(kept) < len(lines):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        temporary.replace(path)


class WandbSink:
    """Weights & Biases; offline when no API key is at hand, and never a prompt.

    resume_id: the id of the run to continue, or None. ``run_id`` is kept in checkpoints.
    """

    def __init__(
        self,
        folder: Path,
        *,
        project: str,
        name: str,
        group: str | None,
        tags: list[str],
        mode: str,
        config: Mapping[str, Any],
        resume_id: str | None = None,
    ) -> None:
        import wandb

        self._run = wandb.init(
            project=project,
            name=name,
            group=group,
            tags=tags,
            dir=str(folder),
            config=dict(config),
            mode=_wandb_mode(mode),  # type: ignore[arg-type]
            id=resume_id,
            resume="allow" if resume_id else None,
            settings=wandb.Settings(silent=True, console="off"),
        )
        for group_name, axis in STEP_AXES.items():
            self._run.define_metric(axis)
            self._run.define_metric(f"{group_name}/*", step_metric=axis)

    @property
    def run_id(self) -> str:
        """W&B's id of the run."""
        return str(self._run.id)

    def log(self, group: str, step: float, values: Mapping[str, float]) -> None:
        """See ``Sink.log``."""
        self._run.log({k: v for k, v in values.items() if math.isfinite(v)})

    def show(self, panels: Mapping[str, Any]) -> None:
        """Charts and tables (``wandb_panels``), beside the run's metrics."""
        self._run.log(dict(panels))

    def close(self, summary: Mapping[str, Any]) -> None:
        """See ``Sink.close``."""
        self._run.summary.update(dict(summary))
        self._run.finish()


def _wandb_mode(mode: str) -> str:
    """``auto``: online with credentials, offline without; WANDB_MODE has the last word."""
    if mode != "auto":
        return mode
    if os.environ.get("WANDB_MODE"):
        return os.environ["WANDB_MODE"]
    import wandb

    return "online" if wandb.login(prompt=False) else "offline"
