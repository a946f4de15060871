"""What a W&B workspace of the project shows: four views, each metric on its group's own axis.

docs/metrics.md explains every metric that is named here; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apex_trader.runtime.metrics import STEP_AXES

#: How the names of a report's charts and tables begin in W&B; neither is a group of metrics, so
#: they have no step axis.
CHARTS, TABLES = "report", "report_tables"


@dataclass(frozen=True)
class Lines:
    """A panel of lines. metrics: of one group, over its step axis."""

    title: str
    metrics: tuple[str, ...]
    logarithmic: bool = False

    @property
    def axis(self) -> str:
        """The step axis of the metrics' group."""
        return STEP_AXES[self.metrics[0].partition("/")[0]]


@dataclass(frozen=True)
class Figures:
    """A panel of the report's charts, by their keys."""

    title: str
    charts: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """As runs log them."""
        return tuple(f"{CHARTS}/{key}" for key in self.charts)


@dataclass(frozen=True)
class Group:
    """A section of a view."""

    title: str
    panels: tuple[Lines | Figures, ...]


@dataclass(frozen=True)
class View:
    """A saved view of the workspace."""

    name: str
    groups: tuple[Group, ...]


def _each(group: str, *names: str) -> tuple[Lines, ...]:
    """A panel for each metric of a group."""
    return tuple(Lines(f"{group}/{name}", (f"{group}/{name}",)) for name in names)


TRAINING = View("Training", (
    Group("Does it learn?", (
        Lines("loss", ("learner/loss",), logarithmic=True),
        Lines("TD error", ("learner/td_mean", "learner/td_max"), logarithmic=True),
        Lines("Q", ("learner/q_mean", "learner/q_max", "learner/q_min", "learner/target_mean")),
        Lines("gradient", ("learner/grad_norm", "learner/grad_norm_max"), logarithmic=True),
        *_each("learner", "weight_norm", "skipped_updates", "reward_mean"),
    )),
    Group("What the actors do", (
        Lines("episode", ("actors/episode_return",)),
        *_each("actors", "episode_profit", "trades_per_day", "epsilon", "q"),
        Lines("actions", tuple(f"actors/action_{name}" for name in ("short", "flat", "long"))),
        Lines("reward terms", tuple(
            f"actors/reward_{term}" for term in ("core", "frequency", "risk", "duration", "pivot")
        )),
    )),
    Group("Pretraining of the CNN", (
        Lines("loss", ("pretrain/fit_loss", "pretrain/validation_loss")),
        *(
            Lines(f"balanced accuracy, {horizon}", tuple(
                f"pretrain/{horizon}/{name}balanced_accuracy"
                for name in ("", "majority/", "last_sign/", "logistic/")
            ))
            for horizon in ("5m", "15m", "1h", "4h")
        ),
    )),
))  # fmt: skip

REPLAY = View("Replay health", (
    Group("Flow", (
        *_each("replay", "samples_per_insert", "size", "fill", "segments", "warming_up"),
        Lines("waits", ("replay/insert_waits", "replay/sample_waits")),
        Lines("inserted, drawn, dropped", ("replay/inserts", "replay/samples", "replay/deletes")),
    )),
    Group("What is drawn", (
        Lines("held", tuple(
            f"replay/share_held_{s}" for s in ("main", "positive", "extrema", "movement")
        )),
        Lines("drawn", tuple(
            f"replay/share_drawn_{s}" for s in ("main", "positive", "extrema", "movement")
        )),
        Lines("TD error by stratum", tuple(
            f"learner/td_{s}" for s in ("main", "positive", "extrema", "movement")
        )),
        Lines("importance weights", (
            "learner/importance_weight_mean", "learner/importance_weight_min"
        )),
    )),
    Group("Faults", (
        Lines("rejected", (
            "replay/rejected_stale", "replay/rejected_invalid", "replay/rejected_inserts"
        )),
        *_each("replay", "drift_rebuilds", "incarnation", "mass"),
    )),
    Group("How stale experience is", (
        Lines("policy lag", (
            "learner/policy_lag_min", "learner/policy_lag_mean", "learner/policy_lag_max"
        )),
        Lines("sample age", ("learner/sample_age_mean", "learner/sample_age_max")),
        *_each("actors", "policy_lag", "weights_version"),
    )),
))  # fmt: skip

EVALUATION = View("Evaluation", (
    Group("Greedy runs on validation days", (
        Lines("net return", ("eval/net_return", "eval/best_net_return")),
        *_each("eval", "net_return_error", "gross_return"),
        Lines("log return a day", ("eval/train_net_return_per_day", "eval/net_return_per_day")),
        *_each("eval", "train_gap"),
        Lines("Q", ("eval/q_predicted", "eval/q_realised")),
        *_each("eval", "q_overestimation"),
        Lines("costs", ("eval/fee", "eval/slippage", "eval/funding")),
        *_each("eval", "trades", "max_drawdown", "exposure"),
    )),
    Group("The report: is it worth anything?", (
        Figures("Equity", ("equity",)),
        Figures("Under water", ("underwater",)),
        Figures("Costs", ("costs",)),
        Figures("Latency", ("latency",)),
        Figures("Seeds", ("seeds",)),
        Figures("Folds", ("folds", "folds_equity")),
    )),
    Group("The report: what it did", (
        Figures("Price, fills and pivots", ("price_busiest", "price_period")),
        Figures("Actions", ("actions",)),
        Figures("Holding times", ("holding",)),
        Figures("Returns by time", ("return_hours", "return_months")),
        Figures("Reward terms", ("reward_terms",)),
    )),
    Group("The report: confidence", (
        Figures("Reliability", ("reliability",)),
        Figures("Coverage", ("coverage",)),
    )),
))  # fmt: skip

SYSTEM = View("System", (
    Group("Speed", (
        *_each("actors", "decisions_per_second", "steps_per_second", "wait_share"),
        *_each("learner", "updates_per_second", "transitions_per_second", "wait_share"),
    )),
    Group("Memory", (
        *_each("system", "process_memory_mb", "cpu_percent"),
        *_each("replay", "bytes_per_slot"),
        *_each("learner", "arena_bytes", "arena_resident"),
        Lines("arena", ("learner/arena_loads", "learner/arena_evictions")),
    )),
    Group("A live market", _each(
        "stream", "batches", "parts_sealed", "unsealed_seconds", "decisions_today"
    )),
))  # fmt: skip

VIEWS = (TRAINING, REPLAY, EVALUATION, SYSTEM)


def workspaces(entity: str, project: str) -> list[Any]:
    """The views as ``wandb_workspaces`` objects; nothing is sent."""
    import wandb_workspaces.workspaces as ws

    return [
        ws.Workspace(
            entity=entity, project=project, name=view.name,
            sections=[
                ws.Section(name=group.title, is_open=True, panels=[
                    _panel(panel, place) for place, panel in enumerate(group.panels)
                ])
                for group in view.groups
            ],
        )
        for view in VIEWS
    ]  # fmt: skip


def _panel(panel: Lines | Figures, place: int) -> Any:
    """A panel, the ``place``-th of its section, three in a row."""
    import wandb_workspaces.reports.v2 as wr

    layout = wr.Layout(x=8 * (place % 3), y=6 * (place // 3), w=8, h=6)
    if isinstance(panel, Figures):
        return wr.MediaBrowser(title=panel.title, media_keys=list(panel.names), layout=layout)
    return wr.LinePlot(title=panel.title, x=panel.axis, y=list(panel.metrics), layout=layout,
                       log_y=panel.logarithmic or None)  # fmt: skip
