"""One sitting of a run: its folder, metrics, display and checkpoints, the same for any runtime."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from apex_trader.errors import ApexError
from apex_trader.evaluation.report import Section
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.compose import load_config, plain, save_config
from apex_trader.runtime.config import Config
from apex_trader.runtime.display import Display
from apex_trader.runtime.metrics import JsonLines, MetricsHub, Sink, WandbSink, rewind
from apex_trader.runtime.periods import Periods
from apex_trader.runtime.progress import Progress
from apex_trader.runtime.resume import check_budget, record_changes, resume_command
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.stop import StopSignals
from apex_trader.runtime.wandb_panels import panels
from apex_trader.state.schema import Schema
from learner.checkpoint import Checkpoint, CheckpointManager, PendingCheckpoint, json_part
from learner.checkpoint_parts import Part

#: Counts that add up over shards; every other replay figure is averaged.
_SUMS = frozenset(
    f"replay/{name}" for name in (
        "size", "mass", "inserts", "samples", "deletes", "updates", "rejected_stale",
        "rejected_invalid", "rejected_inserts", "tagged", "insert_waits", "sample_waits",
        "drift_rebuilds",
    )
)  # fmt: skip
BEST_METRIC = "eval/net_return"
#: Seconds over which the rate of decisions is averaged.
RATE_WINDOW = 30.0


class Session:
    """Opens a new run's folder, or that of the run to resume, and everything written there.

    Use it as a context: an error or an interrupt closes the sinks as well.
    """

    def __init__(self, config: Config, folder: RunFolder, schema: Schema) -> None:
        self.config, self.folder, self._schema = config, folder, schema
        if config.resume:
            RunFolder.open(folder.path)
        else:
            folder.create()
            save_config(folder, config)
        self.checkpoints = CheckpointManager(str(folder.checkpoints.absolute()), config.train.keep)
        self._checkpoint = self._find_checkpoint() if config.resume else None
        facts = self._checkpoint.json("run.json") if self._checkpoint else {}
        #: How often the run was resumed.
        self.sitting: int = facts.get("sitting", 0) + 1 if self._checkpoint else 0
        if self._checkpoint is not None:
            # only now is it sure that the changed configuration can go on from there
            record_changes(folder, facts["updates"], load_config(folder), config)
            save_config(folder, replace(config, resume=""))
            rewind(folder.metrics, facts["time"])
        self.display = Display(f"{config.name} · {folder.path}")
        sinks: list[Sink] = [JsonLines(folder.metrics), self.display]
        self._wandb = self._open_wandb(facts.get("wandb_id"))
        if self._wandb is not None:
            sinks.append(self._wandb)
        self.metrics = MetricsHub(sinks, seconds_before=facts.get("seconds", 0.0))
        self._past: deque[tuple[float, int]] = deque()
        self._summary: dict[str, Any] = {}
        #: SIGINT and SIGTERM, in the session's context.
        self.stop = StopSignals()

    def __enter__(self) -> Session:
        self.stop.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop.restore()  # a signal ends even a sink that hangs
        try:
            self.metrics.close(self._summary)
        finally:
            self.folder.release()
            if isinstance(error, KeyboardInterrupt):
                self._say_how_to_go_on()

    def _say_how_to_go_on(self) -> None:
        names, folder = self.checkpoints.names(), self.folder.path
        if not names:
            self.display.say(f"stopped before the first checkpoint: begin anew in {folder}")
            return
        updates = int(names[-1].removeprefix("step-"))
        self.display.say(f"stopped; {folder} holds a checkpoint of update {updates:,}")
        self.display.say(f"go on with: {resume_command(folder)}")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``; its headline figures become W&B's summary."""
        self.folder.write_json(self.folder.result, dict(result))
        for policy, figures in result.get("backtest", {}).items():
            for name, value in figures.items():
                self._summary[f"backtest/{policy}/{name}"] = value

    def show(self, report: Sequence[Section]) -> None:
        """The report's charts and tables as W&B panels, where the run is logged there."""
        if self._wandb is not None:
            self._wandb.show(panels(report))

    def resumed(self) -> Checkpoint | None:
        """The checkpoint to go on from; None for a new run."""
        return self._checkpoint

    def store_extractor(self, extractor: FrozenExtractor) -> None:
        """Keep a frozen extractor in the run's folder."""
        extractor.save(self.folder.extractors / f"{extractor.version}.pt")

    def log_training(
        self,
        progress: Progress,
        actors: Sequence[Mapping[str, float]],
        shards: Sequence[Mapping[str, float]],
        learner: Mapping[str, float],
    ) -> None:
        """One reading of actors (all deliveries since the last), replay shards and learner.

        Of actors that delivered nothing, or a learner that did no update, there is no reading.
        """
        values = {
            **merge_shards(shards),
            "replay/inserted": float(progress.inserted),
            **learner,
            "system/seconds": self.metrics.seconds,
            "system/training_seconds": progress.seconds,
            **_process_figures(),
        }
        rate = self._rate(progress.decisions)
        if actors:
            values |= {**merge_actors(actors), "actors/decisions": float(progress.decisions),
                       "actors/decisions_per_second": rate}  # fmt: skip
        self.metrics.log(values)

    def log_evaluation(self, progress: Progress, figures: Mapping[str, float]) -> bool:
        """Log ``eval/...`` figures of one set of weights; whether they are the best so far."""
        value = figures[BEST_METRIC]
        better = value > progress.best
        progress.best = max(value, progress.best)
        self.metrics.log({**figures, "eval/best_net_return": progress.best})
        return better

    def _rate(self, decisions: int) -> float:
        """Decisions a second over the last half minute: actors deliver in bursts."""
        now = time.monotonic()
        self._past.append((now, decisions))
        while len(self._past) > 2 and now - self._past[0][0] > RATE_WINDOW:
            self._past.popleft()
        (start, first), (end, last) = self._past[0], self._past[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def save(
        self, updates: int, parts: Mapping[str, Part], extractor: str | None, periods: Periods
    ) -> Checkpoint:
        """Write a checkpoint."""
        pending = self.begin_checkpoint(updates)
        return self.commit_checkpoint(pending, parts, extractor, periods)

    def begin_checkpoint(self, updates: int) -> PendingCheckpoint:
        """Begin a checkpoint to which other processes add parts."""
        return self.checkpoints.begin(updates)

    def commit_checkpoint(
        self,
        pending: PendingCheckpoint,
        parts: Mapping[str, Part],
        extractor: str | None,
        periods: Periods,
    ) -> Checkpoint:
        """End a checkpoint. Names schema and extractor, checked when it is resumed."""
        run = {
            "wandb_id": self._wandb.run_id if self._wandb else None,
            "seconds": self.metrics.seconds,
            "time": time.time(),
            "updates": pending.step,
            "sitting": self.sitting,
            "extractor": extractor,
            "periods": asdict(periods),
        }
        identity = {"schema": self._schema.fingerprint}
        return self.checkpoints.commit(pending, {**parts, "run.json": json_part(run)}, identity)

    def mark_best(self, updates: int, value: float) -> None:
        """The checkpoint of an update count is the best so far."""
        self.checkpoints.mark_best(f"step-{updates:06d}", BEST_METRIC, value)

    def best_value(self) -> float:
        """What the best checkpoint won by; −∞ where none is marked, or where it was deleted."""
        best = self.checkpoints.best()
        return best.value if best is not None else float("-inf")

    def _find_checkpoint(self) -> Checkpoint:
        found = self.checkpoints.latest()
        if found is None:
            raise ApexError(
                f"{self.folder.path} holds no complete checkpoint to resume from: start a new run"
            )
        found.require({"schema": self._schema.fingerprint})
        check_budget(self.config, found.json("run.json")["updates"])
        self.folder.claim()  # two processes in one folder remove each other's checkpoints
        self.checkpoints.discard_after(found.name)  # what is cut off must not outlive what follows
        return found

    def _open_wandb(self, resume_id: str | None) -> WandbSink | None:
        wandb = self.config.wandb
        if wandb.mode == "disabled":
            return None
        return WandbSink(
            self.folder.path,
            project=wandb.project,
            name=Path(self.folder.path).name,
            group=wandb.group or self.config.name,
            tags=list(wandb.tags),
            mode=wandb.mode,
            config=plain(self.config),
            resume_id=resume_id,
        )


def merge_actors(deliveries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Figures of several deliveries: each the mean over those that hold it."""
    names = dict.fromkeys(name for delivery in deliveries for name in delivery)
    held = {name: [d[name] for d in deliveries if name in d] for name in names}
    return {name: sum(values) / len(values) for name, values in held.items()}


def merge_shards(shards: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Figures of the whole replay: counts add up, shares and ratios are averaged."""
    merged = {}
    for name in shards[0] if shards else ():
        values = [shard[name] for shard in shards]
        merged[name] = sum(values) if name in _SUMS else sum(values) / len(values)
    return merged


def _process_figures() -> dict[str, float]:
    import psutil

    memory = psutil.Process().memory_info().rss
    return {"system/process_memory_mb": memory / 2**20, "system/cpu_percent": psutil.cpu_percent()}
